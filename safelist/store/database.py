"""Reaching the database: its URL, the engine, and every way in which it can fail, as a named error."""

import errno
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from safelist.errors import ConfigError, PermissionDeniedError, SafelistError, TemporaryError, UnavailableError
from safelist.store import sqlite_file
from safelist.store.look_rights import authorized

SETTING = "database.url"
"""The key of the aggregate's URL, which messages name."""
BUSY_SECONDS = 20
CONNECT_SECONDS = 10
# A checkpoint every 32 MB instead of every 4: a first run changes the same pages over and over.
_CACHE = "cache_size=-32768"
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", _CACHE, "wal_autocheckpoint=8000")

# SQLite's primary result codes (sqlite.org/rescode.html).
_SQLITE_FAILURES: dict[int, tuple[type[SafelistError], str]] = {
    sqlite3.SQLITE_PERM: (PermissionDeniedError, "may not be read or written by this user"),
    sqlite3.SQLITE_BUSY: (TemporaryError, "another program has held it locked for too long; try again later"),
    sqlite3.SQLITE_LOCKED: (TemporaryError, "another program has held it locked for too long; try again later"),
    sqlite3.SQLITE_READONLY: (PermissionDeniedError, "it and its directory must be writable by this user"),
    sqlite3.SQLITE_IOERR: (UnavailableError, "the disk does not work or is not a local one"),
    sqlite3.SQLITE_CORRUPT: (ConfigError, "the file is damaged; bring back a backup, or move it away and collect anew"),
    sqlite3.SQLITE_FULL: (
        UnavailableError,
        "the disk is full, there or where SQLite keeps temporary files (SQLITE_TMPDIR, /var/tmp); make room",
    ),
    sqlite3.SQLITE_CANTOPEN: (PermissionDeniedError, "it or its directory cannot be opened by this user"),
    sqlite3.SQLITE_AUTH: (PermissionDeniedError, "whoever shows pages may record looks and nothing else"),
    sqlite3.SQLITE_NOTADB: (ConfigError, "the file is not an SQLite database; name another file in database.url"),
}
# Those behind which the disk may be: SQLite says which call failed, not why.
_OF_THE_DISK = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL})
_PROBE_BYTES = 65536
"""A little more than SQLite adds to a -shm file at once (sqlite.org/walformat.html)."""
_DISK_FAILURES = {
    errno.ENOSPC: "the disk is full; make room and run it again; nothing that was recorded is lost",
    errno.EDQUOT: "the disk quota is used up; make room and run it again; nothing that was recorded is lost",
    errno.EROFS: "the disk is mounted read-only; mount it for writing, and look into the kernel's log for the reason",
    errno.EIO: "the disk does not work; look into the kernel's log",
}
# PostgreSQL's SQLSTATEs, by their beginning.
_POSTGRES_FAILURES: dict[str, tuple[type[SafelistError], str]] = {
    "28": (PermissionDeniedError, "the log-in was rejected"),
    "25006": (UnavailableError, "the server takes no writes: a standby, or switched to reading; name the primary"),
    "42501": (PermissionDeniedError, "this user lacks a privilege"),
    "3D": (ConfigError, "that database does not exist; create it with createdb"),
    "40": (TemporaryError, "another program was writing; try again later"),
    "23505": (TemporaryError, "another program was writing; try again later"),
    "55P03": (TemporaryError, "another program was writing; try again later"),
    "53100": (UnavailableError, "the server's disk is full; make room there and run it again; nothing is lost"),
    "53200": (TemporaryError, "the server is out of memory; try again later"),
    "53300": (TemporaryError, "the server has no connection left; try again later, or raise max_connections"),
    "53": (TemporaryError, "the server has no room for it now"),
    "57014": (
        UnavailableError,
        "the server ends what outlasts this role's statement_timeout: ALTER ROLE ... SET statement_timeout = 0",
    ),
    "57P": (UnavailableError, "the server, or this connection, was ended or is starting; try again later"),
    "58030": (UnavailableError, "the server cannot read or write its disk; its log says more"),
}

