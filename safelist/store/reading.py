"""Questions to the aggregate: rows in, plain values out."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, bindparam, case, exists, func, or_, select

from safelist.entry import SENDER_LISTS, TRUSTING_LISTS, Holding, UserList
from safelist.sender import Form, Pattern, Refusal
from safelist.store.among import Among, portions
from safelist.store.position import AnswerPage, Position, behind
from safelist.store.schema import change_set, entry, mailbox, override, pattern, run
from safelist.store.values import HolderCount, MailboxState, Miscount, Moment, RuleVersion, Run, Totals

_ROWS_AT_ONCE = 2000
_FORMS = {int(form): form for form in Form}
_REFUSALS: Mapping[str, Refusal] = {str(refusal): refusal for refusal in Refusal}

_OF_RULE = len(RuleVersion._fields)
_STATE = select(*(mailbox.c[name] for name in (*RuleVersion._fields, *MailboxState._fields) if name != "rule"))
_STATE_OF = _STATE.where(mailbox.c.address == bindparam("of"))
_ADDRESS_OF_OWNER = select(mailbox.c.address).where(mailbox.c.owner == bindparam("of")).order_by(mailbox.c.id).limit(1)
_RUN_OF = select(run).where(run.c.what == bindparam("what")).order_by(run.c.id.desc()).limit(1)
_RUN_OF_SOURCE = _RUN_OF.where(run.c.source == bindparam("source"))
_FIRST_GOOD_RUN = (
    select(run)
    .where(run.c.what == bindparam("what"), run.c.finished.is_not(None), run.c.problem.is_(None))
    .order_by(run.c.id)
    .limit(1)
)
_SOURCE_OF_RUN = select(run.c.source).where(run.c.id == bindparam("of"))
_RUNS = select(run).order_by(run.c.id.desc()).limit(bindparam("count"))


def list_mask(lists: frozenset[UserList]) -> int:
    """The lists as the bits of a number, as the mailbox's row keeps them."""
    return sum(1 << int(list_) for list_ in lists)


@lru_cache(maxsize=256)
def _lists_of(mask: int) -> frozenset[UserList]:
    return frozenset(list_ for list_ in UserList if mask & (1 << int(list_)))


def seconds(moment: datetime) -> int:
    """A moment as the database keeps it."""
    return int(moment.timestamp())


def time_of(value: int | None) -> datetime | None:
    """A moment that the database keeps."""
    return None if value is None else datetime.fromtimestamp(value, UTC)


def pattern_of(text: str, form: int, refusal: str | None) -> Pattern:
    """The pattern of a row. A reason that only a newer version knows is left out; the form still says refused."""
    return Pattern(text, _FORMS[form], _REFUSALS.get(refusal) if refusal is not None else None)


def _state(row: Sequence[Any]) -> MailboxState:
    """The columns are the fields of the rule's version, then of the mailbox; four of those are kept as numbers."""
    address, *rest = row[_OF_RULE:]
    raw: Any = MailboxState(address, RuleVersion._make(row[:_OF_RULE]), *rest)
    return raw._replace(  # type: ignore[no-any-return]
        lists=_lists_of(raw.lists),
        checked=datetime.fromtimestamp(raw.checked, UTC),
        answered=time_of(raw.answered),
        changed=time_of(raw.changed),
    )


def state(connection: Connection, address: str) -> MailboxState | None:
    """One mailbox as it was last seen."""
    row = connection.execute(_STATE_OF, {"of": address}).one_or_none()
    return None if row is None else _state(row)


def states(connection: Connection) -> Iterator[MailboxState]:
    """Every mailbox, by address."""
    with stream(connection, _STATE.order_by(mailbox.c.address)) as rows:
        for row in rows:
            yield _state(row)


def address_of_owner(connection: Connection, owner: str) -> str | None:
    """The mailbox whose rule carried that mailbox GUID."""
    return connection.execute(_ADDRESS_OF_OWNER, {"of": owner}).scalar()


def stream(
    connection: Connection, statement: Select[Any], values: Mapping[str, Any] | None = None
) -> AbstractContextManager[Iterable[Any]]:  # fmt: skip
    """Rows that come as they are read; to be closed, because a reader may leave half-way."""
    options = {"stream_results": True, "yield_per": _ROWS_AT_ONCE}
    return connection.execute(statement, values or {}, execution_options=options)


