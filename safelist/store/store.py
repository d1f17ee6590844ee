"""The store as the other rooms use it: open it, ask it, record into it."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple, Self, overload

from sqlalchemy import URL, Connection, Engine, Update, bindparam, insert, update

from safelist.entry import FIRST_SOURCE, Entry, Holding, UserList
from safelist.override import Override, Terms
from safelist.policy import Candidate, Settings
from safelist.sender import Pattern, Refusal
from safelist.store import (
    acknowledgements,
    candidates,
    chain,
    events,
    health,
    looks,
    migration,
    overrides,
    reading,
    recording,
    rejection_counts,
    searching,
    sqlite_file,
    target_states,
)
from safelist.store.among import among_for
from safelist.store.database import as_permitted, failures, file_of, is_read_only, make_engine, parse_url, with_patience
from safelist.store.events import Window
from safelist.store.position import ALL, AnswerPage, Position
from safelist.store.reading import list_mask, seconds
from safelist.store.recording import Difference, Recording, storable
from safelist.store.schema import mailbox, publication, run
from safelist.store.values import (
    NO_RULE,
    Acknowledgement,
    Change,
    Event,
    Found,
    HolderCount,
    KeptDay,
    KnownFailure,
    Look,
    Made,
    MailboxState,
    MailboxTrouble,
    Miscount,
    Moment,
    Outcome,
    Publication,
    RejectionCount,
    RuleVersion,
    Run,
    TargetState,
    Totals,
    Verified,
)

LOOK = "look"
"""What a run is that records nothing but a look."""
_NEW_RUN = insert(run)
_END_RUN = (
    update(run)
    .where(run.c.id == bindparam("of"))
    .values(finished=bindparam("finished"), counts=bindparam("counts"), problem=bindparam("problem"))
)
_NEW_MAILBOX = insert(mailbox)
_NEW_PUBLICATION = insert(publication)
_UNSEEN: dict[str, Any] = NO_RULE._asdict() | {"lists": 0, "entries": 0, "refused": 0, "source": FIRST_SOURCE}


def open_store(url: str, patience: float | None = None, *, only_looks: bool = False) -> "Store":
    """Open the aggregate in the database of ``url``, whose schema must be this version's; use it in a ``with``.

    ``patience`` are the seconds for which a locked SQLite file is waited for, instead of the URL's. A file that this
    user may not write is only read. With ``only_looks`` SQLite refuses whatever :meth:`Store.note_look` does not need;
    in PostgreSQL, that is for the privileges of the role to do.

    Raises ConfigError (no database, an older or a newer schema, a bad URL), PermissionDeniedError, UnavailableError.
    """
    parsed = as_permitted(parse_url(url) if patience is None else with_patience(parse_url(url), patience))
    engine = make_engine(parsed, only_looks=only_looks)
    try:
        migration.check(engine, url)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine, parsed)


class Store:
    """Who trusts whom. Readers may work in any number while one writer, who holds the lock, records."""

    def __init__(self, engine: Engine, url: URL) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._url = url
        self._among = among_for(engine.dialect.name)
        self._sources: dict[int, str | None] = {}
        self._held: Connection | None = None
        path = file_of(url) if is_read_only(url) else None
        self._check_unwritten = sqlite_file.watch(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _source_of(self, connection: Connection, run: int) -> dict[str, str]:
        """The column that says whose the mailbox is that the run asks; none for a run that asks no source."""
        if run not in self._sources:
            self._sources[run] = reading.source_of_run(connection, run)
        source = self._sources[run]
        return {} if source is None else {"source": source}

    @contextmanager
    def at_one_moment(self) -> Iterator["Store"]:
        """Hold the aggregate as it is: what is read of what this yields is as of the first reading."""
        engine = self._engine.execution_options(at_one_moment=True)
        with failures(self._url), engine.connect() as connection:
            held = Store(self._engine, self._url)
            held._held = connection
            yield held
        self._check_unwritten()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._held is not None:
            yield self._held
            return
        with failures(self._url), self._engine.connect() as connection:
            yield connection
        self._check_unwritten()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with failures(self._url), self._writer.begin() as connection:
            yield connection

    def begin_run(self, now: datetime, what: str, actor: str, source: str | None = None) -> int:
        """Note that a command which writes has begun; its number goes to :meth:`record` and :meth:`note`.

        With a ``source``, the mailboxes that the run asks are that source's from then on.
        """
        with self._writing() as connection:
            return _begin(connection, now, what, actor, source)

    def end_run(self, run: int, now: datetime, counts: Mapping[str, int], problem: str | None) -> None:
        """Note that it ended, with its figures and, when it ended early or held something back, why."""
        with self._writing() as connection:
            _end(connection, run, now, counts, problem)

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
        self, run: int, address: str, rule: RuleVersion, entries: frozenset[Entry], lists: frozenset[UserList],
        now: datetime,
    ) -> Change:  # fmt: skip
        """Make ``entries`` the whole of those ``lists`` of the mailbox, in one transaction; other lists stay.

        A mailbox that lost its rule, when that is believed, is recorded with no entries in all lists.
        """
        with self._writing() as connection:
            return self._record(connection, _Answered(run, _address(address), rule, entries, lists, now)).change()

    def record_unless(
        self, is_doubtful: Callable[[Change], bool], run: int, address: str, rule: RuleVersion,
        entries: frozenset[Entry], lists: frozenset[UserList], now: datetime,
    ) -> Change | None:  # fmt: skip
        """As :meth:`record`; a change that ``is_doubtful`` is not written: None. It is asked inside the transaction."""
        with self._writing() as connection:
            answered = _Answered(run, _address(address), rule, entries, lists, now)
            difference = self._record(connection, answered, is_doubtful)
            return difference.change() if difference is not None else None

    @overload
    def _record(self, connection: Connection, of: "_Answered") -> Difference: ...

    @overload
    def _record(
        self, connection: Connection, of: "_Answered", is_doubtful: Callable[[Change], bool]
    ) -> Difference | None: ...

    def _record(
        self, connection: Connection, of: "_Answered", is_doubtful: Callable[[Change], bool] | None = None
    ) -> Difference | None:
        values, at = of.values() | self._source_of(connection, of.run), seconds(of.now)
        mailbox_id = recording.mailbox_id(connection, of.address)
        difference = recording.compare(connection, mailbox_id, of.entries, of.lists)
        if is_doubtful is not None and is_doubtful(difference.change()):
            return None
        if mailbox_id is None:
            mailbox_id = _insert_mailbox(connection, of.address, values)
        elif not recording.has_answered(connection, mailbox_id):
            _record_mailbox(connection, of.address, values, mailbox_id)
        written = recording.write(connection, self._among, Recording(of.run, of.address, mailbox_id, at), difference)
        if difference.added or difference.removed:
            values["changed"] = at
        _update_mailbox(connection, of.address, values | written._asdict())
        return difference

    def note(
        self, run: int, address: str, now: datetime, outcome: str, reason: str | None = None,
        problem: str | None = None, doubt: str | None = None, doubt_runs: int = 0, rule: RuleVersion | None = None,
    ) -> None:  # fmt: skip
        """Note what became of a mailbox whose lists stay as they are recorded.

        Without a ``reason`` it is an answer that was believed. ``rule`` is what identifies the rule now, where it was
        found unchanged.
        """
        values: dict[str, Any] = {
            "run_id": run, "outcome": outcome, "reason": reason, "problem": storable(problem),
            "checked": seconds(now), "doubt": storable(doubt), "doubt_runs": doubt_runs,
        }  # fmt: skip
        if reason is None:
            values["answered"] = values["checked"]
        if rule is not None:
            values |= rule._asdict()
        with self._writing() as connection:
            address = _address(address)
            values |= self._source_of(connection, run)
            if not _update_mailbox(connection, address, values):
                _insert_mailbox(connection, address, values)

    def candidates(self, settings: Settings, now: datetime, at_least: int = 1) -> Iterator[Candidate]:
        """Every sender that at least so many mailboxes trust, or that an override in force is about.

        Those that are trusted come first, sorted by text, as of the moment of the first one.
        """
        with self._reading() as connection:
            yield from candidates.candidates(connection, self._among, settings, now, at_least)

    def recipients_candidates(self, now: datetime) -> Iterator[Candidate]:
        """Each recipient with each sender that the recipient's lists, or overrides for the recipient, are about.

        They come as they are read, recipient by recipient; what counts for everybody is not in them.
        """
        with self._reading() as connection:
            yield from candidates.recipients_candidates(connection, now)

    def candidate(
        self, sender: Pattern, recipient: str | None, settings: Settings, at: Moment
    ) -> tuple[Candidate, list[Holding]]:
        """One question as of that moment, and every entry, trusting or blocking, about its sender."""
        sender = sender._replace(text=storable(sender.text))
        with self._reading() as connection:
            return candidates.candidate(connection, self._among, sender, recipient, settings, at)

    def candidates_at(self, senders: Iterable[Pattern], settings: Settings, at: Moment) -> Iterator[Candidate]:
        """Each of ``senders`` as :meth:`candidate` has it at that moment, for the whole organisation; many at once."""
        with self._reading() as connection:
            yield from candidates.candidates_at(connection, self._among, senders, settings, at)

    def asked(
        self, senders: Sequence[Pattern], recipient: str | None, settings: Settings, now: datetime
    ) -> list[Candidate]:  # fmt: skip
        """Questions as of now, each as :meth:`candidate` has it, from the maintained counts: few entries are read."""
        senders = [sender._replace(text=storable(sender.text)) for sender in senders]
        to = None if recipient is None else _address(recipient)
        with self._reading() as connection:
            return candidates.asked(connection, self._among, senders, to, settings, now)

    def addresses(self, prefix: str, most: int) -> list[str]:
        """The mailboxes whose addresses begin so, ``most`` at most; as they are normalised."""
        with self._reading() as connection:
            return list(reading.addresses(connection, prefix, most))

    def own_domains(self) -> frozenset[str]:
        """The domains of the mailboxes that were ever asked."""
        with self._reading() as connection:
            return frozenset(reading.own_domains(connection))

    def by_mailbox(self) -> Iterator[tuple[str, list[Holding]]]:
        """Every open entry about senders, mailbox by mailbox, sorted by address."""
        with self._reading() as connection:
            yield from reading.by_mailbox(connection)

    def head(self) -> str:
        """The digest of the newest change set, in hexadecimal."""
        with self._reading() as connection:
            return (chain.head(connection) or b"").hex()

    def who(self, texts: Sequence[str], at: Moment | None = None) -> list[Holding]:
        """Every entry, open or ended, whose pattern has one of those texts; as of a moment only the open ones."""
        with self._reading() as connection:
            return reading.who(connection, self._among, [storable(text) for text in texts], at)

    def who_page(
        self, texts: Sequence[str], at: Moment | None = None, page: AnswerPage = ALL
    ) -> list[tuple[Holding, Position]]:  # fmt: skip
        """A page of the same, by mailbox; each with its position, behind which another page may begin."""
        with self._reading() as connection:
            return reading.who_page(connection, self._among, [storable(text) for text in texts], at, page)

    def held(self, texts: Sequence[str], at: Moment | None = None) -> list[Pattern]:
        """The patterns with one of those texts that somebody holds or held; as of a moment only those held then."""
        with self._reading() as connection:
            return reading.held(connection, self._among, [storable(text) for text in texts], at)

    def listing(self, address: str, at: Moment | None = None) -> list[Holding]:
        """Every entry, open or ended, of one mailbox; as of a moment only the open ones."""
        with self._reading() as connection:
            return reading.listing(connection, _address(address), at)

    def count_holders(self, texts: Sequence[str]) -> list[HolderCount]:
        """How many mailboxes have each pattern with one of those texts in which lists now, by text."""
        with self._reading() as connection:
            return reading.count_holders(connection, self._among, [storable(text) for text in texts])

    def moment_at(self, at: datetime) -> Moment:
        """The state of the aggregate at that time."""
        with self._reading() as connection:
            return reading.moment_at(connection, at)

    def newest(self, now: datetime) -> Moment:
        """The state as it is, also where a clock that was wrong dated some of it ahead of ``now``."""
        with self._reading() as connection:
            return reading.newest(connection, now)

    def dated_ahead(self, now: datetime) -> datetime | None:
        """When the newest change set says that it was recorded, if that lies ahead of ``now``."""
        with self._reading() as connection:
            return reading.dated_ahead(connection, now)

    def moment_after(self, run: int) -> Moment | None:
        """The state of the aggregate after that run; None when there was none of that number."""
        with self._reading() as connection:
            return reading.moment_after(connection, run)

    def overrides(self, at: Moment | None = None) -> list[Override]:
        """Every override ever made, oldest first; or as they were at that moment."""
        with self._reading() as connection:
            return overrides.load(connection, at.change_set if at else None)

    def make_overrides(
        self, given: Sequence[Terms], now: datetime, actor: str, *, replace: bool = False, dry_run: bool = False
    ) -> list[Made]:  # fmt: skip
        """Record what an administrator says, all of it or nothing, as one run; what is in force already stays.

        Raises ContradictionError where overrides in force say otherwise, unless they are to be replaced. A dry run does
        the same and takes it back.
        """
        now = now.replace(microsecond=0)
        with self._writing() as connection:
            number = _begin(connection, now, "override", actor)
            made = overrides.make(connection, self._among, number, now, given, replace=replace)
            if dry_run or not any(each.is_new for each in made):
                connection.rollback()
                return made
            replaced = sum(each.replaced is not None for each in made)
            _end(connection, number, now, {"made": sum(each.is_new for each in made), "revoked": replaced}, None)
        return made

    def revoke_overrides(self, ids: Sequence[int], why: str, now: datetime, actor: str) -> None:
        """Take overrides back, all of them or none, as one run. Raises UsageError where one is over already."""
        now = now.replace(microsecond=0)
        with self._writing() as connection:
            number = _begin(connection, now, "override", actor)
            overrides.revoke(connection, number, now, ids, why)
            _end(connection, number, now, {"revoked": len(ids)}, None)

    def acknowledgements(self) -> list[Acknowledgement]:
        """Every acknowledgement of a failure ever made, oldest first."""
        with self._reading() as connection:
            return acknowledgements.load(connection)

    def known_failures(self, now: datetime) -> dict[tuple[str, str], Acknowledgement]:
        """What is acknowledged at ``now``, by mailbox and failure."""
        return {
            (each.known.mailbox, each.known.failure): each for each in self.acknowledgements() if each.in_force(now)
        }

    def acknowledge(self, given: Sequence[KnownFailure], now: datetime, actor: str) -> list[Acknowledgement]:
        """Record known failures, all or none, as one run; each replaces what is in force about its mailbox."""
        now = now.replace(microsecond=0)
        with self._writing() as connection:
            number = _begin(connection, now, "failure", actor)
            made = acknowledgements.make(connection, number, now, given)
            _end(connection, number, now, {"acknowledged": len(made)}, None)
        return made

    def revoke_acknowledgements(self, mailboxes: Sequence[str], why: str, now: datetime, actor: str) -> list[int]:
        """Take back what is acknowledged of these mailboxes, all or none; the numbers. Raises UsageError."""
        now = now.replace(microsecond=0)
        with self._writing() as connection:
            number = _begin(connection, now, "failure", actor)
            ids = acknowledgements.revoke(connection, number, now, mailboxes, why)
            _end(connection, number, now, {"revoked": len(ids)}, None)
        return ids

    def last_publication(self, target: str, path: str) -> Publication | None:
        """What was last published to that target's file."""
        with self._reading() as connection:
            return events.last_publication(connection, target, path)

    def note_publication(self, run: int, now: datetime, published: Publication) -> None:
        """Note what a publication wrote."""
        row = published._asdict() | {"path": storable(published.path)}
        with self._writing() as connection:
            content = {"published": [[row[name] for name in chain.PUBLISHED]]}
            change = chain.append(connection, chain.ChangeKind.PUBLICATION, seconds(now), run, content)
            connection.execute(_NEW_PUBLICATION, row | {"change_set_id": change})

    def confirm_target(self, state: TargetState) -> None:
        """Note what a target is known to be now, whether or not anything was written for that."""
        with self._writing() as connection:
            target_states.confirm(connection, state)

    def target_state(self, target: str, path: str) -> TargetState | None:
        """What a target was last known to be; None where nobody noted it."""
        with self._reading() as connection:
            return target_states.load(connection, target, path)

    def last_published(self, target: str, path: str) -> datetime | None:
        """When something else than before was last published to that target's file; None: never."""
        with self._reading() as connection:
            return health.last_published(connection, target, path)

    def runs_of(self, what: str, source: str) -> Iterator[Run]:
        """The runs of that command on that source, newest first."""
        with self._reading() as connection:
            yield from health.runs_of(connection, what, source)

    def outcomes(self) -> dict[str, dict[str, int]]:
        """How many mailboxes of each source ended with which outcome; those that were forgotten are in none."""
        with self._reading() as connection:
            return health.outcomes(connection)

    def troubled(self) -> list[MailboxTrouble]:
        """The mailboxes that failed, have vanished or were held back when they were asked last, by address."""
        with self._reading() as connection:
            return health.troubled(connection)

    def stale(self, before: datetime) -> list[MailboxTrouble]:
        """The mailboxes whose entries count, and that gave no answer since then, by address."""
        with self._reading() as connection:
            return health.stale(connection, before)

    def not_asked_since(self, source: str, since: datetime) -> list[MailboxTrouble]:
        """The mailboxes of the source whose entries count, and that nobody asked since then, by address."""
        with self._reading() as connection:
            return health.not_asked_since(connection, source, since)

    def note_look(self, shown: Look, now: datetime, viewer: str) -> None:
        """Record that ``viewer`` is shown lists that are not their own, as a run of its own: to be done before that."""
        with self._writing() as connection:
            number = _begin(connection, now, LOOK, viewer)
            looks.note(connection, number, now, shown)
            _end(connection, number, now, {"names": shown.names}, None)

    def keep_rejections(self, counts: Iterable[RejectionCount]) -> list[KeptDay]:
        """Keep the counts of each day, all of them or none, unless more mails of that day are kept already."""
        with self._writing() as connection:
            return rejection_counts.keep(connection, counts)

    def rejection_counts(self) -> Iterator[RejectionCount]:
        """The counts of rejections that are kept, by day."""
        with self._reading() as connection:
            yield from rejection_counts.load(connection)

    def events(self, window: Window) -> Iterator[Event]:
        """What happened, oldest first."""
        with self._reading() as connection:
            yield from events.events(connection, window)

    def looks(self, window: Window) -> Iterator[Event]:
        """Who was shown lists that are not their own, oldest first."""
        with self._reading() as connection:
            yield from events.looked(connection, window)

    def entry_events(self, window: Window) -> Iterator[Event]:
        """Which entries were added and removed, oldest first."""
        with self._reading() as connection:
            yield from events.entries(connection, window)

    def verify_chain(self, contains: bytes | None = None) -> Verified:
        """Compute the digest of every change set anew from the rows; ``contains`` is one that must be among them."""
        with self._reading() as connection:
            return chain.verify(connection, contains)

    def last_run(self, what: str, source: str | None = None) -> Run | None:
        """The newest run of that command, on that ``source`` or any; None when there was none."""
        with self._reading() as connection:
            return reading.last_run(connection, what, source)

    def first_good_run(self, what: str) -> Run | None:
        """The oldest run of that command that came to its end without a problem."""
        with self._reading() as connection:
            return reading.first_good_run(connection, what)

    def mentioned(self, texts: Iterable[str]) -> set[str]:
        """Those of the texts of patterns that an entry, open or ended, or an override is or was about."""
        with self._reading() as connection:
            return reading.mentioned(connection, self._among, texts)

    def last_runs(self, count: int) -> list[Run]:
        """The newest runs, newest first."""
        with self._reading() as connection:
            return reading.last_runs(connection, count)

    def runs(
        self, since: datetime | None = None, until: datetime | None = None, what: str | None = None,
        source: str | None = None, page: AnswerPage = ALL,
    ) -> list[Run]:  # fmt: skip
        """The runs that began from ``since`` on and before ``until``, of that command and source, newest first.

        A position is a run's number.
        """
        with self._reading() as connection:
            return reading.runs(connection, since, until, what, source, page)

    def search(self, parts: Sequence[str], page: AnswerPage = ALL) -> list[Found]:
        """Mailboxes, overrides and senders whose address or domain contains one of the ``parts``."""
        with self._reading() as connection:
            return list(searching.search(connection, [storable(part) for part in parts], page))

    def totals(self) -> Totals:
        """The aggregate in figures."""
        with self._reading() as connection:
            return reading.totals(connection)

    def refusals(self) -> dict[Refusal, int]:
        """How many different texts in some list, open or ended, cannot be senders, by reason."""
        with self._reading() as connection:
            return reading.refusals(connection)

    def recount(self) -> list[Miscount]:
        """Patterns whose maintained count of trusting mailboxes differs from the entries; empty when all is well."""
        with self._reading() as connection:
            return reading.recount(connection)


