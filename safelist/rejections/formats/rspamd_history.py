"""rspamd's history, as its controller gives it (``GET /history``) for the web interface. Pure.

It is one document: ``{"rows": [...]}`` with the module ``history_redis`` (version 2), and an array of rows without it,
which has neither senders nor recipients, and no symbol's weight. It mostly is one line, which may be megabytes long.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from safelist.rejections.format import LogFormat, LogLine, LogOrigin, LogReader, UnreadLineError
from safelist.rejections.formats.rspamd import KINDS, WeighedSymbol, dnsbl_of, listed_by
from safelist.rejections.log_values import client_of
from safelist.rejections.rejection import LogPlace, Rejection, Stage

_BEGIN = re.compile(r"\s*+(?:\{|\[\s*+\{)\s*+\"")
_MEMBER = re.compile(r'"(?:required_score|rows|unix_time)"\s*+:')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]]', re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNKNOWN = "unknown"
_LONGEST_ROW = 1 << 20
"""Characters; rspamd's are a few thousand."""


class _SymbolOfRow(BaseModel):
    score: float = 0.0
    options: list[str] | dict[str, Any] = Field(default_factory=list)


class _HistoryRow(BaseModel):
    """What is read of a row. Lua makes the same of an empty list and an empty table."""

    unix_time: float
    action: str
    ip: str = _UNKNOWN
    score: float = 0.0
    required_score: float | None = None
    sender_smtp: str = _UNKNOWN
    rcpt_smtp: list[str] | dict[str, Any] = Field(default_factory=list)
    symbols: dict[str, _SymbolOfRow] | list[Any] = Field(default_factory=dict)


class _HistoryReader:
    """Takes row after row out of the document, so that no more than one has to be in memory besides the line."""

    def __init__(self) -> None:
        self._is_in_array = False
        self._depth = 0
        self._row: list[str] = []
        self._size = 0

    def read(self, line: LogLine) -> Iterator[Rejection]:
        """The rejections of the rows that end in this line; afterwards, what is wrong with the others."""
        faults = []
        for row in self._rows(line.text):
            try:
                yield from _rejections(row, line.place)
            except UnreadLineError as fault:
                faults.append(str(fault))
        if faults:
            raise UnreadLineError(f"{faults[0]} ({len(faults)} of the rows that end here)")

    def end(self) -> Iterator[Rejection]:
        """Nothing: of a row that does not end nothing is told."""
        return iter(())

    def _rows(self, text: str) -> Iterator[str]:
        """The objects in an array, each whole; arrays and objects within them are theirs."""
        begin = 0
        for found in _TOKEN.finditer(text):
            mark = found[0]
            if not self._depth and not (self._is_in_array and mark == "{"):
                self._is_in_array = mark == "[" or (self._is_in_array and mark != "]")
            elif mark in ("{", "["):
                begin = begin if self._depth else found.start()
                self._depth += 1
            elif mark in ("}", "]"):
                self._depth -= 1
                if not self._depth:
                    yield "".join((*self._row, text[begin : found.end()]))
                    self._row.clear()
        if self._depth:
            self._keep(text[begin:])

    def _keep(self, text: str) -> None:
        """The part of a row that a line has; without a part, a row that is too long is none."""
        self._size = len(text) + (self._size if self._row else 0)
        if self._size <= _LONGEST_ROW:
            self._row.append(f"{text}\n")


def _rejections(row: str, place: LogPlace) -> Iterator[Rejection]:
    """One for each recipient, if the mail was refused."""
    if 'reject"' not in row:
        return
    try:
        read = _HistoryRow.model_validate_json(row)
        at = _EPOCH + timedelta(seconds=read.unix_time)
    except (ValueError, OverflowError):
        raise UnreadLineError("expected a row of rspamd's history: unix_time, action, ip, score, ...") from None
    if (kind := KINDS.get(read.action)) is None:
        return
    dnsbl = _dnsbl(read)
    told = Rejection(
        at, kind, place, "", None if read.ip == _UNKNOWN else client_of(read.ip), stage=Stage.MESSAGE,
        sender=None if read.sender_smtp == _UNKNOWN else read.sender_smtp,
        provider=dnsbl.name if dnsbl is not None else None,
        listed=listed_by(dnsbl),
    )  # fmt: skip
    for each in read.rcpt_smtp or (None,):
        yield told._replace(recipient=None if each == _UNKNOWN else each)


def _dnsbl(row: _HistoryRow) -> WeighedSymbol | None:
    """As in the log; a soft reject is never due to the score."""
    if row.action != "reject" or row.required_score is None or isinstance(row.symbols, list):
        return None
    found = (WeighedSymbol(name, each.score, tuple(each.options)) for name, each in row.symbols.items())
    return dnsbl_of(found, row.score, row.required_score)


def _recognises(text: str) -> bool:
    return _BEGIN.match(text) is not None and _MEMBER.search(text) is not None


def _reader(_: LogOrigin) -> LogReader:
    return _HistoryReader()


RSPAMD_HISTORY = LogFormat(
    name="rspamd-history",
    title="rspamd's history",
    needles=(),
    recognises=_recognises,
    reader=_reader,
    cannot_tell=(
        "What the client was answered, and whether a module of rspamd's forced the action whatever the score; the "
        "name of the client; whether the mail server did as rspamd said; the lookup domain of a list, which has its "
        "symbol's name instead; without history_redis neither sender, recipients nor list."
    ),
)