def is_first(began: FromClause) -> ColumnElement[bool]:
    """Whether that change set is the first collection of its mailbox.

    A mailbox is recorded as one (again, when it answers for the first time) right before its first entries. Databases
    from before the chain have no such record: there it is the mailbox's first change set.
    """
    before = change_set.alias("before")
    is_recorded = exists().where(
        before.c.id == began.c.id - 1, before.c.kind == "mailbox", before.c.mailbox_id == began.c.mailbox_id,
        before.c.run_id == began.c.run_id,
    )  # fmt: skip
    earlier = change_set.alias("earlier")
    is_earlier = exists().where(earlier.c.mailbox_id == began.c.mailbox_id, earlier.c.id < began.c.id)
    return or_(is_recorded, ~is_earlier)


_began = change_set.alias("began")
_ended = change_set.alias("ended")
_OF_ENTRY = (
    select(
        mailbox.c.address, entry.c.list, pattern.c.text, pattern.c.form, pattern.c.refusal,
        _began.c.at.label("since"), _ended.c.at.label("until"),
    )
    .select_from(entry)
    .join(pattern, entry.c.pattern_id == pattern.c.id)
    .join(mailbox, entry.c.mailbox_id == mailbox.c.id)
    .join(_began, entry.c.added == _began.c.id)
    .outerjoin(_ended, entry.c.removed == _ended.c.id)
)  # fmt: skip
_HOLDINGS = _OF_ENTRY.add_columns(is_first(_began).label("at_first"))
_IN_ORDER = (mailbox.c.address, entry.c.list, pattern.c.text, pattern.c.form, entry.c.added)
_LISTING = _HOLDINGS.where(mailbox.c.address == bindparam("of")).order_by(*_IN_ORDER)
_OPEN_AT = (entry.c.added <= bindparam("moment"), or_(entry.c.removed.is_(None), entry.c.removed > bindparam("moment")))
_LAST_UNTIL = select(func.max(change_set.c.id)).where(change_set.c.at <= bindparam("at"))
_NEWEST = select(func.max(change_set.c.id))
_NEWEST_AT = select(change_set.c.at).order_by(change_set.c.id.desc()).limit(1)
_LAST_OF_RUN = select(func.max(change_set.c.id)).where(change_set.c.run_id <= bindparam("run"))
_NEXT_DOMAIN = select(func.min(mailbox.c.domain)).where(mailbox.c.domain > bindparam("last"))


def _as_of(statement: Select[Any], moment: Moment | None) -> tuple[Select[Any], dict[str, Any]]:
    """Only the entries that were open at that moment; without one, all."""
    return (statement, {}) if moment is None else (statement.where(*_OPEN_AT), {"moment": moment.change_set})


def who(connection: Connection, among: Among, texts: Sequence[str], at: Moment | None) -> list[Holding]:
    """Every entry, open or ended, of the patterns with one of the ``texts``, by mailbox, list and text."""
    statement = _HOLDINGS.where(among.test(pattern.c.text, "texts")).order_by(*_IN_ORDER)
    statement, values = _as_of(statement, at)
    found: list[Holding] = []
    for portion in portions(dict.fromkeys(texts)):
        found += map(_holding, connection.execute(statement, values | {"texts": among.pack(portion)}))
    return found


def who_page(
    connection: Connection, among: Among, texts: Collection[str], at: Moment | None, page: AnswerPage
) -> list[tuple[Holding, Position]]:  # fmt: skip
    """A page of the answer to :func:`who`, each with its position; of no more than a thousand texts.

    Whether an entry was there at first is asked of those of the page alone.
    """
    statement, values = _as_of(_OF_ENTRY.where(among.test(pattern.c.text, "texts")), at)
    statement = statement.add_columns(entry.c.added, _began.c.id, _began.c.mailbox_id, _began.c.run_id)
    if page.behind:
        statement = statement.where(behind(_IN_ORDER, page.behind))
    found = statement.order_by(*_IN_ORDER).limit(page.limit).subquery("page")
    columns = (found.c[name] for name in ("address", "list", "text", "form", "refusal", "since", "until"))
    order = (found.c.address, found.c.list, found.c.text, found.c.form, found.c.added)
    rows = connection.execute(
        select(*columns, is_first(found), found.c.added).order_by(*order),
        values | {"texts": among.pack(list(dict.fromkeys(texts)))},
    )
    return [(_holding(row[:-1]), (*row[:4], row[-1])) for row in rows]


