"""Reads a large plain file in parts: grep finds the lines that matter, in as many processes as there are cores.

Most of those lines stand alone and are read where they were found. The others, which may need each other, are read in
their order by the process that asked for it all.
"""

import marshal
import multiprocessing
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from datetime import tzinfo
from signal import SIG_IGN, SIGINT, signal
from typing import NamedTuple

from safelist.rejections import grep
from safelist.rejections.format import LogFormat, LogOrigin
from safelist.rejections.log_files import BrokenLogError, LogFile
from safelist.rejections.mail_row import MailRow, further_down
from safelist.rejections.quick import QuickReader
from safelist.rejections.reading import (
    LONGEST,
    LONGEST_ALONE,
    MixedReader,
    ReadSoFar,
    UnreadLine,
    alone_in,
    shortest,
)
from safelist.rejections.rejection import LogPlace, Rejection

PART = 1 << 24
"""Bytes of one part."""
_BLOCK = 1 << 20
_MOST_PROCESSES = 4
"""More of them find more than one can count."""

RowOf = Callable[[Rejection], MailRow | None]
"""Makes the row of a rejection; None: it is not wanted."""


class _FilePart(NamedTuple):
    """Bytes of a file, in which whole lines stand. ``with_company``: the needles beside others are searched, too."""

    begin: int
    end: int
    with_company: bool


class _PartRead(NamedTuple):
    """What stands in a part: each line's number, from 1, and its row or, where it may not stand alone, itself."""

    lines: int
    found: list[tuple[int, MailRow | bytes]]
    formats: dict[str, int]
    wants_company: bool


def is_large(log: LogFile, formats: Mapping[str, LogFormat], from_size: int = PART) -> bool:
    """Whether a log is a plain file, of so many bytes, that grep can search.

    It cannot search the journal's entries, whose texts may be written in numbers, nor what is not read by lines.
    """
    if log.plain is None or os.fstat(log.plain).st_size < from_size or not grep.is_there():
        return False
    first = os.pread(log.plain, LONGEST, 0)
    return not first.startswith(b"{") and alone_in(first, formats.values()) is None


def processes() -> int:
    """In how many processes a file is read: one a core; this one alone where others cannot be made like it."""
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES) if can_fork else 1


class LargeFile:
    """A log that :func:`is_large`; what ``row_of`` makes of its rejections is read."""

    def __init__(
        self, log: LogFile, formats: Mapping[str, LogFormat], zone: tzinfo, so_far: ReadSoFar, row_of: RowOf
    ) -> None:  # fmt: skip
        self._origin = LogOrigin(log.newest, zone)
        self._mixed = MixedReader(formats.values(), self._origin, so_far)
        self._parts = _PartReader(log, formats, self._origin, row_of)
        self._log, self._so_far, self._row_of = log, so_far, row_of
        self._with_company = False

    def read(self, in_processes: int, size: int = PART) -> Iterator[MailRow | UnreadLine]:
        """What :func:`safelist.rejections.reading.read` finds, as rows; ``size``: about so many bytes are one part."""
        try:
            yield from self._read(in_processes, size)
        except BrokenLogError as error:
            self._so_far.problem = f"{self._log.name}: {error}"
        except OSError as error:
            self._so_far.problem = f"{self._log.name}: cannot be read to its end ({error})"
        except BrokenExecutor:
            self._so_far.problem = f"{self._log.name}: a process that read it was ended; is there too little memory?"

    def _read(self, in_processes: int, size: int) -> Iterator[MailRow | UnreadLine]:
        before = 0
        for part, read in self._in_order(in_processes, size):
            for number, what in read.found:
                self._so_far.lines = before + number
                if isinstance(what, bytes):
                    yield from self._rows(self._mixed.read_one(what))
                else:
                    yield further_down(what, before)
            before += read.lines
            self._count(before, part.end, read.formats)
        yield from self._rows(self._mixed.end())

    def _rows(self, found: Iterable[Rejection | UnreadLine]) -> Iterator[MailRow | UnreadLine]:
        for each in found:
            if (row := each if isinstance(each, UnreadLine) else self._row_of(each)) is not None:
                yield row

    def _count(self, lines: int, size: int, formats: Mapping[str, int]) -> None:
        self._so_far.lines, self._so_far.size = lines, size
        for name, count in formats.items():
            self._so_far.formats[name] = self._so_far.formats.get(name, 0) + count

    def _in_order(self, in_processes: int, size: int) -> Iterator[tuple[_FilePart, _PartRead]]:
        """Each part; one is read again where it turns out that it holds what needs company, and so are those behind."""
        for part, read in self._answers(in_processes, size):
            self._with_company |= read.wants_company
            if self._with_company and not part.with_company:
                yield part, self._parts.read(part._replace(with_company=True))
            else:
                yield part, read

    def _answers(self, in_processes: int, size: int) -> Iterator[tuple[_FilePart, _PartRead]]:
        if in_processes == 1:
            yield from ((part, self._parts.read(part)) for part in self._cut(size))
            return
        context = multiprocessing.get_context("fork")  # it hands on the open file, and what cannot be pickled
        waiting: deque[tuple[_FilePart, Future[bytes]]] = deque()
        with ProcessPoolExecutor(in_processes, context, _begin, (self._parts,)) as pool:
            for part in self._cut(size):
                waiting.append((part, pool.submit(_read_in_process, part)))
                if len(waiting) > 2 * in_processes:
                    yield _answer(*waiting.popleft())
            yield from (_answer(*each) for each in waiting)

    def _cut(self, size: int) -> Iterator[_FilePart]:
        """Parts that end where a line ends."""
        descriptor, begin = self._log.plain or 0, 0
        total = os.fstat(descriptor).st_size
        while begin < total:
            end = _line_end(descriptor, min(begin + size, total))
            yield _FilePart(begin, end, self._with_company)
            begin = end


