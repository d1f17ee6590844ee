"""The store as the other rooms use it: open it, ask it, record into it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, Update, bindparam, insert, update

from safelist.entry import Entry, UserList
from safelist.policy import Candidate
from safelist.store import migration, reading, recording
from safelist.store.among import Among, among_for
from safelist.store.database import failures, make_engine, parse_url
from safelist.store.reading import list_mask, seconds
from safelist.store.recording import storable
from safelist.store.schema import mailbox, run
from safelist.store.values import Change, Holding, MailboxState, Miscount, Run, Seen, Totals

_NEW_RUN = insert(run)
_END_RUN = (
    update(run)
    .where(run.c.id == bindparam("of"))
    .values(finished=bindparam("finished"), counts=bindparam("counts"), problem=bindparam("problem"))
)
_NEW_MAILBOX = insert(mailbox)
_UNSEEN: dict[str, Any] = dict.fromkeys(Seen._fields) | {"lists": 0, "entries": 0, "refused": 0}


def open_store(url: str) -> "Store":
    """The aggregate in the database of ``url``, whose schema must be this version's; use it in a ``with``.

    Raises ConfigError (no database, an older or a newer schema, a bad URL), PermissionDeniedError, UnavailableError.
    """
    parsed = parse_url(url)
    engine = make_engine(parsed)
    try:
        migration.check(engine, url)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine, parsed)


class Store:
    """Who trusts whom. Readers may work in any number while one writer, who holds the lock, records."""

    def __init__(self, engine: Engine, url: URL, among: Among | None = None) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._url = url
        self._among = among or among_for(engine.dialect.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with failures(self._url), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with failures(self._url), self._writer.begin() as connection:
            yield connection

    def begin_run(self, now: datetime, what: str, actor: str) -> int:
        """Note that a command which writes has begun; its number goes to :meth:`record` and :meth:`note`."""
        with self._writing() as connection:
            row = {"started": seconds(now), "what": what[:100], "actor": storable(actor)[:200]}
            return recording.new_row(connection, _NEW_RUN, row)

    def end_run(self, run: int, now: datetime, counts: Mapping[str, int], problem: str | None) -> None:
        """Note that it ended, with its figures and, when it ended early or held something back, why."""
        figures = json.dumps(dict(counts))
        with self._writing() as connection:
            row = {"of": run, "finished": seconds(now), "counts": figures, "problem": storable(problem)}
            connection.execute(_END_RUN, row)

    def mailbox(self, address: str) -> MailboxState | None:
        """A mailbox as it was last seen; None when it was never asked."""
        with self._reading() as connection:
            return reading.state(connection, _address(address))

    def mailboxes(self) -> Iterator[MailboxState]:
        """Every mailbox ever asked, by address."""
        with self._reading() as connection:
            yield from reading.states(connection)

    def address_of_owner(self, owner: str) -> str | None:
        """The mailbox whose rule carried that mailbox GUID when it was last seen."""
        with self._reading() as connection:
            return reading.address_of_owner(connection, owner)

    def compare(self, address: str, entries: frozenset[Entry], lists: frozenset[UserList]) -> Change:
        """What :meth:`record` would change; writes nothing."""
        with self._reading() as connection:
            mailbox_id = recording.mailbox_id(connection, _address(address))
            return recording.compare(connection, mailbox_id, entries, lists).change()

    def record(
        self, run: int, address: str, seen: Seen, entries: frozenset[Entry], lists: frozenset[UserList],
        now: datetime,
    ) -> Change:  # fmt: skip
        """Make ``entries`` the whole of those ``lists`` of the mailbox, in one transaction; other lists stay.

        A mailbox that lost its rule, when that is believed, is recorded with no entries in all lists.
        """
        at = seconds(now)
        values: dict[str, Any] = seen._asdict() | {
            "lists": list_mask(lists), "run_id": run, "outcome": "collected", "reason": None, "problem": None,
            "checked": at, "answered": at, "doubt": None, "doubt_runs": 0,
        }  # fmt: skip
        with self._writing() as connection:
            address = _address(address)
            mailbox_id = recording.mailbox_id(connection, address)
            if mailbox_id is None:
                mailbox_id = _insert_mailbox(connection, address, values)
            difference = recording.compare(connection, mailbox_id, entries, lists)
            written = recording.write(connection, self._among, run, mailbox_id, at, difference)
            if difference.added or difference.removed:
                values["changed"] = at
            _update_mailbox(connection, address, values | written._asdict())
        return difference.change()

    def note(
        self, run: int, address: str, now: datetime, outcome: str, reason: str | None = None,
        problem: str | None = None, doubt: str | None = None, doubt_runs: int = 0, seen: Seen | None = None,
    ) -> None:  # fmt: skip
        """Note what became of a mailbox whose lists stay as they are recorded.

        Without a ``reason`` it is an answer that was believed. ``seen`` is what identifies the rule now, where it was
        found unchanged.
        """
        values: dict[str, Any] = {
            "run_id": run, "outcome": outcome, "reason": reason, "problem": storable(problem),
            "checked": seconds(now), "doubt": storable(doubt), "doubt_runs": doubt_runs,
        }  # fmt: skip
        if reason is None:
            values["answered"] = values["checked"]
        if seen is not None:
            values |= seen._asdict()
        with self._writing() as connection:
            address = _address(address)
            if not _update_mailbox(connection, address, values):
                _insert_mailbox(connection, address, values)

    def candidates(self, at_least: int = 1) -> Iterator[Candidate]:
        """Patterns that at least so many mailboxes trust, sorted by text, as of the moment of the first one."""
        with self._reading() as connection:
            yield from reading.candidates(connection, at_least)

    def who(self, texts: Sequence[str]) -> list[Holding]:
        """Every entry, open or ended, whose pattern has one of those texts."""
        with self._reading() as connection:
            return reading.who(connection, self._among, [storable(text) for text in texts])

    def listing(self, address: str) -> list[Holding]:
        """Every entry, open or ended, of one mailbox."""
        with self._reading() as connection:
            return reading.listing(connection, _address(address))

    def last_runs(self, count: int) -> list[Run]:
        """The newest runs, newest first."""
        with self._reading() as connection:
            return reading.last_runs(connection, count)

    def totals(self) -> Totals:
        """The aggregate in figures."""
        with self._reading() as connection:
            return reading.totals(connection)

    def recount(self) -> list[Miscount]:
        """Patterns whose maintained count of trusting mailboxes differs from the entries; empty when all is well."""
        with self._reading() as connection:
            return reading.recount(connection)


def _address(text: str) -> str:
    return storable(text).lower()


def _insert_mailbox(connection: Connection, address: str, values: Mapping[str, Any]) -> int:
    row = _UNSEEN | dict(values) | {"address": address}
    return recording.new_row(connection, _NEW_MAILBOX, row)


def _update_mailbox(connection: Connection, address: str, values: Mapping[str, Any]) -> bool:
    """Whether there was such a mailbox."""
    return connection.execute(_update(tuple(values)), {"of": address, **values}).rowcount > 0


@lru_cache
def _update(columns: tuple[str, ...]) -> Update:
    """Made once for each of the few sets of columns: SQLAlchemy takes longer to build it than SQLite to run it."""
    return update(mailbox).where(mailbox.c.address == bindparam("of")).values({c: bindparam(c) for c in columns})