class _Answered(NamedTuple):
    """What a mailbox answered, to whom, when."""

    run: int
    address: str
    rule: RuleVersion
    entries: frozenset[Entry]
    lists: frozenset[UserList]
    now: datetime

    def values(self) -> dict[str, Any]:
        """The columns of the mailbox's row that say so."""
        at = seconds(self.now)
        return self.rule._asdict() | {
            "lists": list_mask(self.lists), "run_id": self.run, "outcome": Outcome.COLLECTED, "reason": None,
            "problem": None, "checked": at, "answered": at, "doubt": None, "doubt_runs": 0,
        }  # fmt: skip


def _begin(connection: Connection, now: datetime, what: str, actor: str, source: str | None = None) -> int:
    row = {"started": seconds(now), "what": what[:100], "actor": storable(actor)[:200], "source": source}
    return recording.new_row(connection, _NEW_RUN, row)


def _end(connection: Connection, number: int, now: datetime, counts: Mapping[str, int], problem: str | None) -> None:
    at, figures, problem = seconds(now), json.dumps(dict(counts)), storable(problem)
    connection.execute(_END_RUN, {"of": number, "finished": at, "counts": figures, "problem": problem})
    chain.append(connection, chain.ChangeKind.RUN, at, number, {"ended": [at, figures, problem]})


