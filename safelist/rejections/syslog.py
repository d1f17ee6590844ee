"""The head of a line of syslog: when, on which host and by which program it was said. Pure.

Heads are the traditional one (RFC 3164 4.1.2), its variant with a time of RFC 3339 (rsyslog's default, ``journalctl -o
short-iso``), RFC 5424, and the objects of ``journalctl -o json``. A line without a head, as a program writes it to the
terminal or to a container's output without a logger, does not say when it was written and is no record.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from safelist.rejections.format import LogOrigin

JOURNAL_NEEDLES = (b'"MESSAGE":[', b'"MESSAGE" : [')
"""What the journal's lines hold whose text is an array of bytes, in which a search for words finds nothing."""

_PRIORITY = r"(?:<\d{1,3}>)?"
_TRADITIONAL = r"[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:(?:[0-5]\d|60)(?:\.\d{1,9})?"
_RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
HEAD_TIME = f"{_TRADITIONAL}|{_RFC3339}"
"""Times as heads write them, for patterns of whole lines; :func:`time_of` reads them."""
_HEAD = re.compile(
    rf"{_PRIORITY}(?P<time>{_TRADITIONAL}|{_RFC3339}) (?P<host>\S{{1,255}}) "
    r"(?:[a-z]{2,8}[0-7]?\.[a-z]{3,7} )?"  # BusyBox names facility and level
    r"(?P<program>[^\s\[\]:]{1,128})(?:\[\d{1,10}\])?: ?(?P<text>.*)",
    re.ASCII | re.DOTALL,
)
_STRUCTURED_DATA = r'(?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*+")*+\])++)'
_RFC5424 = re.compile(
    rf"{_PRIORITY}1 (?P<time>{_RFC3339}) (?P<host>\S{{1,255}}) (?P<program>\S{{1,48}}) \S{{1,128}} \S{{1,32}} "
    rf"{_STRUCTURED_DATA}(?: \ufeff?(?P<text>.*))?",
    re.ASCII | re.DOTALL,
)
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: at for at, name in enumerate(_MONTH_NAMES, 1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = [timedelta(seconds=second) for second in range(61)]
_CLOCKS_DIFFER = timedelta(days=1)
_LEAP_YEARS_APART = 8
"""At most, in years (1896 and 1904): what lies between two 29 February."""


class SyslogRecord(NamedTuple):
    """One message, in one line. ``at`` is in UTC; ``host`` and ``program`` (without its number) may be empty."""

    at: datetime
    host: str
    program: str
    text: str


class _Head(NamedTuple):
    """``time`` as it stands there: a traditional or RFC 3339 one, or the journal's microseconds."""

    time: str
    host: str
    program: str
    text: str


def record(text: str, origin: LogOrigin) -> SyslogRecord | None:
    """Read one line; None where it has no head or a time that there is not.

    A time without a year is of the latest year in which it is at most a day newer than the log. A time without a zone
    is of the log's, and the first of the two where a clock that is put back shows it twice.
    """
    if (head := _head(text)) is None or (at := time_of(head.time, origin)) is None:
        return None
    return SyslogRecord(at, head.host, head.program, head.text)


def program_of(text: str) -> str:
    """Which program wrote the line, without its number; empty where it does not tell."""
    head = _head(text)
    return head.program if head is not None else ""


@lru_cache(maxsize=4)
def _head(text: str) -> _Head | None:
    """Each format is asked whether the line is its, before one reads it."""
    if text.startswith("{"):
        return _journal(text)
    text = _in_one_line(text)
    if (found := _HEAD.fullmatch(text) or _RFC5424.fullmatch(text)) is None:
        return None
    return _Head(found["time"], _named(found["host"]), _named(found["program"]), found["text"] or "")


def _named(value: str) -> str:
    """A field of RFC 5424, which writes ``-`` for nothing."""
    return "" if value == "-" else value


def _in_one_line(text: str) -> str:
    return text.replace("\r\n", " ").replace("\n", " ")


def _journal(text: str) -> _Head | None:
    """An entry of the journal (systemd's JOURNAL_EXPORT_FORMATS, "Journal JSON Format")."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    time = _string(entry.get("__REALTIME_TIMESTAMP"))
    program = _string(entry.get("SYSLOG_IDENTIFIER")) or _string(entry.get("_COMM"))
    return _Head(time, _string(entry.get("_HOSTNAME")), program, _in_one_line(_string(entry.get("MESSAGE"))))


def _string(value: object) -> str:
    """A field's text. One that is not UTF-8 is an array of bytes, and one that was thought too long is null.

    Bytes that are no UTF-8 are written as ``\\x..``, as those of other logs are; halves of a pair of UTF-16, which an
    object can hold and no file, as ``\\u....``.
    """
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    try:
        return bytes(value).decode(errors="backslashreplace") if isinstance(value, list) else ""
    except (ValueError, TypeError):
        return ""


def time_of(time: str, origin: LogOrigin) -> datetime | None:
    """The time in UTC."""
    try:
        if time.isdecimal():
            return _EPOCH + timedelta(microseconds=int(time))
        if time[:1].isdecimal():
            return _in_utc(time, origin)
        return _latest(time, origin)
    except (ValueError, OverflowError):
        return None


def _latest(time: str, origin: LogOrigin) -> datetime | None:
    """A traditional time, in the latest year that it can be of, which is that of its minute."""
    minute, _, second = time.rpartition(":")
    if (at := _minute(minute, origin)) is None:
        return None
    at += _SECONDS[int(second[:2])]
    return at if len(second) == 2 else at + timedelta(microseconds=int(second[3:9].ljust(6, "0")))


@lru_cache(maxsize=1024)
def _minute(minute: str, origin: LogOrigin) -> datetime | None:
    allowed = origin.newest + _CLOCKS_DIFFER
    return next((at for at in _years(minute, origin) if at <= allowed), None)


def _years(minute: str, origin: LogOrigin) -> Iterator[datetime]:
    month, day, clock = minute.split()
    for year in range(origin.newest.year + 1, origin.newest.year - _LEAP_YEARS_APART - 1, -1):
        try:
            yield _in_utc(f"{year:04}-{_MONTHS.get(month, 0):02}-{day:0>2}T{clock}", origin)
        except (ValueError, OverflowError):
            continue  # a year without a 29 February


def _in_utc(time: str, origin: LogOrigin) -> datetime:
    at = datetime.fromisoformat(time)
    return (at if at.tzinfo is not None else at.replace(tzinfo=origin.zone)).astimezone(UTC)
