"""What every log format is tried with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from safelist.rejections.format import LogLine, LogOrigin, UnreadLineError
from safelist.rejections.formats import FORMATS
from safelist.rejections.rejection import LogPlace, Rejection

NEWEST = datetime(2026, 11, 27, 12, tzinfo=UTC)


@dataclass(frozen=True)
class FormatCase:
    """A format's log: ``head`` has the lines that must stand first, ``lines`` hold the rejections ``found``, in order.

    ``others`` are lines of the same program that are none.
    """

    format: str
    lines: tuple[str, ...]
    found: tuple[Rejection, ...]
    others: tuple[str, ...]
    head: tuple[str, ...] = ()


def read(name: str, lines: Sequence[str], zone: tzinfo = UTC) -> tuple[list[Rejection], list[str]]:
    """The rejections that a format finds in ``lines``, and what it says of those that it cannot read."""
    unread: list[str] = []
    return list(_read(name, lines, zone, unread)), unread


def _read(name: str, lines: Sequence[str], zone: tzinfo, unread: list[str]) -> Iterator[Rejection]:
    reader = FORMATS[name].reader(LogOrigin(NEWEST, zone))
    for number, text in enumerate(lines, 1):
        try:
            yield from reader.read(LogLine(text, LogPlace("log", number)))
        except UnreadLineError as fault:
            unread.append(str(fault))
    yield from reader.end()


NOWHERE = LogPlace("", 0)
"""Where a rejection of a case stands; the contract looks at that by itself."""


def at(clock: str) -> datetime:
    """A time of the day before the newest."""
    return datetime.fromisoformat(f"2026-11-26T{clock}+00:00")
