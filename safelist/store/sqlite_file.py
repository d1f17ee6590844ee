"""Opening an SQLite file: to write in it, or only to read it, whoever owns it and wherever it lies."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from safelist.errors import TemporaryError

_VERSIONS = slice(18, 20)
"""Where a database's header says how it is written and read: 2 for a write-ahead log (sqlite.org/fileformat2.html)."""
_WITH_LOG = b"\x02\x02"


def connect(path: Path, busy_seconds: float, pragmas: Sequence[str]) -> sqlite3.Connection:
    """Open an existing file only; WAL lets readers work while a run writes (sqlite.org/wal.html)."""
    return _connect(path, "mode=rw", busy_seconds, pragmas)


def connect_to_read(path: Path, busy_seconds: float, pragmas: Sequence[str]) -> sqlite3.Connection:
    """Open an existing file and leave no trace of it, neither in the file nor beside it.

    A file that was written with a log, and has none beside it, demands that one can be made there, unless nobody is
    said to write (sqlite.org/uri.html, "immutable"); whether that was so, :func:`watch` says afterwards.
    """
    query = "mode=ro&immutable=1" if _lacks_log(path) else "mode=ro"
    return _connect(path, query, busy_seconds, pragmas)


def _connect(path: Path, query: str, busy_seconds: float, pragmas: Sequence[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{query}", uri=True, timeout=busy_seconds, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()
    except BaseException:
        connection.close()
        raise
    return connection


def _lacks_log(path: Path) -> bool:
    """Whether the file was written with a log that is all worked into it."""
    try:
        with path.open("rb") as file:
            has_log = file.read(_VERSIONS.stop)[_VERSIONS] == _WITH_LOG
        return has_log and not _log_of(path).exists()
    except OSError:
        return False  # SQLite says what is wrong


def _log_of(path: Path) -> Path:
    real = path.resolve()  # as SQLite follows links
    return real.with_name(f"{real.name}-wal")


def may_be_written(path: Path) -> bool:
    """Whether this user may write the file and beside it; as far as is known where it cannot be seen."""
    try:
        is_there = path.exists()
    except OSError:
        return True  # whoever opens it says what is wrong
    return not is_there or (os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK))


def watch(path: Path | None) -> Callable[[], None]:
    """What to ask after reading: it raises TemporaryError where the file (None: there is none) was written into since.

    A file of that name that took the place of this one does no harm: the one that was opened stays as it is.
    """
    before = _seen(path)

    def check() -> None:
        after = _seen(path)
        if before is not None and after is not None and after != before and after[0] == before[0]:
            raise TemporaryError(f"{path}: it was written while it was read; do not use this answer, and ask again")

    return check


def _seen(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
