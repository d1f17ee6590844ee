"""Reads a log into rejections: finds the few lines that matter in large pieces, and hands them to their formats."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import NamedTuple

from safelist.rejections.format import LogFormat, LogLine, LogOrigin, LogReader, UnreadLineError
from safelist.rejections.log_files import BrokenLogError, LogFile, blocks
from safelist.rejections.quick import QuickReader
from safelist.rejections.rejection import LogPlace, Rejection
from safelist.rejections.syslog import JOURNAL_NEEDLES

_BLOCK = 1 << 20
LONGEST = 1 << 16
"""Bytes of a line among others'; syslog cuts them far earlier."""
LONGEST_ALONE = 1 << 24
"""Bytes of a line in a file that is of one format: rspamd's history is one."""
_HEAD = 10
"""Lines by which a file is recognised that is of one format."""


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
    log: LogFile, formats: Mapping[str, LogFormat], zone: tzinfo, so_far: ReadSoFar
) -> Iterator[Rejection | UnreadLine]:
    """Everything in a log that these formats know as a rejection, in its order; ``so_far`` is kept up to date."""
    origin = LogOrigin(log.newest, zone)
    try:
        pieces = _whole_lines(log, so_far)
        first = next(pieces, b"")
        if (alone := alone_in(first, formats.values())) is None:
            yield from MixedReader(formats.values(), origin, so_far).read(first, pieces)
        else:
            yield from _read_alone(alone, origin, first, pieces, so_far)
    except BrokenLogError as error:
        so_far.problem = str(error)


def _whole_lines(log: LogFile, so_far: ReadSoFar) -> Iterator[bytes]:
    """The log in pieces that end where a line ends, or after more than any line may have."""
    rest = b""
    for block in blocks(log, _BLOCK):
        so_far.size += len(block)
        end = block.rfind(b"\n") + 1
        if end or len(rest) > LONGEST_ALONE:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
    if rest:
        yield rest


def alone_in(first: bytes, formats: Iterable[LogFormat]) -> LogFormat | None:
    """The format that has the file which begins like that for itself."""
    head = text_of(b"\n".join(first[:LONGEST].splitlines()[:_HEAD])).removeprefix("\ufeff")
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
            yield from _read_line(reader, format_.name, text, so_far, LONGEST_ALONE)
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
    return _read_text(reader, name, text_of(line), so_far)


def _too_long(line: bytes, so_far: ReadSoFar, longest: int) -> UnreadLine:
    return UnreadLine(LogPlace(so_far.name, so_far.lines), text_of(line[:1000]), f"it has more than {longest} bytes")


def _read_text(reader: LogReader, name: str, text: str, so_far: ReadSoFar) -> Iterator[Rejection | UnreadLine]:
    place = LogPlace(so_far.name, so_far.lines)
    try:
        for found in reader.read(LogLine(text, place)):
            so_far.formats[name] = so_far.formats.get(name, 0) + 1
            yield found
    except UnreadLineError as fault:
        yield UnreadLine(place, text, str(fault))


def text_of(line: bytes) -> str:
    """UTF-8, and whatever is none (an old server's own alphabet) as its bytes in ``\\x`` form."""
    return line.decode(errors="backslashreplace")


class MixedReader:
    """Reads a log in which lines of several programs stand: only those with a needle in them are looked at."""

    def __init__(self, formats: Iterable[LogFormat], origin: LogOrigin, so_far: ReadSoFar) -> None:
        self._formats = [each for each in formats if each.needles]
        self._readers = {each.name: each.reader(origin) for each in self._formats}
        self._quick = QuickReader(self._formats, origin)
        self._needles = {needle for each in self._formats for needle in each.needles}
        self._beside = [pair for each in self._formats for pair in each.beside.items()]
        self._near: set[bytes] = set()
        self._so_far = so_far

    def read(self, first: bytes, pieces: Iterator[bytes]) -> Iterator[Rejection | UnreadLine]:
        """What stands in pieces of whole lines."""
        for piece in _and_then(first, pieces):
            yield from self._read(piece)
        yield from self.end()

    def end(self) -> Iterator[Rejection]:
        """What is complete because the log ends."""
        for name, reader in self._readers.items():
            for found in reader.end():
                self._so_far.formats[name] = self._so_far.formats.get(name, 0) + 1
                yield found

    def _read(self, piece: bytes) -> Iterator[Rejection | UnreadLine]:
        counted, before = 0, self._so_far.lines
        for begin, end in lines_with(shortest(self._wanted(piece)), piece):
            before += piece.count(b"\n", counted, begin)
            counted, self._so_far.lines = begin, before + 1
            yield from self.read_one(piece[begin:end].rstrip(b"\r"))
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

    def read_one(self, line: bytes) -> Iterable[Rejection | UnreadLine]:
        """What a line with a needle completes; ``so_far.lines`` is its number."""
        text = text_of(line[:LONGEST])
        if (found := self._quick.read_line(text, LogPlace(self._so_far.name, self._so_far.lines))) is not None:
            name, rejection = found
            self._so_far.formats[name] = self._so_far.formats.get(name, 0) + 1
            return (rejection,)
        for each in self._formats:
            if each.recognises(text):
                reader = self._readers[each.name]
                if len(line) > LONGEST:
                    return (_too_long(line, self._so_far, LONGEST),)
                return _read_text(reader, each.name, text, self._so_far)
        return ()


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