# What a server says at log-in whose encoding is so unlike Unicode that it knows no conversion.
_NO_CONVERSION = re.compile(r"conversion between UTF8 and (\w+) is not supported")


def parse_url(url: str, setting: str = SETTING, tested: Collection[str] | None = ("sqlite", "postgresql")) -> URL:
    """The URL as SQLAlchemy reads it, with the driver that safelist brings. Raises ConfigError, never showing it.

    ``setting`` is the key that it comes from; ``tested`` is None where any database will do.
    """
    if not url.startswith("sqlite") and (url.count("@") > 1 or "@" in url.partition("?")[2]):
        # It would be taken for the end of the password, and the rest of it for a part of the server's name.
        raise ConfigError(f"{setting}: inside a name, password or parameter write @ as %40 and ? as %3F")
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise ConfigError(
            f"{setting}: is not a URL; write sqlite:////var/lib/safelist/safelist.db "
            "or postgresql+psycopg://user@host/safelist"
        ) from None
    if parsed.get_backend_name() != "sqlite" and "@" in (parsed.database or ""):
        # A name with a / in it was taken for the server's, and the password behind it for the database's.
        raise ConfigError(f"{setting}: inside a name or password write / as %2F; the database's name holds no @")
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if tested is not None and parsed.get_backend_name() not in tested:
        raise ConfigError(
            f"{setting}: {parsed.get_backend_name()} is neither SQLite nor PostgreSQL, and nothing else is tested; "
            "write sqlite:////var/lib/safelist/safelist.db or postgresql+psycopg://user@host/safelist"
        )
    if parsed.get_backend_name() == "sqlite":
        _check_sqlite(parsed, setting)
    return parsed


def _check_sqlite(url: URL, setting: str) -> None:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigError(f"{setting}: must name a file: sqlite:////var/lib/safelist/safelist.db")
    try:
        _busy_seconds(url)
    except (TypeError, ValueError):
        raise ConfigError(f"{setting}: timeout must be a number of seconds") from None
    if unknown := set(url.query) - {"timeout", "mode"}:
        raise ConfigError(f"{setting}: SQLite knows timeout=SECONDS and mode=ro here, not {', '.join(sorted(unknown))}")
    if "mode" in url.query and not is_read_only(url):
        raise ConfigError(f"{setting}: mode may be ro, which reads the file and never writes; leave it out otherwise")


def is_read_only(url: URL) -> bool:
    """Whether the URL says that the file is only to be read."""
    return url.get_backend_name() == "sqlite" and url.query.get("mode") == "ro"


def read_only(url: URL) -> URL:
    """The URL of the same database, which is only to be read where it is a file."""
    return url.update_query_dict({"mode": "ro"}) if url.get_backend_name() == "sqlite" else url


def _busy_seconds(url: URL) -> float:
    """How long a statement waits for another program's transaction before it gives up."""
    return float(url.query.get("timeout", BUSY_SECONDS))  # type: ignore[arg-type] # a tuple is a TypeError


def with_patience(url: URL, seconds: float) -> URL:
    """The same, for whom a file that another program holds locked is soon no answer."""
    return url.update_query_dict({"timeout": f"{seconds:g}"}) if url.get_backend_name() == "sqlite" else url


def read_only_url(url: str, setting: str = SETTING) -> str:
    """The same as a text, of one. Raises ConfigError where it is none."""
    return read_only(parse_url(url, setting)).render_as_string(hide_password=False)


def as_permitted(url: URL) -> URL:
    """The URL, which is only to be read where this user may not write the file."""
    path = file_of(url)
    return url if path is None or sqlite_file.may_be_written(path) else read_only(url)


def shown_url(url: str) -> str:
    """The URL for people: without its password and without its parameters, among which may be secrets."""
    try:
        return shown(parse_url(url))
    except ConfigError:
        return "the database"


def shown(url: URL) -> str:
    """The same of a URL that was read already."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(query={}).render_as_string(hide_password=True)


def url_of_file(file: Path) -> str:
    """SQLite's URL of a file, whatever its name holds."""
    return URL.create("sqlite", database=str(file.absolute())).render_as_string(hide_password=False)


