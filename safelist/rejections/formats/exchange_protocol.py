"""Exchange's SMTP protocol logs: what it said as a server (Receive) and what other servers said to it (Send). Pure.

A line is one command or one reply of one session, and sessions interleave. With PIPELINING (RFC 2920) commands come
before the replies to those before them: replies are paired with commands by their order, not by what stands next.
Exchange 2010 writes each line of a reply into a line of its own, later versions write the reply into one.

A Mailbox server since 2013 takes mail from its own front end, which says ``XPROXYFROM ... IP=`` (or ``XPROXY``) for
whom; and sends through it, saying ``XPROXYTO``. Then the other end of the connection is not the one that counts.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from safelist.rejections.exchange_csv import (
    ExchangeColumns,
    ExchangeRows,
    address_of,
    in_one_line,
    list_behind,
    log_type,
    moment,
)
from safelist.rejections.format import LogFormat, LogLine, LogOrigin, UnreadLineError
from safelist.rejections.rejection import LogPlace, Rejection, RejectionKind, Stage

_RECEIVE, _SEND = "smtp receive protocol log", "smtp send protocol log"
_COLUMNS = ExchangeColumns(
    log_types=(_RECEIVE, _SEND),
    names=(
        "date-time", "connector-id", "session-id", "sequence-number", "local-endpoint", "remote-endpoint", "event",
        "data", "context",
    ),
    needed=("date-time", "session-id", "sequence-number", "remote-endpoint", "event", "data"),
    free="data",
)  # fmt: skip
_EVENTS = {"+", "-", "<", ">", "*"}
_MOST_OPEN = 20_000
"""Sessions that are followed at once; many more than a server has connections."""
_MOST_UNANSWERED = 2_000
_MOST_RECIPIENTS = 10_000
_MOST_EARLY = 16
"""Lines of a session that are kept until one before them comes."""
_MOST_REPLY_LINES = 50
_BANNER_BY = 3
"""The number in a session that the server's first reply has at most."""
_STAGES = {
    "HELO": Stage.HELO, "EHLO": Stage.HELO, "MAIL": Stage.MAIL, "RCPT": Stage.RCPT, "DATA": Stage.DATA,
    "BDAT": Stage.DATA,
}  # fmt: skip
_NOT_UNDERSTOOD = {"500", "502", "503", "504"}
"""Commands that a server does not know, or that came at the wrong time: they refuse nobody."""
_TIMED_OUT = re.compile(r"421 4\.4\.|451 4\.7\.0 Timeout ")
_REPLY = re.compile(r"([2-5][0-9]{2})([ -]|\Z)")
_VERB = re.compile(r"\s*([A-Za-z0-9-]*)")
_LAST_PART = re.compile(r"\s*BDAT [0-9]{1,20} LAST\b", re.IGNORECASE)
_CLIENT = re.compile(r" IP=([0-9A-Fa-f.:]{2,45})(?: |\Z)")
_TARPIT = re.compile(r"Tarpit for '[^']{1,40}' due to '([2-5].*)", re.DOTALL)


class ProtocolEntry(NamedTuple):
    """A line of a session; ``at`` is None where its time cannot be read, or does not matter."""

    at: datetime | None
    place: LogPlace
    sequence: int
    event: str
    data: str
    context: str
    remote: str


@dataclass(slots=True)
class UnansweredCommand:
    """A command whose reply has not come, or was 3xx: DATA is at its stage MESSAGE then, any other is challenged."""

    verb: str
    stage: Stage | None
    address: str | None = None
    last: bool = True
    challenged: bool = False

    def go_on(self) -> None:
        """Takes a 3xx."""
        self.challenged = self.verb != "DATA"
        self.stage = self.stage if self.challenged else Stage.MESSAGE


class RefusedInDialogue(NamedTuple):
    """What a reply refuses. ``recipients`` has one, or all of a message, or None where they are not known."""

    stage: Stage | None
    sender: str | None
    recipients: tuple[str | None, ...]


