"""Exchange's agent log: what its anti-spam agents did with a message, and why. Pure.

Mostly they say that it passed. Of their actions, those that reject, delete or disconnect are rejections; a message in
quarantine is none, since it is kept and can be released.
"""

from collections.abc import Iterable, Iterator

from safelist.postfix.lookup_domain import shown
from safelist.rejections.exchange_csv import (
    ExchangeColumns,
    ExchangeRows,
    address_of,
    addresses_in,
    envelope_address,
    in_one_line,
    list_behind,
    log_type,
    members,
    moment,
)
from safelist.rejections.format import LogFormat, LogLine, LogOrigin
from safelist.rejections.providers import UNNAMED
from safelist.rejections.rejection import Listed, Rejection, RejectionKind, Stage

_COLUMNS = ExchangeColumns(
    log_types=("agent log",),
    names=(
        "timestamp", "sessionid", "localendpoint", "remoteendpoint", "enteredorgfromip", "messageid", "p1fromaddress",
        "p2fromaddresses", "recipient", "numrecipients", "agent", "event", "action", "smtpresponse", "reason",
        "reasondata", "diagnostics", "networkmsgid", "tenantid", "directionality",
    ),
    needed=("timestamp", "action", "smtpresponse"),
    free="smtpresponse",
)  # fmt: skip
_REFUSING = ("Reject", "Delete", "Disconnect")
_STAGES = {
    "onconnect": Stage.CONNECT, "onhelocommand": Stage.HELO, "onehlocommand": Stage.HELO,
    "onmailcommand": Stage.MAIL, "onrcptcommand": Stage.RCPT, "ondatacommand": Stage.DATA,
    "onendofheaders": Stage.MESSAGE, "onendofdata": Stage.MESSAGE,
}  # fmt: skip


class ExchangeAgentReader:
    """Reads one log, line by line."""

    def __init__(self, origin: LogOrigin) -> None:
        del origin  # the times are UTC, and have a year
        self._rows = ExchangeRows(_COLUMNS)

    def read(self, line: LogLine) -> Iterator[Rejection]:
        """The rejections of a line, one a recipient. Raises UnreadLineError."""
        if "#" not in line.text[:2] and not any(f",{action}" in line.text for action in _REFUSING):
            return
        row = self._rows.row(line.text)
        if row is not None and row.get("action", "").startswith(_REFUSING):
            yield from _rejections(row, line)

    def end(self) -> Iterable[Rejection]:
        """Nothing: no line waits for another."""
        return ()


def _rejections(row: dict[str, str], line: LogLine) -> Iterator[Rejection]:
    at, reply = moment(row, "timestamp"), in_one_line(row.get("smtpresponse", ""))
    client = address_of(row.get("enteredorgfromip", "")) or address_of(row.get("remoteendpoint", ""))
    sender = envelope_address(row.get("p1fromaddress", ""))
    provider, listed = _list(row, reply)
    for recipient in members(row.get("recipient", "")) or [""]:
        yield Rejection(
            at, _kind(row, reply, sender), line.place, reply, client, None, sender, recipient or None,
            _STAGES.get(row.get("event", "").lower()), provider, listed, _note(row, reply, client),
        )  # fmt: skip


def _kind(row: dict[str, str], reply: str, sender: str | None) -> RejectionKind:
    if row["action"] == "Disconnect" and sender is None:
        return RejectionKind.DISCONNECTED
    return RejectionKind.DEFERRED if reply.startswith("4") else RejectionKind.REJECTED


def _list(row: dict[str, str], reply: str) -> tuple[str | None, Listed | None]:
    """The lookup domain where the reply has it, or else the name that the administrator gave the provider."""
    provider, listed = list_behind(reply)
    if row.get("reason") != "BlockListProvider":
        return provider, listed
    if provider in (None, UNNAMED):
        provider = shown(row.get("reasondata", "")) or UNNAMED
    return provider, Listed.CLIENT


def _note(row: dict[str, str], reply: str, client: str | None) -> str | None:
    """Exchange 2013 is known to have refused everybody for minutes for one client that was listed."""
    named = addresses_in(reply) if row.get("reason") == "BlockListProvider" else []
    if client is None or not named or client in named:
        return None
    return f"the reply is about {named[0]}, and the client was {client}: the list may not have been asked about it"


EXCHANGE_AGENT = LogFormat(
    name="exchange-agent",
    title="Exchange's anti-spam agent log",
    needles=(),
    recognises=lambda head: log_type(head) in _COLUMNS.log_types,
    reader=ExchangeAgentReader,
    cannot_tell=(
        "The client's name, the reply where a message was deleted (the client was told that it was accepted), all of "
        "a reply that is longer than 240 characters, and a list's lookup domain where the reply does not name it: the "
        "log has the name that it has in Exchange."
    ),
)