def held(connection: Connection, among: Among, texts: Collection[str], at: Moment | None) -> list[Pattern]:
    """The patterns with one of the ``texts`` that somebody holds or held; as of a moment only those held then."""
    entries, values = _as_of(select(entry.c.pattern_id).where(entry.c.pattern_id == pattern.c.id), at)
    statement = (
        select(pattern.c.text, pattern.c.form, pattern.c.refusal)
        .where(among.test(pattern.c.text, "texts"), entries.exists())
        .order_by(pattern.c.text, pattern.c.form)
    )
    rows = connection.execute(statement, values | {"texts": among.pack(list(dict.fromkeys(texts)))})
    return [pattern_of(*row) for row in rows]


def listing(connection: Connection, address: str, at: Moment | None) -> list[Holding]:
    """Every entry, open or ended, of one mailbox, by list and text."""
    statement, values = _as_of(_LISTING, at)
    return list(map(_holding, connection.execute(statement, values | {"of": address})))


def open_trust(connection: Connection, among: Among, patterns: Sequence[int]) -> list[Holding]:
    """The open entries by which somebody trusts the patterns of those rows."""
    statement = _HOLDINGS.where(
        among.test(entry.c.pattern_id, "patterns"), entry.c.removed.is_(None), entry.c.list.in_(_TRUSTING)
    )
    return list(map(_holding, connection.execute(statement, {"patterns": among.pack(patterns)})))


_SAID_OF_SENDERS = (entry.c.removed.is_(None), entry.c.list.in_(sorted(map(int, SENDER_LISTS))))


def open_about(connection: Connection, among: Among, address: str, texts: Sequence[str]) -> list[Holding]:
    """The open entries about senders of one mailbox that have one of those texts, by text and list."""
    statement = _HOLDINGS.where(
        mailbox.c.address == bindparam("of"), among.test(pattern.c.text, "texts"), *_SAID_OF_SENDERS
    )
    found: list[Holding] = []
    for portion in portions(dict.fromkeys(texts)):
        found += map(_holding, connection.execute(statement, {"of": address, "texts": among.pack(portion)}))
    return sorted(found, key=lambda holding: (holding.pattern.text, holding.list))


_TRUSTING = sorted(map(int, TRUSTING_LISTS | {UserList.TRUSTED_CONTACTS}))
_key = entry.alias("key")
# The index alone says which list: the rows that it points at are looked at for the few that are meant.
_COUNT_BY_LIST = (
    select(pattern.c.text, pattern.c.form, pattern.c.refusal, _key.c.list, func.count())
    .join_from(_key, pattern, _key.c.pattern_id == pattern.c.id)
    .join(entry, and_(*(entry.c[column.name] == _key.c[column.name] for column in entry.primary_key)))
    .where(entry.c.removed.is_(None), or_(_key.c.list.not_in(_TRUSTING), pattern.c.form == int(Form.REFUSED)))
    .group_by(pattern.c.text, pattern.c.form, pattern.c.refusal, _key.c.list)
)
_COUNT_OF_TRUST = select(pattern.c.text, pattern.c.form, pattern.c.trusted_by, pattern.c.contact_of).where(
    pattern.c.form != int(Form.REFUSED)
)


def count_holders(connection: Connection, among: Among, texts: Sequence[str]) -> list[HolderCount]:
    """How many mailboxes have each pattern with one of those texts in which lists now, by text.

    Whoever trusts it is counted already; entries are read only where a list says something else of it.
    """
    found: list[HolderCount] = []
    for portion in portions(dict.fromkeys(texts)):
        values = {"texts": among.pack(portion)}
        for text, form, trusted_by, contact_of in connection.execute(_of_texts(_COUNT_OF_TRUST, among), values):
            each = pattern_of(text, form, None)
            found += [HolderCount(each, _SAFE, trusted_by), HolderCount(each, _CONTACTS, contact_of)]
        for text, form, refusal, list_, count in connection.execute(_of_texts(_COUNT_BY_LIST, among), values):
            found.append(HolderCount(pattern_of(text, form, refusal), UserList(list_).title, count))
    return sorted((each for each in found if each.mailboxes), key=lambda each: (each.pattern.text, each.title))