def file_of(url: URL) -> Path | None:
    """The database's file, when it is in one."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def make_engine(
    url: URL, *, is_upgrade: bool = False, is_ours: bool = True, only_looks: bool = False, setting: str = SETTING
) -> Engine:  # fmt: skip
    """An engine that has not connected yet. Raises ConfigError when the driver is unknown or not installed.

    One that is not ours keeps the journal that it has: SQLite notes in the file which it is. An upgrade replaces tables
    that others refer to, which SQLite would take for a fault of their foreign keys (sqlite.org/lang_altertable.html).
    """
    options: dict[str, Any] = {}
    if url.get_backend_name() == "sqlite":
        pragmas = (*(_PRAGMAS if is_ours else ()), f"foreign_keys={'OFF' if is_upgrade else 'ON'}")
        options = {"creator": _to_sqlite(url, pragmas, only_looks)}
        url = url.set(query={})  # what stands there is said to SQLite itself
    elif url.get_backend_name() == "postgresql":
        # Whatever PGCLIENTENCODING or the server's default says: texts are Unicode here.
        options = {"connect_args": {"connect_timeout": CONNECT_SECONDS, "client_encoding": "UTF8"}}
    with failures(url, setting):
        engine = create_engine(url, **options)
    if engine.dialect.is_async:
        raise ConfigError(f"{setting}: {url.drivername} is an asynchronous driver; leave the part after + out")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", _begin_sqlite)
        if (path := file_of(url)) is not None and only_looks:
            _follow(engine, path)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _prepare_postgres)
        event.listen(engine, "begin", _begin_postgres)
    return engine


def _to_sqlite(url: URL, pragmas: Sequence[str], only_looks: bool) -> Callable[[], sqlite3.Connection]:
    """What connects: to read only, where the URL says so."""
    path, seconds = Path(str(url.database)), _busy_seconds(url)
    if is_read_only(url):
        return lambda: sqlite_file.connect_to_read(path, seconds, (_CACHE,))
    if only_looks:
        return lambda: _for_looks(sqlite_file.connect(path, seconds, pragmas))
    return lambda: sqlite_file.connect(path, seconds, pragmas)


def _for_looks(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The same, by which nothing can be written but looks."""
    # Made once for a connection, and for that SQLite asks whether its own table may be written.
    connection.execute("SELECT value FROM json_each('[]')").close()
    connection.set_authorizer(authorized)
    return connection


