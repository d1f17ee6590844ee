"""Who may write: one for the whole database, or one for each source; who it is, is said to the one who comes second."""

import getpass
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import SQLAlchemyError

from safelist.errors import PermissionDeniedError, TemporaryError, UnavailableError
from safelist.store import lockfile
from safelist.store.database import disk_failure, failures, file_of, make_engine, parse_url, shown

_KEY = int.from_bytes(b"safelist", "big")
"""The advisory lock's number: one aggregate in a PostgreSQL database."""
_SHOWN = 63
"""Bytes of an application_name (NAMEDATALEN less one)."""
_TALK_SECONDS = 20
_ANYTHING = text("SELECT 1")
# What would end a transaction that is long and idle; which of them there are depends on the server's version.
_NO_TIMEOUTS = text(
    "SELECT set_config(name, '0', true) FROM pg_settings "
    "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
)
_WHO_HOLDS = text(
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database "
    "WHERE datname = current_database()) AND (CAST(l.classid AS bigint) << 32) + CAST(l.objid AS bigint) = :key "
    "AND l.pid <> pg_backend_pid()"
)


class _LockHolder(NamedTuple):
    what: str
    user: str
    host: str
    pid: int
    since: str


@contextmanager
def hold(url: str, what: str, now: datetime, source: str | None = None) -> Iterator[None]:
    """Be the only one who writes to the database of ``url``, or with a ``source`` the only one who collects from it.

    Those who collect from other sources then work side by side, and nobody holds the whole. Raises TemporaryError that
    says who is there, if it is taken. A holder that dies, however it dies, leaves the lock free.
    """
    parsed = parse_url(url)
    me = _LockHolder(what, _user(), socket.gethostname(), os.getpid(), f"{now:%Y-%m-%d %H:%M} UTC")
    path = file_of(parsed)
    with _hold_advisory(parsed, me, source) if path is None else _hold_files(path, me, source):
        yield


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@contextmanager
def _hold_files(path: Path, me: _LockHolder, source: str | None) -> Iterator[None]:
    """The whole database's lock file; for a source a share of it, and the source's own."""
    real = Path(os.path.realpath(path))
    whole = real.with_name(f"{real.name}.lock")
    of_sources = f"{real.name}.*.lock"
    if source is None:
        with _hold_file(whole, me, lambda: _first_told(real.parent.glob(of_sources))):
            yield
        return
    handle = _take(whole, is_shared=True)
    try:
        with _hold_file(real.with_name(of_sources.replace("*", source)), me):
            yield
    finally:
        os.close(handle)


@contextmanager
def _hold_file(path: Path, me: _LockHolder, otherwise: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """flock(2) is the truth; the text in the file only tells the next one whom to ask, or ``otherwise`` does."""
    handle = _take(path, otherwise)
    try:
        lockfile.tell(handle, json.dumps(me._asdict()).encode())
        yield
        lockfile.tell(handle, b"")
    finally:
        os.close(handle)


def _first_told(paths: Iterable[Path]) -> str | None:
    """Who holds the first of those lock files that somebody holds."""
    return next((told for path in sorted(paths) if (told := _holder(lockfile.held_by(path)))), None)


def _take(path: Path, otherwise: Callable[[], str | None] = lambda: None, *, is_shared: bool = False) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return lockfile.take(path, is_shared=is_shared)
    except lockfile.HeldError as held:
        raise _taken(_holder(held.text) or otherwise()) from None
    except PermissionError as error:
        raise PermissionDeniedError(f"{error.filename}: may not be written by this user") from None
    except OSError as error:
        raise disk_failure(path, error, "cannot be opened") from None


def _holder(text: bytes) -> str | None:
    try:
        return _told(_LockHolder(**json.loads(text)))
    except (ValueError, TypeError):
        return None


def _told(holder: _LockHolder) -> str:
    return f"{holder.what} by {holder.user} on {holder.host} (process {holder.pid}) since {holder.since}"


@contextmanager
def _hold_advisory(url: URL, me: _LockHolder, source: str | None) -> Iterator[None]:
    """A lock of a transaction that stays open, which PostgreSQL ends with the connection.

    A lock of a session would stay behind on a connection that a pooler such as pgbouncer hands to the next transaction;
    one that is in a transaction is handed to nobody.
    """
    engine = make_engine(url)
    try:
        with failures(url):
            # No snapshot is kept between the statements: vacuum is not held up.
            connection = engine.connect().execution_options(isolation_level="READ COMMITTED")
        with connection:
            with failures(url):
                _take_advisory(connection, me, source)
            with _kept_alive(connection):
                yield
            _check_still_held(connection, url)
    finally:
        engine.dispose()


def _take_advisory(connection: Connection, me: _LockHolder, source: str | None) -> None:
    """Take the whole's lock; for a source a share of it, and the source's own."""
    taken = [(_KEY, "")] if source is None else [(_KEY, "_shared"), (_key_of(source), "")]
    busy = next((key for key, how in taken if not _try_advisory(connection, key, how)), None)
    if busy is None:
        connection.execute(text("SELECT set_config('application_name', :name, true)"), {"name": _shown_to_all(me)})
        connection.execute(_NO_TIMEOUTS)
        return
    holder = connection.execute(_WHO_HOLDS, {"key": busy}).scalar()
    raise _taken(holder.removeprefix("safelist ") if holder else None)


def _shown_to_all(me: _LockHolder) -> str:
    """Who holds it, as PostgreSQL keeps it, and every user may read it: where it is too long, the names are cut."""
    before, behind = f"safelist {me.what} by ", f" ({me.pid}) since {me.since}"
    who = f"{me.user} on {me.host}".encode("ascii", "replace").decode()  # as PostgreSQL itself would write it
    return before + who[: _SHOWN - len(before) - len(behind)] + behind


def _try_advisory(connection: Connection, key: int, how: str) -> bool:
    return bool(connection.execute(text(f"SELECT pg_try_advisory_xact_lock{how}(:key)"), {"key": key}).scalar())


def _key_of(source: str) -> int:
    """A number of 63 bits for the source's lock."""
    return int.from_bytes(hashlib.blake2b(f"safelist {source}".encode(), digest_size=8).digest(), "big") >> 1


@contextmanager
def _kept_alive(connection: Connection) -> Iterator[None]:
    """A word now and then, for poolers (pgbouncer's idle_transaction_timeout) and firewalls that cut silent lines."""
    end = Event()

    def talk() -> None:
        with suppress(SQLAlchemyError):  # said at the end
            while not end.wait(_TALK_SECONDS):
                connection.execute(_ANYTHING)

    talker = Thread(target=talk, daemon=True)
    talker.start()
    try:
        yield
    finally:
        end.set()
        talker.join()


def _check_still_held(connection: Connection, url: URL) -> None:
    try:
        connection.execute(_ANYTHING)
    except SQLAlchemyError:
        raise UnavailableError(
            f"{shown(url)}: the connection that held the lock was cut while "
            "this command worked; what it recorded is whole, but another safelist may have worked beside it. Look for "
            "what ends connections (a restart, a pooler's idle_transaction_timeout), and run it again"
        ) from None


def _taken(holder: str | None) -> TemporaryError:
    return TemporaryError(f"another safelist is at work: {holder or 'it does not say who'}; nothing was done")