_SAFE = UserList.SAFE_SENDERS.title
_CONTACTS = f"{UserList.TRUSTED_CONTACTS.title} only"


def _of_texts(statement: Select[Any], among: Among) -> Select[Any]:
    return statement.where(among.test(pattern.c.text, "texts"))


_EVERYBODYS = _HOLDINGS.where(
    entry.c.removed.is_(None), entry.c.list.in_(sorted(map(int, SENDER_LISTS))), pattern.c.form != int(Form.REFUSED)
).order_by(mailbox.c.address)


def by_mailbox(connection: Connection) -> Iterator[tuple[str, list[Holding]]]:
    """Every open entry about senders that can be some, mailbox by mailbox."""
    with stream(connection, _EVERYBODYS) as rows:
        for address, group in groupby(map(_holding, rows), key=lambda holding: holding.mailbox):
            yield address, list(group)


def _holding(row: Sequence[Any]) -> Holding:
    address, list_, text, form, refusal, since, until, at_first = row
    began = datetime.fromtimestamp(since, UTC)
    return Holding(address, UserList(list_), pattern_of(text, form, refusal), began, time_of(until), bool(at_first))


def moment_at(connection: Connection, at: datetime) -> Moment:
    """The state at that time."""
    return Moment(connection.execute(_LAST_UNTIL, {"at": seconds(at)}).scalar() or 0, at)


def newest(connection: Connection, now: datetime) -> Moment:
    """The state as it is, also where a clock that was wrong dated some of it ahead of ``now``."""
    return Moment(connection.execute(_NEWEST).scalar() or 0, now)


def dated_ahead(connection: Connection, now: datetime) -> datetime | None:
    """When the newest change set says that it was recorded, if that lies ahead of ``now``."""
    at = connection.execute(_NEWEST_AT).scalar()
    return time_of(at) if at is not None and at > seconds(now) else None


def moment_after(connection: Connection, run_id: int) -> Moment | None:
    """The state after that run; None when there was no such run."""
    found = connection.execute(select(run.c.started, run.c.finished).where(run.c.id == run_id)).one_or_none()
    if found is None:
        return None
    last = connection.execute(_LAST_OF_RUN, {"run": run_id}).scalar() or 0
    return Moment(last, datetime.fromtimestamp(found.finished or found.started, UTC))


def addresses(connection: Connection, prefix: str, most: int) -> Iterator[str]:
    """The addresses of mailboxes that begin so, in their order."""
    found = mailbox.c.address.startswith(prefix, autoescape=True)
    yield from connection.execute(
        select(mailbox.c.address).where(found).order_by(mailbox.c.address).limit(most)
    ).scalars()


def own_domains(connection: Connection) -> Iterator[str]:
    """The domains of the mailboxes: one look-up each, however many mailboxes there are."""
    last = ""
    while (found := connection.execute(_NEXT_DOMAIN, {"last": last}).scalar()) is not None:
        yield found
        last = found


def source_of_run(connection: Connection, run_id: int) -> str | None:
    """The source that the run collects from."""
    return connection.execute(_SOURCE_OF_RUN, {"of": run_id}).scalar()


def last_run(connection: Connection, what: str, source: str | None = None) -> Run | None:
    """The newest run of that command, on that source."""
    statement = _RUN_OF if source is None else _RUN_OF_SOURCE
    row = connection.execute(statement, {"what": what, "source": source}).one_or_none()
    return None if row is None else run_of(row)


def first_good_run(connection: Connection, what: str) -> Run | None:
    """The oldest run of that command that came to its end without a problem."""
    row = connection.execute(_FIRST_GOOD_RUN, {"what": what}).one_or_none()
    return None if row is None else run_of(row)


