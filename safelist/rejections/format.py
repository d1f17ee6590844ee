"""The contract of a log format: how its lines are told from others', and read into rejections. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import NamedTuple, Protocol

from safelist.rejections.rejection import LogPlace, Rejection


class LogLine(NamedTuple):
    """A line without its end, and where it stands."""

    text: str
    place: LogPlace


class LogOrigin(NamedTuple):
    """What is known of a log besides its lines.

    No line is newer than ``newest``, which tells the year of a time that has none. Times that do not say where they
    hold are of ``zone``.
    """

    newest: datetime
    zone: tzinfo


class UnreadLineError(Exception):
    """A line that looks like a rejection and cannot be read; the message says what was expected."""


class LogReader(Protocol):
    """Reads the lines of one log, in their order."""

    def read(self, line: LogLine) -> Iterable[Rejection]:
        """The rejections that are complete with this line. Raises UnreadLineError; the next line can be read then."""

    def end(self) -> Iterable[Rejection]:
        """The rejections that are complete because the log ends."""


class QuickForm(NamedTuple):
    """The commonest line of a format where it stands alone, without the end of the line.

    ``pattern`` matches all of it, in ASCII alone, and has groups for what ``read`` is given, none of them named.
    What that finds is what a reader would find, in a fraction of the time; None: a reader is to read the line.
    """

    pattern: str
    read: Callable[[Sequence[str], LogPlace, LogOrigin], Rejection | None]


@dataclass(frozen=True, slots=True)
class LogFormat:
    """One format.

    Lines that hold none of ``needles`` say nothing of a rejection and are not read, and lines of several such formats
    may stand in one file: it ``recognises`` a line. A format without needles needs each line, and has a file for
    itself: it recognises the file's first lines, which it is given as one text, without the ends of lines but one
    ``\\n`` between them. ``cannot_tell`` is a sentence for the documents and for ``--help``.

    ``beside`` has needles of lines that matter only near a line with one of ``needles``: they are searched where that
    one was found, and not much further. A search costs as much as a second of reading for every gigabyte.
    """

    name: str
    title: str
    needles: tuple[bytes, ...]
    recognises: Callable[[str], bool]
    reader: Callable[[LogOrigin], LogReader]
    cannot_tell: str
    beside: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    quick: QuickForm | None = None


class LineReader(NamedTuple):
    """The reader of a format whose every line stands alone."""

    parse: Callable[[LogLine], Iterable[Rejection]]

    def read(self, line: LogLine) -> Iterable[Rejection]:
        """What ``parse`` makes of the line."""
        return self.parse(line)

    def end(self) -> Iterator[Rejection]:
        """Nothing: no line waits for another."""
        return iter(())
