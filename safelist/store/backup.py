"""A backup: one SQLite file that holds the whole aggregate as it was at one moment, whatever it was in.

It is written under another name, verified, and only then gets its own: a file of that name is whole. It needs no log
beside it, so it can be read wherever it lies.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL

from safelist.errors import PermissionDeniedError, TamperedError, UsageError
from safelist.store import chain, migration
from safelist.store.copying import Copied, copy, counts
from safelist.store.database import (
    as_permitted,
    disk_failure,
    failures,
    file_of,
    make_engine,
    parse_url,
    read_only,
    shown,
    url_of_file,
)

_BESIDE = ("", "-wal", "-shm", "-journal", ".lock")
"""How the names of a database's files end (sqlite.org/tempfiles.html), and that of its lock."""


def backup(url: str, path: Path, *, replace: bool = False, group: int | None = None) -> Copied:
    """Write the aggregate at ``url`` into the new file ``path``, for its owner only, or for a ``group`` to read, too.

    Runs may go on meanwhile. Raises UsageError where the file is there and not to be replaced, TamperedError where the
    aggregate's chain does not hold: a good backup is not replaced by a bad one.
    """
    if not replace and path.exists():
        raise _is_there(path)
    _refuse_itself(parse_url(url), path)
    with _unfinished(path) as (file, handle):
        found = _write(parse_url(url), file)
        os.fsync(handle)
        if group is not None:
            _share(handle, path, group)
        _name(file, path, replace=replace)
    return found


def _share(handle: int, path: Path, group: int) -> None:
    try:
        os.fchown(handle, -1, group)
    except PermissionError:
        raise PermissionDeniedError(
            f"{path}: this user may not give a file to that group: only its members, and root, may; nothing was written"
        ) from None
    os.fchmod(handle, 0o640)


def _is_there(path: Path) -> UsageError:
    return UsageError(f"{path}: is there already, and was left as it is; name another file, or say --replace")


def _refuse_itself(source: URL, path: Path) -> None:
    """What a run records while the backup is made would be gone with the database that it replaces."""
    if (own := file_of(source)) is None:
        return
    own = own.resolve()  # SQLite's other files, and ours, are beside the one that a link leads to
    taken = {own.with_name(f"{own.name}{end}") for end in _BESIDE}
    if path.resolve() in taken or (path.exists() and own.exists() and path.samefile(own)):
        raise UsageError(f"{path}: is the database itself, or a file that belongs to it; name another file")


@contextmanager
def _unfinished(path: Path) -> Iterator[tuple[Path, int]]:
    """An empty file beside ``path`` that only its owner can open; it is gone afterwards unless it got another name."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".unfinished", dir=path.absolute().parent)
    except PermissionError:
        raise PermissionDeniedError(f"{path.absolute().parent}: may not be written by this user") from None
    except OSError as error:
        raise disk_failure(path, error, "cannot be created") from None
    try:
        yield Path(name), handle
    except OSError as error:
        raise disk_failure(path, error, "cannot be written") from None
    finally:
        os.close(handle)
        for each in (name, f"{name}-journal"):
            with suppress(FileNotFoundError):
                os.unlink(each)  # noqa: PTH108 (a name, not a path)


def _write(source: URL, file: Path) -> Copied:
    if file_of(source) is None:
        return copy(source.render_as_string(hide_password=False), url_of_file(file))
    _vacuum_into(source, file)
    return _verified(parse_url(url_of_file(file)), shown(source))


def _vacuum_into(source: URL, file: Path) -> None:
    """SQLite writes the file itself, of one moment and without a log (sqlite.org/lang_vacuum.html, "VACUUM INTO")."""
    engine = make_engine(as_permitted(source))
    try:
        migration.check(engine, source.render_as_string())
        with failures(source), engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)  # noqa: S101 (the driver of SQLite)
            raw.execute("VACUUM INTO ?", (str(file),))
    finally:
        engine.dispose()


def _verified(url: URL, source: str) -> Copied:
    engine = make_engine(read_only(url))
    try:
        with failures(url), engine.connect() as connection:
            found = chain.verify(connection)
            if found.problem:
                raise TamperedError(
                    f"{source}: the record was changed by something else than safelist: {found.problem}; no backup was "
                    "written; `safelist audit verify` says the same: compare it with the last backup"
                )
            return Copied(counts(connection), found.change_sets, found.head)
    finally:
        engine.dispose()


def _name(file: Path, path: Path, *, replace: bool) -> None:
    """Give the finished file its name, which nobody else's file loses unless it is to be replaced."""
    if replace:
        file.replace(path)
    else:
        _name_anew(file, path)
    _sync(path.absolute().parent)


def _name_anew(file: Path, path: Path) -> None:
    try:
        path.hardlink_to(file)
    except FileExistsError:
        raise _is_there(path) from None
    except OSError:  # such as on a share or a stick, whose files have one name each
        if path.exists():
            raise _is_there(path) from None
        file.replace(path)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