@dataclass(slots=True)
class SmtpDialogue:
    """The state of one session, as both sides have it."""

    unanswered: deque[UnansweredCommand] = field(default_factory=deque)
    client: str | None = None
    """For whom the front end asks."""
    proxied_out: bool = False
    overrun: bool = False
    _mail_seen: bool = False
    _sender: str | None = None
    _recipients: list[str | None] = field(default_factory=list)

    def command(self, text: str) -> None:
        """Notes a command; where too many have had no reply, they are left, and ``overrun`` says so."""
        verb = _verb(text)
        if self.unanswered and self.unanswered[0].challenged:
            self.unanswered.popleft()  # it is answered with this line, and what is said next is said to that
        if len(self.unanswered) >= _MOST_UNANSWERED:
            self.unanswered.clear()
            self.overrun = True
        address = _path(text) if verb in ("MAIL", "RCPT") else None
        if verb in ("XPROXYFROM", "XPROXY"):
            address = address_of(found[1]) if (found := _CLIENT.search(text)) else None
        last = verb != "BDAT" or _LAST_PART.match(text) is not None
        stage = Stage.MESSAGE if verb == "BDAT" and last else _STAGES.get(verb)
        self.unanswered.append(UnansweredCommand(verb, stage, address, last))

    def reply(self, code: str, sequence: int) -> RefusedInDialogue | None:
        """Takes a reply to the first command that has none; what it refuses, if it does."""
        refuses = code[0] in "45" and code not in _NOT_UNDERSTOOD
        if not self.unanswered:
            return self._unasked(code, sequence) if refuses else None
        if code[0] == "3":
            self.unanswered[0].go_on()
            return None
        command = self.unanswered.popleft()
        refused = self._refused(command) if refuses else None
        self._settle(command, code[0] == "2")
        return refused

    def _unasked(self, code: str, sequence: int) -> RefusedInDialogue | None:
        """A banner; or its command is in another file; or, as 4xx, the end of a connection that has been idle."""
        if sequence <= _BANNER_BY:
            return RefusedInDialogue(Stage.CONNECT, None, (None,))
        return RefusedInDialogue(None, self._sender, (None,)) if code[0] == "5" else None

    def _refused(self, command: UnansweredCommand) -> RefusedInDialogue | None:
        match command.verb:
            case "HELO" | "EHLO":
                return RefusedInDialogue(Stage.HELO, None, (None,))
            case "MAIL":
                return RefusedInDialogue(Stage.MAIL, command.address, (None,))
            case "RCPT":
                return RefusedInDialogue(Stage.RCPT, self._sender, (command.address,))
            case "DATA" | "BDAT":
                # Where all recipients were refused, or the message was at an earlier part of it, nothing is left.
                recipients = self._recipients or ([] if self._mail_seen else [None])
                return RefusedInDialogue(command.stage, self._sender, tuple(recipients))
        return None

    def _settle(self, command: UnansweredCommand, accepted: bool) -> None:
        match command.verb:
            case "MAIL":
                self._mail_seen = True
                self._sender, self._recipients = command.address if accepted else None, []
            case "RCPT" if accepted and len(self._recipients) < _MOST_RECIPIENTS:
                self._recipients.append(command.address)
            case "DATA" | "BDAT" if command.last or not accepted:
                self._recipients = []
                self._mail_seen = True
            case "XPROXYFROM" | "XPROXY" if accepted:  # not everybody may say it
                self.client = command.address
            case "XPROXYTO" if accepted:
                self.proxied_out = True


def _verb(command: str) -> str:
    found = _VERB.match(command)
    return found[1].upper() if found else ""


def _path(command: str) -> str | None:
    """The address in ``MAIL FROM:<...>`` or ``RCPT TO:<...>``; None where it is cut."""
    text = command.partition(":")[2].lstrip()
    if not text.startswith("<"):
        return text.partition(" ")[0] or None
    if '"' not in text:
        return text[1:].partition(">")[0] if ">" in text else None
    quoted = escaped = False
    for at, letter in enumerate(text):
        if letter == ">" and not quoted:
            return text[1:at]
        quoted ^= letter == '"' and not escaped
        escaped = letter == "\\" and not escaped
    return None


