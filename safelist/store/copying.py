"""Copying a whole aggregate into an empty database of either kind: its history, its chain and its counts.

All of it is one transaction of the target, which ends when every row has been read back and the chain has been computed
anew: whatever interrupts it leaves the target as empty as it was. What is copied is the source as it was at one moment;
runs may go on there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, cast

from sqlalchemy import URL, Connection, ForeignKeyConstraint, Table, delete, exc, func, insert, select
from sqlalchemy.schema import AddConstraint, DropConstraint

from safelist.errors import ConfigError, TamperedError, UnavailableError
from safelist.store import chain, migration
from safelist.store.database import as_permitted, failures, file_of, make_engine, parse_url, shown
from safelist.store.reading import stream
from safelist.store.schema import chain as chain_table
from safelist.store.schema import metadata

TARGET = "the target"
"""What messages name in the place of a key of the configuration."""
_TABLES = metadata.sorted_tables
"""In an order in which no row refers to one that is not there yet."""
_SUM_BYTES = 16
Told = Callable[[str, int], None]
"""Is told of each table that was copied, and how many rows it has."""


class Copied(NamedTuple):
    """What a copy holds: the rows of each table, and how far its chain goes."""

    rows: Mapping[str, int]
    change_sets: int
    head: str


class _Sum(NamedTuple):
    """How many rows, and the sum of their digests, which does not depend on their order."""

    rows: int = 0
    digests: int = 0

    def plus(self, rows: Iterable[Any]) -> "_Sum":
        count, total = self
        for row in rows:
            digest = blake2b(repr(tuple(row)).encode("utf-8", "surrogatepass"), digest_size=_SUM_BYTES).digest()
            count, total = count + 1, total + int.from_bytes(digest, "big")
        return _Sum(count, total % (1 << 8 * _SUM_BYTES))


def copy(source: str, target: str, told: Told = lambda _table, _rows: None) -> Copied:
    """Copy the aggregate at the URL ``source`` into the empty database at the URL ``target``, and compare both.

    Memory is bounded, whatever the size. Raises ConfigError where the target is not empty, or the source is not of this
    version's schema; TamperedError where the source's chain does not hold.
    """
    from_, to = parse_url(source), parse_url(target, TARGET)
    with _filling(to) as writer:
        with _reading(from_) as reader:
            sums = {table.name: _copy_table(reader, writer, table, told) for table in _TABLES}
        _finish(writer)
        _compare(writer, sums, shown(to))
        return _verified(writer, from_, sums)


@contextmanager
def _reading(url: URL) -> Iterator[Connection]:
    """The aggregate as it is at the first reading."""
    engine = make_engine(as_permitted(url))
    try:
        migration.check(engine, url.render_as_string(hide_password=False))
        with failures(url), engine.execution_options(at_one_moment=True).connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _filling(url: URL) -> Iterator[Connection]:
    """The empty target in a transaction, which ends well or leaves nothing behind."""
    path = file_of(url)
    is_new = path is not None and not path.exists()
    if path is not None:
        migration.make_file(path)
    engine = make_engine(url, is_upgrade=True, is_ours=False, setting=TARGET)
    try:
        with failures(url, TARGET), engine.execution_options(writes=True).begin() as connection:
            _prepare(connection, url)
            yield connection
    except BaseException:
        if is_new and path is not None:
            engine.dispose()
            _remove(path)
        raise
    finally:
        engine.dispose()


def _remove(path: Path) -> None:
    for each in (path, path.with_name(f"{path.name}-journal")):
        each.unlink(missing_ok=True)


def _prepare(connection: Connection, url: URL) -> None:
    """The schema without a row, and without what is made faster of all rows at once: indexes and foreign keys."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL synchronous_commit = on")  # what is said to be copied stays copied
    else:
        connection.exec_driver_sql("PRAGMA cache_size=-32768")
    migration.bring_up(connection, url)
    _refuse_full(connection, url)
    connection.execute(delete(chain_table))
    for table in _TABLES:
        for index in table.indexes:
            index.drop(connection)
        for key in _keys(connection, table):
            connection.execute(DropConstraint(key))