def _address(text: str) -> str:
    return storable(text).lower()


def _insert_mailbox(connection: Connection, address: str, values: Mapping[str, Any]) -> int:
    """A new mailbox is recorded as one, whatever it holds: its domain becomes an own domain."""
    row = _UNSEEN | dict(values) | {"address": address, "domain": address.rpartition("@")[2]}
    number = recording.new_row(connection, _NEW_MAILBOX, row)
    _record_mailbox(connection, address, values, number)
    return number


def _record_mailbox(connection: Connection, address: str, values: Mapping[str, Any], number: int) -> None:
    """Marks the first collection as well: see :func:`safelist.store.reading.is_first`."""
    content = {"mailbox": address}
    chain.append(connection, chain.ChangeKind.MAILBOX, values["checked"], values["run_id"], content, number)


def _update_mailbox(connection: Connection, address: str, values: Mapping[str, Any]) -> bool:
    """Whether there was such a mailbox."""
    return connection.execute(_update(tuple(values)), {"of": address, **values}).rowcount > 0


@lru_cache
def _update(columns: tuple[str, ...]) -> Update:
    """Made once for each of the few sets of columns: SQLAlchemy takes longer to build it than SQLite to run it."""
    return update(mailbox).where(mailbox.c.address == bindparam("of")).values({c: bindparam(c) for c in columns})