def _follow(engine: Engine, path: Path) -> None:
    """Let connections to a file that was replaced, by a restored one for instance, be used no more.

    Whoever keeps one open for months would go on writing into what nobody reads again.
    """

    def note(_: object, record: ConnectionPoolEntry) -> None:
        record.info["file"] = _identity(path)

    def check(_: object, record: ConnectionPoolEntry, __: object) -> None:
        if record.info.get("file") != _identity(path):
            raise exc.DisconnectionError(f"{path} is another file now")

    event.listen(engine, "connect", note)
    event.listen(engine, "checkout", check)


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: a transaction that reads first could otherwise lose it half-way."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _prepare_postgres(connection: Any, _: object) -> None:
    """Nothing is prepared where a pooler such as pgbouncer may run the next transaction on another server connection.

    A pooler gives itself away: the process that the log-in named is not the one that answers.
    """
    if not hasattr(connection, "prepare_threshold"):
        return
    connection.autocommit = True
    (answering,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.autocommit = False
    if answering != connection.info.backend_pid:
        connection.prepare_threshold = None


def _begin_postgres(connection: Connection) -> None:
    """The promise of SQLite's synchronous=NORMAL: a power cut may take the last transactions, whole ones only.

    Said in each transaction: a setting of the session would stay behind on a pooled connection, for whoever comes next.
    """
    options = connection.get_execution_options()
    if options.get("writes"):
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
    if options.get("at_one_moment"):  # by default each statement sees what was committed before it
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def check_encoding(connection: Connection, url: URL) -> None:
    """Raises ConfigError where a PostgreSQL database cannot hold every text that users have in their lists.

    Of the encodings of a database only UTF8 holds all of Unicode (PostgreSQL's manual, table "Character Sets").
    """
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise _wrong_encoding(url, str(encoding))


def _wrong_encoding(url: URL, encoding: str) -> ConfigError:
    return ConfigError(
        f"{shown(url)}: its encoding is {encoding}, which cannot hold every sender that users list; create another "
        "database with `createdb -E UTF8 -T template0 -l C NAME` and name that in database.url"
    )


@contextmanager
def failures(url: URL, setting: str = SETTING) -> Iterator[None]:
    """Turn what the database library raises into errors that say what to do, without the URL's password.

    ``setting`` is the key that the URL comes from.
    """
    try:
        yield
    except exc.NoSuchModuleError:
        raise ConfigError(
            f"{setting}: {url.drivername} is unknown; write sqlite:///... or postgresql+psycopg://..."
        ) from None
    except ModuleNotFoundError as error:
        raise ConfigError(f"{setting}: {_missing_driver(url, error.name or '')}") from None
    except exc.DBAPIError as error:
        raise _failure(url, error.orig, setting) from None
    except sqlite3.Error as error:  # where SQLite is asked without SQLAlchemy
        raise _failure(url, error, setting) from None
    except exc.SQLAlchemyError as error:
        raise UnavailableError(f"{shown(url)}: {_told(url, error)}") from None


def _missing_driver(url: URL, module: str) -> str:
    if url.get_backend_name() == "postgresql":
        return f"the driver {module} is not installed: in safelist's checkout, pip install '.[postgres]'"
    return f"the driver {module} is not installed: pip install it beside safelist"


def disk_failure(path: Path, error: OSError, what: str) -> SafelistError:
    """The error for ``path`` that ``what`` ("cannot be opened") could not be done to, with what to do."""
    advice = _DISK_FAILURES.get(error.errno or 0)
    return UnavailableError(f"{path}: {what}: {advice or error.strerror}")


def _failure(url: URL, error: BaseException | None, setting: str) -> SafelistError:
    kind: type[SafelistError] = UnavailableError
    advice = ""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _OF_THE_DISK and (found := _disk_of(url, error)) is not None:
            return found
        kind, advice = _SQLITE_FAILURES.get(code, (UnavailableError, ""))
    elif (unlike := _NO_CONVERSION.search(str(error))) is not None:
        return _wrong_encoding(url, unlike[1])
    elif "in statement pooling mode" in _told(url, error):
        kind, advice = ConfigError, "safelist needs transactions: set pool_mode = transaction or session in pgbouncer"
    elif state := getattr(error, "sqlstate", None):
        known = (value for start, value in _POSTGRES_FAILURES.items() if state.startswith(start))
        kind, advice = next(known, (UnavailableError, ""))
    elif _told(url, error).startswith("invalid connection option"):
        kind = ConfigError
    elif type(error).__name__ == "OperationalError":  # before the log-in, or with the connection lost: no SQLSTATE
        advice = f"see that the server runs, lets this user in, and is the one that {SETTING} names"
    advice = advice.replace(SETTING, setting)
    return kind(f"{shown(url)}: {_told(url, error)}{f': {advice}' if advice else ''}")


def _disk_of(url: URL, error: sqlite3.Error) -> SafelistError | None:
    """What a few bytes beside the database meet with; None when they can be written, or for another reason cannot."""
    path = Path(str(url.database))
    try:
        with tempfile.TemporaryFile(dir=Path(os.path.realpath(path)).parent) as probe:
            os.write(probe.fileno(), bytes(_PROBE_BYTES))
            os.fsync(probe.fileno())
    except OSError as found:
        if found.errno in _DISK_FAILURES:
            is_shm = "SHM" in getattr(error, "sqlite_errorname", "")
            return disk_failure(Path(f"{path}-shm") if is_shm else path, found, _told(url, error))
    return None


def _told(url: URL, error: BaseException | None) -> str:
    """The first line of the library's own words."""
    line = str(error).strip().partition("\n")[0]
    return line.replace(str(url.password), "***") if url.password else line