@dataclass(slots=True)
class ProtocolSession:
    """A session as it is read: puts its lines into their order, and the lines of a reply together."""

    sends: bool
    next: int = 0
    dialogue: SmtpDialogue = field(default_factory=SmtpDialogue)
    ended: bool = False
    _begun: bool = False
    _early: dict[int, ProtocolEntry] = field(default_factory=dict)
    _remote: str = ""
    _lines: list[str] = field(default_factory=list)
    _last_line: ProtocolEntry | None = None
    _delayed: ProtocolEntry | None = None

    def read(self, entry: ProtocolEntry) -> Sequence[Rejection]:
        """What is complete with this line."""
        if entry.sequence == self.next and not self._early:
            self._begun = True
            self.next += 1
            return self._read(entry)
        return [found for each in self._in_order(entry) for found in self._read(each)]

    def rest(self) -> list[Rejection]:
        """What is complete if nothing more comes."""
        late = [each for _, each in sorted(self._early.items())]
        self._early = {}
        return [found for each in late for found in self._read(each)] + [*self._whole_reply()]

    def _in_order(self, entry: ProtocolEntry) -> list[ProtocolEntry]:
        if self._begun and entry.sequence > self.next:
            self._early[entry.sequence] = entry
            if len(self._early) < _MOST_EARLY:
                return []
            ready = [each for _, each in sorted(self._early.items())]
            self._early = {}
        else:
            ready = [entry]
        self._begun = True
        self.next = max(self.next, ready[-1].sequence + 1)
        while self.next in self._early:
            ready.append(self._early.pop(self.next))
            self.next += 1
        return ready

    def _read(self, entry: ProtocolEntry) -> Sequence[Rejection]:
        self._remote = entry.remote or self._remote
        if entry.event == ("<" if self.sends else ">"):
            return self._reply_line(entry)
        if entry.event == "*":
            return self._note(entry)
        if entry.event == "-":
            self.ended = True
            return [*self._whole_reply(), *self._left_unsaid()]
        found = self._whole_reply()
        if entry.event != "+":
            self.dialogue.command(entry.data)
        return found

    def _note(self, entry: ProtocolEntry) -> Sequence[Rejection]:
        """Exchange delays a refusal, and names it before it says it: the client may be gone by then."""
        if entry.at is not None and (found := _TARPIT.match(entry.data) or _TARPIT.match(entry.context)):
            self._delayed = entry._replace(data=found[1].removesuffix("'"))
        return ()

    def _left_unsaid(self) -> Sequence[Rejection]:
        return self._reply(self._delayed) if self._delayed is not None and self.dialogue.unanswered else ()

    def _reply_line(self, entry: ProtocolEntry) -> Sequence[Rejection]:
        found = _REPLY.match(entry.data)
        if found is None:
            return ()
        other = self._whole_reply() if self._lines and not self._lines[0].startswith(found[1]) else ()
        if found[2] != "-" and not self._lines:
            return [*other, *self._reply(entry)]
        if len(self._lines) < _MOST_REPLY_LINES:
            self._lines.append(entry.data)
        self._last_line = entry
        return other if found[2] == "-" else [*other, *self._whole_reply()]

    def _whole_reply(self) -> Sequence[Rejection]:
        if not self._lines or self._last_line is None:
            return ()
        lines, self._lines = self._lines, []
        return self._reply(self._last_line._replace(data="\n".join(lines)))

    def _reply(self, entry: ProtocolEntry) -> Sequence[Rejection]:
        self._delayed = None
        refused = self.dialogue.reply(entry.data[:3], entry.sequence)
        if refused is None or entry.at is None or _TIMED_OUT.match(entry.data):
            return ()
        kind, client = self._kind(entry.data[0]), self._client()
        reply = in_one_line(entry.data)
        provider, listed = list_behind(reply)
        return [
            Rejection(
                entry.at, kind, entry.place, reply, client, None, refused.sender, recipient, refused.stage, provider,
                listed,
            )
            for recipient in refused.recipients
            if kind is not None
        ]  # fmt: skip

    def _kind(self, digit: str) -> RejectionKind | None:
        """None where it is not said by another server, or not for good, or where another log says it."""
        if not self.sends and self.dialogue.proxied_out:
            return None
        if self.sends and self.dialogue.client is None:
            return RejectionKind.BOUNCED if digit == "5" else None
        return RejectionKind.REJECTED if digit == "5" else RejectionKind.DEFERRED

    def _client(self) -> str | None:
        if self.sends and self.dialogue.proxied_out:
            return None
        return self.dialogue.client or address_of(self._remote)


