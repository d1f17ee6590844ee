"""Exchange's message tracking log: messages that failed after they were accepted, or as they were. Pure.

Of the events FAIL, those with the source SMTP are what another server refused, or what an agent refused as the message
came in: then the connector is one that receives, named ``SERVER\\Name``, and the client is the other end. Those with
the source AGENT are a transport rule's or another agent's. What failed in routing, in DNS or by waiting too long was
refused by nobody.
"""

import re
from collections.abc import Iterable, Iterator

from safelist.rejections.exchange_csv import (
    ExchangeColumns,
    ExchangeRows,
    address_of,
    envelope_address,
    in_one_line,
    list_behind,
    log_type,
    members,
    moment,
)
from safelist.rejections.format import LogFormat, LogLine, LogOrigin
from safelist.rejections.rejection import Rejection, RejectionKind, Stage

_COLUMNS = ExchangeColumns(
    log_types=("message tracking log",),
    names=(
        "date-time", "client-ip", "client-hostname", "server-ip", "server-hostname", "source-context", "connector-id",
        "source", "event-id", "internal-message-id", "message-id", "network-message-id", "recipient-address",
        "recipient-status", "total-bytes", "recipient-count", "related-recipient-address", "reference",
        "message-subject", "sender-address", "return-path", "message-info", "directionality", "tenant-id",
        "original-client-ip", "original-server-ip", "custom-data", "transport-traffic-type", "log-id",
        "schema-version",
    ),
    needed=("date-time", "source", "event-id", "recipient-address", "recipient-status"),
    free="message-subject",
)  # fmt: skip
_LAST_ERROR = "{LED="
_ITS_END = re.compile(r"\}(?:;\{(?:MSG|FQDN|IP|LRT)=|\]\Z)")
"""The reply may hold braces itself."""
_REMOTE = re.compile(r";\{IP=([^{};]{1,60})\}")
_REMOTE_NAME = re.compile(r";\{FQDN=([^{};]{1,255})\}")


class ExchangeTrackingReader:
    """Reads one log, line by line."""

    def __init__(self, origin: LogOrigin) -> None:
        del origin  # the times are UTC, and have a year
        self._rows = ExchangeRows(_COLUMNS)

    def read(self, line: LogLine) -> Iterator[Rejection]:
        """The rejections of a line, one a recipient. Raises UnreadLineError."""
        if ",FAIL," not in line.text and "#" not in line.text[:2]:
            return
        row = self._rows.row(line.text)
        if row is not None and row.get("event-id") == "FAIL" and row.get("source") in ("SMTP", "AGENT"):
            yield from _failures(row, line)

    def end(self) -> Iterable[Rejection]:
        """Nothing: no line waits for another."""
        return ()


def _failures(row: dict[str, str], line: LogLine) -> Iterator[Rejection]:
    at = moment(row, "date-time")
    here = row["source"] == "AGENT" or "\\" in row.get("connector-id", "")
    recipients = members(row.get("recipient-address", ""))
    for recipient, status in zip(recipients, _statuses(row.get("recipient-status", ""), len(recipients)), strict=True):
        reply = in_one_line(_last_error(status))
        kind = RejectionKind.DEFERRED if reply.startswith("4") else RejectionKind.REJECTED
        client, host = _client(row) if here else _remote(row, status)
        yield Rejection(
            at, kind if here else RejectionKind.BOUNCED, line.place, reply, client, host,
            envelope_address(row.get("return-path") or row.get("sender-address", "")), recipient or None,
            Stage.MESSAGE if here and row["source"] == "SMTP" else None, *list_behind(reply),
        )  # fmt: skip


def _last_error(status: str) -> str:
    """The reply in ``[{LED=550 ...};{MSG=};{FQDN=...};{IP=...};{LRT=...}]``, or the status where that is one."""
    _, found, text = status.partition(_LAST_ERROR)
    return _ITS_END.split(text, maxsplit=1)[0] if found else status


def _client(row: dict[str, str]) -> tuple[str | None, str | None]:
    return address_of(row.get("original-client-ip", "")) or address_of(row.get("client-ip", "")), None


def _remote(row: dict[str, str], status: str) -> tuple[str | None, str | None]:
    address, name = _REMOTE.search(status), _REMOTE_NAME.search(status)
    host = name[1] if name else row.get("server-hostname", "")
    return (
        (address_of(address[1]) if address else None) or address_of(row.get("server-ip", "")),
        host if host and address_of(host) is None else None,
    )


def _statuses(cell: str, count: int) -> list[str]:
    """As many as there are recipients, in the same order."""
    found = members(cell)
    if count == 1:
        return [found[0] if len(found) == 1 else cell]
    return found * count if len(found) == 1 else [*found, *[""] * count][:count]


EXCHANGE_TRACKING = LogFormat(
    name="exchange-tracking",
    title="Exchange's message tracking log",
    needles=(),
    recognises=lambda head: log_type(head) in _COLUMNS.log_types,
    reader=ExchangeTrackingReader,
    cannot_tell=(
        "Recipients that were refused as they were named, which are not in it; the stage of what another server "
        "refused; whether the sender that it shows is that of the envelope, where no return path stands."
    ),
)