def _answer(part: _FilePart, read: "Future[bytes]") -> tuple[_FilePart, _PartRead]:
    return part, _PartRead(*marshal.loads(read.result()))  # noqa: S302 (a process of this one wrote it)


def _line_end(descriptor: int, at: int) -> int:
    """Where the line ends that has the byte in front of ``at``, or after more than any line may have."""
    if not (block := os.pread(descriptor, LONGEST_ALONE, at - 1)):
        return at  # it was shortened meanwhile
    return at + block.find(b"\n") if b"\n" in block else at - 1 + len(block)


class _PartReader:
    """Reads one part; each process has its own copy."""

    def __init__(
        self, log: LogFile, formats: Mapping[str, LogFormat], origin: LogOrigin, row_of: RowOf
    ) -> None:  # fmt: skip
        mixed = [each for each in formats.values() if each.needles]
        self._log, self._row_of = log, row_of
        self._quick = QuickReader(mixed, origin)
        self._line = re.compile(rf"^{grep.HEAD}((?:{self._quick.pattern})\r*|.*)$", re.ASCII | re.MULTILINE)
        needles = {needle for each in mixed for needle in each.needles}
        company = {other for each in mixed for others in each.beside.values() for other in others}
        self._searched = {False: shortest(needles), True: shortest(needles | company)}
        self._beside = {needle for each in mixed for needle in each.beside}

    def read(self, part: _FilePart) -> _PartRead:
        """What stands in it. Raises BrokenLogError."""
        needles, file = self._searched[part.with_company], self._log.plain or 0
        output = grep.lines_with_one_of(needles, file, part.begin, part.end)
        formats: Counter[str] = Counter()
        found: list[tuple[int, MailRow | bytes]] = []
        wants_company, last, at = False, "1", "0"
        for line in self._line.finditer(output.decode("latin-1")):  # which gives each byte back
            last, at, text, *said = line.groups("")
            number = int(last)
            if (quick := self._quick.read(said, LogPlace(self._log.name, number))) is not None:
                formats[quick[0]] += 1
                if (row := self._row_of(quick[1])) is not None:
                    found.append((number, row))
                continue
            other = text.encode("latin-1")
            if any(needle in other for needle in needles):
                found.append((number, other.rstrip(b"\r")))
                wants_company |= any(needle in other for needle in self._beside)
        lines = int(last) - 1 + _count_lines(file, part.begin + int(at), part.end)
        return _PartRead(lines, found, dict(formats), wants_company)


_reader: _PartReader | None = None
"""Of a process that reads parts."""


def _begin(reader: _PartReader) -> None:
    global _reader
    _reader = reader
    signal(SIGINT, SIG_IGN)  # it ends with the process that asked for it


def _read_in_process(part: _FilePart) -> bytes:
    """In a form that is made and read in half of pickle's time, and that no thread of the pool reads in between."""
    if _reader is None:
        raise RuntimeError("a process that reads parts was given no reader")
    return marshal.dumps(tuple(_reader.read(part)))


def _count_lines(descriptor: int, begin: int, end: int) -> int:
    """How many lines are between these bytes of the open file; the last one may lack its end."""
    lines, last = 0, b"\n"
    while begin < end and (block := os.pread(descriptor, min(_BLOCK, end - begin), begin)):
        lines += block.count(b"\n")
        begin, last = begin + len(block), block[-1:]
    return lines + (last != b"\n")