class ExchangeProtocolReader:
    """Follows the sessions of one log, those that were heard of last."""

    def __init__(self, origin: LogOrigin, most_open: int = _MOST_OPEN) -> None:
        del origin  # the times are UTC, and have a year
        self._rows = ExchangeRows(_COLUMNS)
        self._most_open = most_open
        self._open: dict[str, ProtocolSession] = {}

    def read(self, line: LogLine) -> Iterator[Rejection]:
        """What is complete with this line. Raises UnreadLineError, after what is complete all the same."""
        row = self._rows.row(line.text)
        if row is None:
            return
        entry = _entry(row, line.place)
        key = row["session-id"]
        session = self._open.pop(key, None)
        if session is not None and entry.event == "+" and session.next > _BANNER_BY:
            yield from session.rest()
            session = None
        session = session or ProtocolSession(sends=self._rows.log_type == _SEND)
        yield from session.read(entry)
        if not session.ended:
            self._open[key] = session
        dropped = self._drop_the_oldest() if len(self._open) > self._most_open else None
        if dropped is not None:
            yield from dropped.rest()
        self._complain(row, entry, session, dropped)

    def _drop_the_oldest(self) -> ProtocolSession:
        return self._open.pop(next(iter(self._open)))

    def _complain(
        self, row: dict[str, str], entry: ProtocolEntry, session: ProtocolSession, dropped: ProtocolSession | None
    ) -> None:
        if entry.at is None and _refuses(entry):
            moment(row, "date-time")
        if dropped is not None and (waiting := len(dropped.dialogue.unanswered)):
            raise UnreadLineError(
                f"expected the ends of sessions: {self._most_open} are open, and one is left in which {waiting} "
                "commands have no reply yet"
            )
        if session.dialogue.overrun:
            session.dialogue.overrun = False
            raise UnreadLineError(f"expected a reply to one of the last {_MOST_UNANSWERED} commands of this session")

    def end(self) -> Iterator[Rejection]:
        """What is complete because the log ends: a session may go on in the next file."""
        for session in self._open.values():
            yield from session.rest()
        self._open = {}


def _entry(row: dict[str, str], place: LogPlace) -> ProtocolEntry:
    """A row as a line of a session. Raises UnreadLineError where it is none."""
    try:
        sequence, event, session = int(row["sequence-number"]), row["event"], row["session-id"]
    except (KeyError, ValueError):
        raise UnreadLineError("expected session-id, a sequence-number and event") from None
    if event not in _EVENTS or not session:
        raise UnreadLineError("expected session-id, and + - < > or * as event")
    data, context = row.get("data", ""), row.get("context", "")
    entry = ProtocolEntry(None, place, sequence, event, data, context, row.get("remote-endpoint", ""))
    if not _refuses(entry):
        return entry
    try:
        return entry._replace(at=moment(row, "date-time"))
    except UnreadLineError:
        return entry


def _refuses(entry: ProtocolEntry) -> bool:
    if entry.event == "*":
        return "Tarpit for" in entry.data or "Tarpit for" in entry.context
    return entry.data.startswith(("4", "5"))


EXCHANGE_PROTOCOL = LogFormat(
    name="exchange-protocol",
    title="Exchange's SMTP protocol log",
    needles=(),
    recognises=lambda head: log_type(head) in _COLUMNS.log_types,
    reader=ExchangeProtocolReader,
    cannot_tell=(
        "Who the sender was of a session that began in the file of the hour before (join them: cat RECV*.LOG | ...), "
        "the client's name, and, where the reply is Exchange's own, which block list it was."
    ),
)
