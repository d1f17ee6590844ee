"""The tables of amavisd's SQL lookups in a database of the site's: which rows are safelist's, and what changes them.

Whose a row is, is known by what nobody else writes: a row of ``users`` by its policy, which is safelist's own and says
nothing; rows of ``mailaddr`` and ``wblist`` by tables of safelist's own that refer to them, so that the database
forgets what somebody else deletes. A row of ``wblist`` that says another thing than it was given is not safelist's any
more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    URL,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    inspect,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from safelist.errors import ConfigError
from safelist.publisher.amavis_configuration import Dsn
from safelist.publisher.wblist_rows import Site, priority_of
from safelist.store.database import failures, make_engine, parse_url

SETTING = "publish.amavis.url"
POLICY = "safelist"
"""The ``policy_name`` of the policy by which rows of ``users`` are safelist's."""
SET_UP = """\
CREATE TABLE safelist_mailaddr (
  id integer PRIMARY KEY REFERENCES mailaddr (id) ON DELETE CASCADE
);
CREATE TABLE safelist_wblist (
  rid integer NOT NULL, sid integer NOT NULL, wb varchar(10) NOT NULL,
  PRIMARY KEY (rid, sid), FOREIGN KEY (rid, sid) REFERENCES wblist (rid, sid) ON DELETE CASCADE
);
CREATE INDEX safelist_wblist_sid ON wblist (sid);
INSERT INTO policy (policy_name) VALUES ('safelist');
"""
"""What makes safelist's own tables and policy; PostgreSQL and SQLite take it as it is."""

COLUMNS: Mapping[str, Sequence[str]] = {
    "policy": ("id", "policy_name"), "users": ("id", "priority", "policy_id", "email"),
    "mailaddr": ("id", "priority", "email"), "wblist": ("rid", "sid", "wb"),
    "safelist_mailaddr": ("id",), "safelist_wblist": ("rid", "sid", "wb"),
}  # fmt: skip
"""The columns that are needed of each table."""
_AT_ONCE = 10_000


class WblistRow(NamedTuple):
    """A row of ``wblist`` by its keys: recipient, sender, and what it says."""

    recipient: str
    sender: str
    wb: str


Rows = Callable[[], Iterable[WblistRow]]
"""Rows that are made anew each time that they are gone through: who has many need not hold them all."""


@contextmanager
def connected(url: URL, *, writes: bool) -> Iterator[Connection]:
    """One transaction, as of one moment; what is not committed is undone. Raises errors that name the setting."""
    engine = make_engine(url, is_ours=False, setting=SETTING)
    try:
        with failures(url, SETTING), engine.connect() as connection:
            isolation = {} if connection.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
            yield connection.execution_options(writes=writes, **isolation)
    finally:
        engine.dispose()


def parse(url: str) -> URL:
    """The URL of ``[publish.amavis]``. Raises ConfigError, which does not show it."""
    return parse_url(url, SETTING, None)


def place(url: URL) -> str:
    """What the database is called in messages and in the history: without any name or password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return URL.create(url.get_backend_name(), host=url.host, port=url.port, database=url.database).render_as_string()


def dsn_of(url: URL) -> Dsn:
    """The same database as amavisd's configuration names it."""
    return Dsn(url.get_backend_name(), str(url.database or ""), url.host or str(url.query.get("host", "")))


def missing(connection: Connection) -> list[str]:
    """What of the needed tables and columns is not there, as texts such as ``table users``."""
    found = inspect(connection)
    names = {*found.get_table_names(), *found.get_view_names()}
    there = {name: {each["name"].lower() for each in found.get_columns(name)} for name in COLUMNS if name in names}
    tables = [f"table {name}" for name in COLUMNS if name not in there]
    return tables + [f"{name}.{each}" for name in there for each in COLUMNS[name] if each not in there[name]]


