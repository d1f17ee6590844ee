"""A rejection: what a log says of one mail, or of one connection, that a server refused. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Stage(StrEnum):
    """How far the dialogue of SMTP had come when the refusal was said."""

    CONNECT = "connect"
    HELO = "helo"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    MESSAGE = "message"
    """After the end of the message's data."""


class RejectionKind(StrEnum):
    """What became of the mail."""

    REJECTED = "rejected"
    DEFERRED = "deferred"
    """Refused for now (4xx): the client may come again."""
    WARNED = "warned"
    """Let through; the server said what it would have rejected."""
    DISCONNECTED = "disconnected"
    """The connection was ended before anybody named a sender or a recipient."""
    BOUNCED = "bounced"
    """Another server refused what this site sent; all the other kinds are refusals by this site."""


class Listed(StrEnum):
    """What of a mail a DNS list was asked about."""

    CLIENT = "client"
    SENDER = "sender"
    RECIPIENT = "recipient"
    HELO = "helo"


class LogPlace(NamedTuple):
    """Where it was read: the file as it was named, and the number of the line in it, from 1."""

    file: str
    line: int


class Rejection(NamedTuple):
    """One refusal, of one recipient where the log names recipients.

    ``client`` is the IP address of the client, or, of a bounced mail, of the server that refused it; ``host`` is its
    name. ``sender`` and ``recipient`` are those of the envelope, without ``<>``, as the log spells them: an empty one
    is the null sender, None means that the log does not tell. ``reply`` is code and text as said to the client, in one
    line. ``provider`` is the DNS blocklist that was the reason: its lookup domain, a key in it hidden, or its name if
    the log has no more; None if there was another reason. ``listed`` says what it was asked about; None: unknown.
    ``note`` says in a sentence what is odd about it.
    """

    at: datetime
    kind: RejectionKind
    place: LogPlace
    reply: str
    client: str | None = None
    host: str | None = None
    sender: str | None = None
    recipient: str | None = None
    stage: Stage | None = None
    provider: str | None = None
    listed: Listed | None = None
    note: str | None = None
