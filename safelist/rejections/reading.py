"""Reads a log into rejections: finds the few lines that matter in large pieces, and hands them to their formats."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import NamedTuple

from safelist.rejections import grep
from safelist.rejections.format import LogFormat, LogLine, LogOrigin, LogReader, UnreadLineError
from safelist.rejections.log_files import BrokenLogError, LogFile, blocks
from safelist.rejections.rejection import LogPlace, Rejection
from safelist.rejections.syslog import JOURNAL_NEEDLES

_BLOCK = 1 << 20
_LONGEST = 1 << 16
"""Bytes of a line among others'; syslog cuts them far earlier."""
_LONGEST_ALONE = 1 << 24
"""Bytes of a line in a file that is of one format: rspamd's history is one."""
_HEAD = 10
"""Lines by which a file is recognised that is of one format."""
_GREP_FROM = 1 << 24
"""Bytes of a file from which on it pays to start a grep."""


class UnreadLine(NamedTuple):
    """A line that looks like a rejection, and why it could not be read."""

    place: LogPlace
    text: str
    why: str


@dataclass(slots=True)
class ReadSoFar:
    """What was read of a log: bytes (unpacked) and lines; ``problem`` is why it ended early."""

    name: str
    size: int = 0
    lines: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    """How many rejections each format found."""
    problem: str | None = None


def read(
    log: LogFile, formats: Mapping[str, LogFormat], zone: tzinfo, so_far: ReadSoFar, grep_from: int = _GREP_FROM
) -> Iterator[Rejection | UnreadLine]:
    """Everything in a log that these formats know as a rejection, in its order; ``so_far`` is kept up to date.

    Plain files of ``grep_from`` bytes and more are searched by grep where there is one, which finds the same.
    """
    origin = LogOrigin(log.newest, zone)
    try:
        pieces = _whole_lines(log, so_far)
        first = next(pieces, b"")
        alone = _alone(first, formats.values())
        if alone is None:
            mixed = _Mixed([each for each in formats.values() if each.needles], origin, so_far)
            if (plain := _for_grep(log, first, grep_from)) is None:
                yield from mixed.read(first, pieces)
            else:
                yield from mixed.read_with_grep(plain)
        else:
            yield from _read_alone(alone, origin, first, pieces, so_far)
    except BrokenLogError as error:
        so_far.problem = str(error)


def _for_grep(log: LogFile, first: bytes, grep_from: int) -> int | None:
    """The descriptor of a file that grep is to search: a large one, and no journal's, whose texts may be numbers."""
    if log.plain is None or first.startswith(b"{") or os.fstat(log.plain).st_size < grep_from or not grep.is_there():
        return None
    return log.plain


def _whole_lines(log: LogFile, so_far: ReadSoFar) -> Iterator[bytes]:
    """The log in pieces that end where a line ends, or after more than any line may have."""
    rest = b""
    for block in blocks(log, _BLOCK):
        so_far.size += len(block)
        end = block.rfind(b"\n") + 1
        if end or len(rest) > _LONGEST_ALONE:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
    if rest:
        yield rest


def _alone(first: bytes, formats: Iterable[LogFormat]) -> LogFormat | None:
    """The format that has the file for itself."""
    head = _text(b"\n".join(first[:_LONGEST].splitlines()[:_HEAD])).removeprefix("\ufeff")
    return next((each for each in formats if not each.needles and each.recognises(head)), None)


def _read_alone(
    format_: LogFormat, origin: LogOrigin, first: bytes, pieces: Iterator[bytes], so_far: ReadSoFar
) -> Iterator[Rejection | UnreadLine]:
    reader = format_.reader(origin)
    so_far.formats[format_.name] = 0
    for piece in _and_then(first, pieces):
        for line in piece.split(b"\n")[: -1 if piece.endswith(b"\n") else None]:
            so_far.lines += 1
            text = line.removesuffix(b"\r")
            yield from _read_line(reader, format_.name, text, so_far, _LONGEST_ALONE)
    for found in reader.end():
        so_far.formats[format_.name] += 1
        yield found


