"""The schema's revisions: bringing a database to this version's, and refusing what does not fit."""

import os
import re
import stat
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, inspect, text

import safelist
from safelist.errors import ConfigError, PermissionDeniedError, UnavailableError
from safelist.store.database import (
    check_encoding,
    disk_failure,
    failures,
    file_of,
    make_engine,
    parse_url,
    shown,
    shown_url,
)
from safelist.store.schema import REVISIONS, VERSION_TABLE, metadata

_UPGRADE = "run `safelist db upgrade`"


def upgrade(url: str) -> tuple[str | None, str]:
    """Create the database, or bring its schema to this version's, all or nothing: (revision before, after).

    A new SQLite file and its directory can be read by their owner only. Raises ConfigError where the database belongs
    to another program or to a newer safelist, or cannot hold Unicode.
    """
    parsed = parse_url(url)
    if (path := file_of(parsed)) is not None:
        make_file(path)
    engine = make_engine(parsed, is_upgrade=True)
    try:
        with failures(parsed), engine.execution_options(writes=True).begin() as connection:
            before = bring_up(connection, parsed)
            return before, REVISIONS[-1]
    finally:
        engine.dispose()


def bring_up(connection: Connection, url: URL) -> str | None:
    """The same in the transaction that is open: the revision before."""
    check_encoding(connection, url)
    before = revision(connection)
    if before is None:
        _refuse_foreign(connection, shown(url))
    elif before not in REVISIONS:
        raise ConfigError(_newer(shown(url), before))
    if before != REVISIONS[-1]:
        apply(connection)
    return before


def check(engine: Engine, url: str) -> None:
    """Raises ConfigError unless the database has exactly this version's schema, and an encoding that holds Unicode."""
    parsed = parse_url(url)
    path = file_of(parsed)
    if path is not None and not _is_there(path):
        raise ConfigError(f"{path}: there is no database yet: {_UPGRADE}, or `safelist db restore` with a backup")
    with failures(parsed), engine.connect() as connection:
        check_encoding(connection, parsed)
        found = revision(connection)
    if found is None:
        raise ConfigError(f"{shown_url(url)}: holds no aggregate of safelist yet: {_UPGRADE}")
    if found not in REVISIONS:
        raise ConfigError(_newer(shown_url(url), found))
    if found != REVISIONS[-1]:
        raise ConfigError(f"{shown_url(url)}: its schema {found} is older than {REVISIONS[-1]}: {_UPGRADE}")


def revision(connection: Connection) -> str | None:
    """The revision that the database says it has; None when there is none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 (a constant)


def apply(connection: Connection) -> None:
    """Run the migrations that ``connection``'s database lacks, in the transaction that is open."""
    # Only an upgrade needs alembic, and it takes longer to import than most commands to run.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(location()))
    context = MigrationContext.configure(
        connection,
        opts={
            # As the manual of alembic's EnvironmentContext has it.
            "fn": lambda current, _: script._upgrade_revs("head", current),
            "version_table": VERSION_TABLE,
        },
    )
    with Operations.context(context):
        context.run_migrations()


def location() -> Path:
    """The migrations: inside the installed package, or beside it in a checkout."""
    package = Path(safelist.__file__).parent
    for candidate in (package / "migrations", package.parent / "migrations"):
        if (candidate / "versions").is_dir():
            return candidate
    raise UnavailableError(f"{package / 'migrations'} is missing: install safelist again")


def make_file(path: Path) -> None:
    """Create an empty file and its directory for its owner only, unless it is there.

    In another's directory root makes it for that owner, and in one that a group may write for that group, too.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not path.exists()
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if is_new:
                _fit_into(path.parent.stat(), handle)
        finally:
            os.close(handle)
    except PermissionError as error:
        raise PermissionDeniedError(f"{error.filename}: may not be written by this user") from None
    except OSError as error:
        raise disk_failure(Path(error.filename or path), error, "cannot be created") from None


def _fit_into(directory: os.stat_result, handle: int) -> None:
    if os.geteuid() == 0 and directory.st_uid != 0:  # else whoever works there could not open it
        os.fchown(handle, directory.st_uid, -1)
    if directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH) == stat.S_IWGRP:
        os.fchmod(handle, 0o660)


def _is_there(path: Path) -> bool:
    try:
        return path.stat().st_size >= 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise PermissionDeniedError(f"{path}: cannot be read by this user: {error.strerror}") from None


def _refuse_foreign(connection: Connection, shown: str) -> None:
    """Tables of the same names, or an SQLite file that another program uses."""
    tables = set(inspect(connection).get_table_names())
    foreign = tables if connection.dialect.name == "sqlite" else tables & set(metadata.tables)
    if foreign:
        raise ConfigError(
            f"{shown}: holds tables of another program ({', '.join(sorted(foreign)[:3])}); name another database"
        )


def _newer(shown: str, found: str) -> str:
    return (
        f"{shown}: its schema {found[:50]} is newer than {REVISIONS[-1]}, the newest that safelist "
        f"{safelist.__version__} knows; install {_release(found)} again"
    )


def _release(revision: str) -> str:
    """The version that has this schema, as its second number says."""
    major = safelist.__version__.partition(".")[0]
    return f"safelist {major}.{int(revision)} or newer" if re.fullmatch("[0-9]{4}", revision) else "the newer safelist"