def mentioned(connection: Connection, among: Among, texts: Iterable[str]) -> set[str]:
    """Those of the texts that an entry, open or ended, or an override is or was about."""
    found: set[str] = set()
    for portion in portions(dict.fromkeys(texts)):
        for column in (pattern.c.text, override.c.text):
            statement = select(column).where(among.test(column, "texts"))
            found.update(connection.execute(statement, {"texts": among.pack(portion)}).scalars())
    return found


def last_runs(connection: Connection, count: int) -> list[Run]:
    """The newest runs, newest first."""
    return list(map(run_of, connection.execute(_RUNS, {"count": count})))


def runs(
    connection: Connection, since: datetime | None, until: datetime | None, what: str | None, source: str | None,
    page: AnswerPage,
) -> list[Run]:  # fmt: skip
    """The runs that began from ``since`` on and before ``until``, newest first; a position is a run's number."""
    statement = select(run).order_by(run.c.id.desc()).limit(page.limit)
    conditions = [
        None if since is None else run.c.started >= seconds(since),
        None if until is None else run.c.started < seconds(until),
        None if what is None else run.c.what == what,
        None if source is None else run.c.source == source,
        run.c.id < page.behind[0] if page.behind else None,
    ]
    return list(map(run_of, connection.execute(statement.where(*(c for c in conditions if c is not None)))))


def run_of(row: Any) -> Run:
    """The run of a row."""
    started, finished = datetime.fromtimestamp(row.started, UTC), time_of(row.finished)
    return Run(row.id, started, finished, row.what, row.actor, json.loads(row.counts or "{}"), row.problem, row.source)


def totals(connection: Connection) -> Totals:
    """The aggregate in figures, from the maintained counts."""
    with_entries = func.count().filter(mailbox.c.entries > 0)
    sums = (func.coalesce(func.sum(column), 0) for column in (mailbox.c.entries, mailbox.c.refused))
    mailboxes = connection.execute(select(func.count(), with_entries, *sums).select_from(mailbox)).one()
    trusted = func.count().filter(pattern.c.trusted_by > 0)
    patterns = connection.execute(select(func.count(), trusted).select_from(pattern)).one()
    return Totals(*map(int, (*mailboxes, *patterns)))


def refusals(connection: Connection) -> dict[Refusal, int]:
    """How many different texts in some list, open or ended, cannot be senders, by reason."""
    statement = (
        select(pattern.c.refusal, func.count())
        .where(pattern.c.form == int(Form.REFUSED), pattern.c.refusal.in_(list(_REFUSALS)))
        .group_by(pattern.c.refusal)
    )
    return {_REFUSALS[name]: count for name, count in connection.execute(statement)}


def recount(connection: Connection) -> list[Miscount]:
    """Patterns whose maintained counts differ from the entries. Reads every entry: minutes for ten millions."""
    wrong = []
    trusting = entry.c.list.in_(sorted(map(int, TRUSTING_LISTS)))
    votes = (
        select(entry.c.pattern_id, entry.c.mailbox_id, func.max(case((trusting, 1), else_=0)).label("trusts"))
        .where(entry.c.removed.is_(None), entry.c.list.in_(_TRUSTING))
        .group_by(entry.c.pattern_id, entry.c.mailbox_id)
        .subquery()
    )
    counts = (
        select(votes.c.pattern_id, func.sum(votes.c.trusts).label("trusted"), func.count().label("all"))
        .group_by(votes.c.pattern_id)
        .subquery()
    )
    trusted = func.coalesce(counts.c.trusted, 0)
    contact_of = func.coalesce(counts.c.all - counts.c.trusted, 0)
    for maintained, counted in ((pattern.c.trusted_by, trusted), (pattern.c.contact_of, contact_of)):
        statement = (
            select(pattern.c.text, maintained, counted)
            .outerjoin_from(pattern, counts, pattern.c.id == counts.c.pattern_id)
            .where(maintained.is_distinct_from(counted), pattern.c.form != int(Form.REFUSED))
            .order_by(pattern.c.text)
        )
        wrong += [Miscount(str(text), kept, int(found)) for text, kept, found in connection.execute(statement)]
    return wrong