def _and_then(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _read_line(
    reader: LogReader, name: str, line: bytes, so_far: ReadSoFar, longest: int
) -> Iterator[Rejection | UnreadLine]:
    if len(line) > longest:
        return iter((_too_long(line, so_far, longest),))
    return _read_text(reader, name, _text(line), so_far)


def _too_long(line: bytes, so_far: ReadSoFar, longest: int) -> UnreadLine:
    return UnreadLine(LogPlace(so_far.name, so_far.lines), _text(line[:1000]), f"it has more than {longest} bytes")


def _read_text(reader: LogReader, name: str, text: str, so_far: ReadSoFar) -> Iterator[Rejection | UnreadLine]:
    place = LogPlace(so_far.name, so_far.lines)
    try:
        for found in reader.read(LogLine(text, place)):
            so_far.formats[name] = so_far.formats.get(name, 0) + 1
            yield found
    except UnreadLineError as fault:
        yield UnreadLine(place, text, str(fault))


def _text(line: bytes) -> str:
    """UTF-8, and whatever is none (an old server's own alphabet) as its bytes in ``\\x`` form."""
    return line.decode(errors="backslashreplace")


class _Mixed:
    """A log in which lines of several programs stand: only those with a needle in them are looked at."""

    def __init__(self, formats: Sequence[LogFormat], origin: LogOrigin, so_far: ReadSoFar) -> None:
        self._formats = formats
        self._readers = {each.name: each.reader(origin) for each in formats}
        self._needles = {needle for each in formats for needle in each.needles}
        self._beside = [pair for each in formats for pair in each.beside.items()]
        self._near: set[bytes] = set()
        self._so_far = so_far

    def read(self, first: bytes, pieces: Iterator[bytes]) -> Iterator[Rejection | UnreadLine]:
        for piece in _and_then(first, pieces):
            yield from self._read(piece)
        yield from self._end()

    def read_with_grep(self, plain: int) -> Iterator[Rejection | UnreadLine]:
        """The same of an open file."""
        needles = {*self._needles, *(other for _, others in self._beside for other in others)}
        for number, line in grep.lines_with_one_of(plain, shortest(needles), _LONGEST):
            self._so_far.lines = number
            yield from self._read_one(line.rstrip(b"\r"))
        self._so_far.lines, self._so_far.size = grep.count_lines(plain), os.fstat(plain).st_size
        yield from self._end()

    def _end(self) -> Iterator[Rejection]:
        for name, reader in self._readers.items():
            for found in reader.end():
                self._so_far.formats[name] = self._so_far.formats.get(name, 0) + 1
                yield found

    def _read(self, piece: bytes) -> Iterator[Rejection | UnreadLine]:
        counted, before = 0, self._so_far.lines
        for begin, end in lines_with(shortest(self._wanted(piece)), piece):
            before += piece.count(b"\n", counted, begin)
            counted, self._so_far.lines = begin, before + 1
            yield from self._read_one(piece[begin:end].rstrip(b"\r"))
        self._so_far.lines = before + piece.count(b"\n", counted) + (piece[-1:] not in (b"", b"\n"))

    def _wanted(self, piece: bytes) -> set[bytes]:
        """The needles to search: those of all formats, those beside what was found here or one piece before, and those
        of the journal's entries, whose texts may be written in numbers."""
        wanted = set(self._needles)
        if piece.startswith(b"{"):
            wanted.update(JOURNAL_NEEDLES)
        here = {needle for needle, _ in self._beside if needle in piece}
        wanted -= {needle for needle, _ in self._beside} - here  # it is known that they are not there
        wanted.update(other for needle, others in self._beside if needle in here | self._near for other in others)
        self._near = here
        return wanted

    def _read_one(self, line: bytes) -> Iterator[Rejection | UnreadLine]:
        text = _text(line[:_LONGEST])
        for each in self._formats:
            if each.recognises(text):
                reader = self._readers[each.name]
                if len(line) > _LONGEST:
                    return iter((_too_long(line, self._so_far, _LONGEST),))
                return _read_text(reader, each.name, text, self._so_far)
        return iter(())


def shortest(needles: set[bytes]) -> list[bytes]:
    """The needles without those that hold another: what has the longer one is found by the shorter."""
    return sorted(each for each in needles if not any(other in each for other in needles - {each}))


def lines_with(needles: Sequence[bytes], piece: bytes) -> list[tuple[int, int]]:
    """Begin and end of every line that holds a needle, in order.

    Each needle is searched in the whole piece: that costs a fraction of cutting it into lines, of which one in a
    hundred matters.
    """
    spans: set[tuple[int, int]] = set()
    for needle in needles:
        at = piece.find(needle)
        while at >= 0:
            end = piece.find(b"\n", at)
            end = len(piece) if end < 0 else end
            spans.add((piece.rfind(b"\n", 0, at) + 1, end))
            at = piece.find(needle, end)
    return sorted(spans)