class Tables:
    """The tables as they are there; emails are bytes or text, whatever the site chose."""

    def __init__(self, connection: Connection) -> None:
        """Look at them. Raises ConfigError where some are not there."""
        if lacking := missing(connection):
            raise ConfigError(_LACKING.format(lacking=", ".join(lacking), setting=SETTING))
        self._connection = connection
        found, metadata = inspect(connection), MetaData()

        def table(name: str) -> Table:
            email = next((each["type"] for each in found.get_columns(name) if each["name"].lower() == "email"), None)
            kind = LargeBinary() if isinstance(email, LargeBinary) else String()
            types = {"email": kind, "wb": String(), "policy_name": String()}
            columns = (Column(each, types.get(each, Integer()), primary_key=each == "id") for each in COLUMNS[name])
            return Table(name, metadata, *columns)

        self.policy, self.users, self.mailaddr = table("policy"), table("users"), table("mailaddr")
        self.wblist, self.our_mailaddr, self.our_wblist = (
            table("wblist"),
            table("safelist_mailaddr"),
            table("safelist_wblist"),
        )
        outbound = "outbound_wblist"  # iRedMail's, which refers to the same rows the other way round
        self._outbound = table_of(outbound, metadata) if outbound in found.get_table_names() else None
        # Whoever runs the set-up a second time makes a second one.
        first = select(func.min(self.policy.c.id)).where(self.policy.c.policy_name == POLICY)
        self.policy_id = connection.scalar(first)
        if self.policy_id is None:
            raise ConfigError(_LACKING.format(lacking=f"the policy {POLICY}", setting=SETTING))

    @property
    def is_binary(self) -> bool:
        """Whether emails are bytes, for which amavisd has to ask otherwise."""
        return isinstance(self.mailaddr.c.email.type, LargeBinary)

    @property
    def _ours(self) -> ColumnElement[bool]:
        """Which pairs of rows of ``wblist`` and ``safelist_wblist`` are one that is still as it was made."""
        mine, theirs = self.our_wblist.c, self.wblist.c
        return and_(mine.rid == theirs.rid, mine.sid == theirs.sid, mine.wb == theirs.wb)

    def rows(self) -> Iterator[WblistRow]:
        """Safelist's rows, in no order."""
        yield from self._pairs(select(self.users.c.email, self.mailaddr.c.email, self.wblist.c.wb).where(self._ours))

    def _pairs(self, asked: "Select[Any]") -> Iterator[WblistRow]:
        of_whom = and_(self.wblist.c.rid == self.users.c.id, self.wblist.c.sid == self.mailaddr.c.id)
        one_by_one = {"stream_results": True}
        for recipient, sender, wb in self._connection.execute(asked.where(of_whom), execution_options=one_by_one):
            yield WblistRow(_text(recipient), _text(sender), wb)

    def site(self, delimiter: str) -> Site:
        """What the site's own rows say."""
        ours = exists().where(self._ours)
        asked = select(self.users.c.email, self.mailaddr.c.email, self.wblist.c.wb).where(~ours)
        own, users = exists().where(self.our_mailaddr.c.id == self.mailaddr.c.id), self.users.c
        return Site(
            delimiter,
            self._priorities(self.mailaddr, ~own),
            self._priorities(self.users, or_(users.policy_id != self.policy_id, users.policy_id.is_(None))),
            frozenset((each.recipient, each.sender) for each in self._pairs(asked)),
        )

    def _priorities(self, table: Table, which: ColumnElement[bool]) -> dict[str, int]:
        found = self._connection.execute(select(table.c.email, table.c.priority).where(which))
        return {_text(email): priority for email, priority in found}

    def said_by_policy(self) -> list[str]:
        """What safelist's policy sets, although it has to say nothing."""
        columns = [each["name"] for each in inspect(self._connection).get_columns("policy")]
        types = {"id": Integer()}
        whole = Table("policy", MetaData(), *(Column(each, types.get(each.lower(), String())) for each in columns))
        found = self._connection.execute(select(whole).where(whole.c.id == self.policy_id)).mappings().one()
        return [
            name for name, value in found.items() if value is not None and name.lower() not in ("id", "policy_name")
        ]

    def misplaced(self, delimiter: str) -> "Misplaced":
        """Safelist's rows of ``users`` and ``mailaddr`` whose priority is not what it has to be."""
        own = exists().where(self.our_mailaddr.c.id == self.mailaddr.c.id)
        return Misplaced(
            self._misplaced(self.users, self.users.c.policy_id == self.policy_id, delimiter),
            self._misplaced(self.mailaddr, own, delimiter),
        )

    def _misplaced(self, table: Table, which: ColumnElement[bool], delimiter: str) -> dict[int, int]:
        found = self._connection.execute(select(table.c.id, table.c.email, table.c.priority).where(which))
        wanted = ((id_, priority, priority_of(_text(email), delimiter)) for id_, email, priority in found)
        return {id_: right for id_, priority, right in wanted if priority != right}

    def write(self, gone: Rows, new: Rows, misplaced: "Misplaced", delimiter: str) -> None:
        """Bring all of it about in this one transaction; a row that says another thing is both."""
        self._correct(misplaced)
        senders = self._with_missing(self.mailaddr, {each.sender for each in new()}, delimiter)
        recipients = self._with_missing(self.users, {each.recipient for each in new()}, delimiter)

        def pairs(rows: Iterable[WblistRow]) -> Iterator[dict[str, Any]]:
            return ({"rid": recipients[it.recipient], "sid": senders[it.sender], "wb": it.wb} for it in rows)

        there = self.wblist.c
        as_made = and_(there.rid == bindparam("rid"), there.sid == bindparam("sid"), there.wb == bindparam("wb"))
        self._each(delete(self.wblist).where(as_made), pairs(gone()))
        self._forget_what_is_gone()
        for table in (self.wblist, self.our_wblist):
            self._insert(table, pairs(new()))
        self._remove_unused()
        self._connection.commit()

    def _forget_what_is_gone(self) -> None:
        """Note no more that a pair is safelist's which is not there; databases that know references have done so."""
        mine, theirs = self.our_wblist.c, self.wblist.c
        is_there = exists().where(mine.rid == theirs.rid, mine.sid == theirs.sid)
        self._connection.execute(delete(self.our_wblist).where(~is_there))

    def _insert(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        """Insert rows of the same columns; PostgreSQL takes many in one statement, which spares it most of the work."""
        if self._connection.dialect.name != "postgresql":
            self._each(insert(table), rows)
            return
        for some in _in_batches(rows):
            names = list(some[0])
            arrays = [literal([each[name] for each in some], ARRAY(table.c[name].type)) for name in names]
            given = func.unnest(*arrays).table_valued(*names).render_derived()
            self._connection.execute(insert(table).from_select(names, select(*(given.c[name] for name in names))))

    def _each(self, statement: Any, values: Iterable[dict[str, Any]]) -> None:
        for some in _in_batches(values):
            self._connection.execute(statement, some)

    def _correct(self, misplaced: "Misplaced") -> None:
        for table, priorities in ((self.users, misplaced.users), (self.mailaddr, misplaced.mailaddr)):
            right = update(table).where(table.c.id == bindparam("i")).values(priority=bindparam("p"))
            self._each(right, ({"i": id_, "p": priority} for id_, priority in priorities.items()))

    def _ids(self, table: Table) -> dict[str, int]:
        return {_text(email): id_ for id_, email in self._connection.execute(select(table.c.id, table.c.email))}

    def _with_missing(self, table: Table, keys: Set[str], delimiter: str) -> dict[str, int]:
        """Make the rows of ``users`` or ``mailaddr`` that are not there, marked as safelist's: the ids of all."""
        ids = self._ids(table)
        lacking = sorted(keys - ids.keys())
        if not lacking:
            return ids
        as_is = isinstance(table.c.email.type, LargeBinary)
        policy = {"policy_id": self.policy_id} if table is self.users else {}
        rows = (
            {"email": key.encode() if as_is else key, "priority": priority_of(key, delimiter), **policy}
            for key in lacking
        )
        try:
            self._insert(table, rows)
        except IntegrityError:
            wanted = set(lacking)
            if alike := [each for each in ids if each.lower() in wanted]:
                raise ConfigError(_ALIKE.format(setting=SETTING, table=table.name, rows=", ".join(alike[:9]))) from None
            raise
        ids = self._ids(table)
        if table is self.mailaddr:
            self._insert(self.our_mailaddr, ({"id": ids[key]} for key in lacking))
        return ids

    def _remove_unused(self) -> None:
        """Remove safelist's rows of ``mailaddr`` and ``users`` that nothing refers to, where the database lets it."""
        senders, recipients = self._referred_to(self.wblist.c.sid), self._referred_to(self.wblist.c.rid)
        if self._outbound is not None:
            senders |= self._referred_to(self._outbound.c.rid)
            recipients |= self._referred_to(self._outbound.c.sid)
        marked, there = self._referred_to(self.our_mailaddr.c.id), self._referred_to(self.mailaddr.c.id)
        self._remove((self.our_mailaddr,), marked - there)  # where the site's program has SQLite ignore references
        self._remove((self.our_mailaddr, self.mailaddr), (marked & there) - senders)
        of_policy = select(self.users.c.id).where(self.users.c.policy_id == self.policy_id)
        self._remove((self.users,), set(self._connection.scalars(of_policy)) - recipients)

    def _referred_to(self, column: Column[int]) -> set[int]:
        """The ids in it: to ask row by row who refers to it takes an index, which these tables lack."""
        return set(self._connection.scalars(select(column).distinct()))

    def _remove(self, tables: Iterable[Table], ids: Iterable[int]) -> None:
        try:
            with self._connection.begin_nested():
                for table in tables:
                    self._each(delete(table).where(table.c.id == bindparam("i")), ({"i": each} for each in ids))
        except IntegrityError:  # a table that safelist does not know refers to one: all of them stay
            return


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Priorities to be, by the id of the row."""

    users: Mapping[int, int]
    mailaddr: Mapping[int, int]

    def __bool__(self) -> bool:
        """Whether there are some."""
        return bool(self.users or self.mailaddr)


def table_of(name: str, metadata: MetaData) -> Table:
    """A table of pairs such as ``wblist``."""
    return Table(name, metadata, Column("rid", Integer), Column("sid", Integer))


def _in_batches(values: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rest = iter(values)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def _text(email: Any) -> str:
    return email if isinstance(email, str) else bytes(email).decode("ascii", "backslashreplace")


_ALIKE = (
    "{setting}: the table {table} takes small letters and capitals for the same, and the site has these rows: {rows}; "
    "nothing was written: write them in small letters, as amavisd asks (UPDATE {table} SET email = lower(email))"
)
_LACKING = (
    "{setting}: that database lacks {lacking}: name the one that amavisd's @lookup_sql_dsn names, and give it "
    "safelist's own tables with the statements that `safelist check amavis` prints"
)