def _keys(connection: Connection, table: Table) -> Iterable[ForeignKeyConstraint]:
    """Its foreign keys, where a table can lose and get them: SQLite looks at none of them here."""
    return table.foreign_key_constraints if connection.dialect.name == "postgresql" else ()


def _refuse_full(connection: Connection, url: URL) -> None:
    there = {name: count for name, count in counts(connection).items() if count and name != chain_table.name}
    if there:
        found = ", ".join(f"{count:,} rows of {name.replace('_', ' ')}" for name, count in there.items())
        raise ConfigError(
            f"{shown(url)}: is not empty: {found}; a copy needs an empty database, so that two histories never mix: "
            "create another one (createdb), or name a file that is not there yet; nothing was changed"
        )


def counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    return {t.name: connection.execute(select(func.count()).select_from(t)).scalar_one() for t in _TABLES}


def _copy_table(reader: Connection, writer: Connection, table: Table, told: Told) -> _Sum:
    found, append = _Sum(), _append_postgres if writer.dialect.name == "postgresql" else _append
    for rows in _portions(reader, table):
        append(writer, table, rows)
        found = found.plus(rows)
    told(table.name, found.rows)
    return found


def _append(writer: Connection, table: Table, rows: Iterable[Any]) -> None:
    writer.execute(insert(table), [dict(row._mapping) for row in rows])


def _append_postgres(writer: Connection, table: Table, rows: Iterable[Any]) -> None:
    """By COPY, which takes many rows in the time of a few INSERTs (PostgreSQL's manual, "Populating a Database")."""
    from psycopg import Error  # an extra, which is there where this is called

    name_of, driver = writer.dialect.identifier_preparer.quote, cast("Any", writer.connection)
    columns = ", ".join(name_of(column.name) for column in table.columns)
    statement = f"COPY {name_of(table.name)} ({columns}) FROM STDIN"
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as lines:
            for row in rows:
                lines.write_row(row)
    except Error as error:
        raise exc.DBAPIError("COPY", None, error) from None


def _portions(connection: Connection, table: Table) -> Iterator[list[Any]]:
    with stream(connection, select(table)) as rows:
        yield from rows.partitions()  # type: ignore[attr-defined] # of a CursorResult


def _finish(connection: Connection) -> None:
    """The indexes; in PostgreSQL also the foreign keys, each table's next number, and what its planner knows."""
    for table in _TABLES:
        for index in table.indexes:
            index.create(connection)
        for key in _keys(connection, table):
            connection.execute(AddConstraint(key))
    if connection.dialect.name != "postgresql":
        return
    name_of = connection.dialect.identifier_preparer.format_table
    for table in _TABLES:
        if (column := table.autoincrement_column) is not None:
            sequence, last = func.pg_get_serial_sequence(name_of(table), column.name), func.max(column)
            connection.execute(select(func.setval(sequence, func.coalesce(last, 1), last.is_not(None))))
    connection.exec_driver_sql(f"ANALYZE {', '.join(map(name_of, _TABLES))}")


def _compare(connection: Connection, sums: Mapping[str, _Sum], target: str) -> None:
    """Read every row back, and compare it with what was read at the source."""
    for table in _TABLES:
        found = _Sum()
        for rows in _portions(connection, table):
            found = found.plus(rows)
        if found != (was := sums[table.name]):
            raise UnavailableError(
                f"{target}: does not give back what was written into its table {table.name} ({found.rows:,} rows of "
                f"{was.rows:,}); nothing of the copy was kept: look for what changes rows there, or name another one"
            )


def _verified(connection: Connection, source: URL, sums: Mapping[str, _Sum]) -> Copied:
    """The chain of the copy, whose rows are those of the source: what is wrong with one is wrong with both."""
    found = chain.verify(connection)
    if found.problem:
        raise TamperedError(
            f"{shown(source)}: the record was changed by something else than safelist: {found.problem}; nothing was "
            "copied; `safelist audit verify` says the same: compare it with a backup"
        )
    return Copied({name: each.rows for name, each in sums.items()}, found.change_sets, found.head)
