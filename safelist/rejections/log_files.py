"""Opens the logs that a site has: files, directories of them, standard input, the journal; also when compressed."""

import bz2
import gzip
import io
import lzma
import os
import stat
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple, cast

from safelist.errors import PermissionDeniedError, UnavailableError, UsageError

STDIN = "-"
_MAGIC: tuple[tuple[bytes, Callable[[IO[bytes]], IO[bytes]]], ...] = (
    (b"\x1f\x8b", lambda raw: cast("IO[bytes]", gzip.GzipFile(fileobj=raw))),
    (b"\xfd7zXZ\x00", lambda raw: cast("IO[bytes]", lzma.LZMAFile(raw))),  # noqa: SIM115 (it reads what is closed elsewhere)
    (b"BZh", lambda raw: cast("IO[bytes]", bz2.BZ2File(raw))),
)
"""How a compressed file begins, whatever its name; zstandard is not in Python's library."""
_UNPACKED_ELSEWHERE = ((b"\x28\xb5\x2f\xfd", "zstd -dc"), (b"\x1f\x9d", "uncompress -c"), (b"PK\x03\x04", "unzip -p"))
_JOURNAL = ("journalctl", "--output=json", "--no-pager", "--quiet")


class LogFile(NamedTuple):
    """An open log; ``newest`` is when it was written last, or now; ``plain`` is the descriptor of a file as it is."""

    name: str
    stream: IO[bytes]
    newest: datetime
    plain: int | None = None


class BrokenLogError(Exception):
    """A log that ends in the middle, or cannot be read any further; what came before it counts."""


def named(names: Iterable[str]) -> Iterator[str]:
    """The files that were named, those in a directory by age, the oldest first. Raises UsageError where one is not.

    A file that is named twice, also by another name of it, is read once: its mails were not refused twice.
    """
    seen: set[tuple[int, int]] = set()
    for name in _named(names):
        file = _file(name)
        if file is None or file not in seen:
            yield name
        if file is not None:
            seen.add(file)


def _file(name: str) -> tuple[int, int] | None:
    """Which one it is, whatever its name; None where it has none, or is gone, which is told where it is opened."""
    if name == STDIN:
        return None
    with suppress(OSError):
        found = Path(name).stat()
        return found.st_dev, found.st_ino
    return None


def _named(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = Path(name)
        if name != STDIN and path.is_dir():
            yield from map(str, _in_directory(path))
        elif name == STDIN or path.exists():
            yield name
        else:
            raise UsageError(f"{name}: there is no such file or directory")


def _in_directory(path: Path) -> list[Path]:
    try:
        files = sorted((each for each in path.iterdir() if each.is_file()), key=_age)
    except OSError as error:
        raise PermissionDeniedError(f"{path}: cannot be read ({error.strerror}); run it as one who may") from None
    if not files:
        raise UsageError(f"{path}: no file is in it; directories below it are not looked into: name the logs' own")
    return files


def _age(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except FileNotFoundError:  # rotation took it away, which is told where it is opened
        return 0, path.name


@contextmanager
def in_directory(name: str, now: datetime) -> Iterator[LogFile]:
    """As :func:`opened`, for a file that nobody named: where it cannot be opened it is a broken one."""
    with ExitStack() as stack:
        try:
            log = stack.enter_context(opened(name, now))
        except (PermissionDeniedError, UsageError) as error:
            log = LogFile(name, cast("IO[bytes]", _Unreadable(str(error))), now)
        yield log


class _Unreadable(io.RawIOBase):
    def __init__(self, why: str) -> None:
        self._why = why

    def read(self, size: int = -1, /) -> bytes:
        raise BrokenLogError(self._why)


@contextmanager
def opened(name: str, now: datetime) -> Iterator[LogFile]:
    """The log of that name, unpacked by what it begins with. Raises PermissionDeniedError, UsageError."""
    if name == STDIN:
        yield LogFile("standard input", _unpacked(name, sys.stdin.buffer), now)
        return
    try:
        raw = Path(name).open("rb", buffering=0)  # noqa: SIM115 (closed below)
    except OSError as error:
        raise PermissionDeniedError(f"{name}: cannot be read ({error.strerror}); run it as one who may") from None
    with raw:
        newest = min(now, datetime.fromtimestamp(os.fstat(raw.fileno()).st_mtime, UTC))
        stream = _unpacked(name, raw)
        is_plain = isinstance(stream, io.BufferedReader) and stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
        yield LogFile(name, stream, newest, raw.fileno() if is_plain else None)


def _unpacked(name: str, raw: IO[bytes]) -> IO[bytes]:
    peeking = io.BufferedReader(cast("io.RawIOBase", raw), 1 << 16)
    try:
        begin = peeking.peek(8)[:8]
    except OSError as error:
        raise UsageError(f"{name}: cannot be read ({error.strerror})") from None
    for magic, program in _UNPACKED_ELSEWHERE:
        if begin.startswith(magic):
            raise UsageError(f"{name}: is packed in a form that safelist does not read: {program} {name} | ... -")
    return next((unpack(peeking) for magic, unpack in _MAGIC if begin.startswith(magic)), peeking)


@contextmanager
def journal(now: datetime, units: Iterable[str] = ()) -> Iterator[LogFile]:
    """systemd's journal, oldest first, of these units (patterns) or whole. Raises UnavailableError."""
    command = (*_JOURNAL, *(f"--unit={unit}" for unit in units))
    try:
        process = subprocess.Popen(  # noqa: S603 (units are arguments of one option each)
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise UnavailableError(f"the journal cannot be read: journalctl: {error.strerror}") from None
    with process:
        yield LogFile("journal", cast("IO[bytes]", process.stdout), now)
        said = cast("IO[bytes]", process.stderr).read(1000).decode(errors="replace").strip()
    if process.returncode:
        raise UnavailableError(f"the journal cannot be read: {said or process.returncode}; is this user in adm?")


def blocks(log: LogFile, size: int) -> Iterator[bytes]:
    """The log in pieces. Raises BrokenLogError where it cannot be read any further."""
    try:
        while block := log.stream.read(size):
            yield block
    except (EOFError, OSError, lzma.LZMAError, zlib.error, ValueError) as error:
        raise BrokenLogError(f"{log.name}: cannot be read to its end ({str(error) or 'cut off'})") from error
