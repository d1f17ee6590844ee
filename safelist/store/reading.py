"""Questions to the aggregate: rows in, plain values out."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, distinct, func, select

from safelist.entry import TRUSTING_LISTS, UserList
from safelist.policy import Candidate
from safelist.sender import Form, Pattern, Refusal
from safelist.store.among import Among, portions
from safelist.store.schema import change_set, entry, mailbox, pattern, run
from safelist.store.values import Holding, MailboxState, Miscount, Run, Totals

_ROWS_AT_ONCE = 2000
_FORMS = {int(form): form for form in Form}
_REFUSALS: Mapping[str, Refusal] = {str(refusal): refusal for refusal in Refusal}

_STATE = select(*(mailbox.c[name] for name in MailboxState._fields))
_STATE_OF = _STATE.where(mailbox.c.address == bindparam("of"))
_ADDRESS_OF_OWNER = select(mailbox.c.address).where(mailbox.c.owner == bindparam("of")).order_by(mailbox.c.id).limit(1)
_CANDIDATES = (
    select(pattern.c.text, pattern.c.form, pattern.c.trusted_by)
    .where(pattern.c.trusted_by >= bindparam("at_least"), pattern.c.form != int(Form.REFUSED))
    .order_by(pattern.c.text, pattern.c.form)
)
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


def _moment(value: int | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)


def pattern_of(text: str, form: int, refusal: str | None) -> Pattern:
    """The pattern of a row. A reason that only a newer version knows is left out; the form still says refused."""
    return Pattern(text, _FORMS[form], _REFUSALS.get(refusal) if refusal is not None else None)


def _state(row: Sequence[Any]) -> MailboxState:
    """The row's columns are the fields; four of them are kept as numbers."""
    raw: Any = MailboxState._make(row)
    return raw._replace(  # type: ignore[no-any-return]
        lists=_lists_of(raw.lists),
        checked=datetime.fromtimestamp(raw.checked, UTC),
        answered=_moment(raw.answered),
        changed=_moment(raw.changed),
    )


def state(connection: Connection, address: str) -> MailboxState | None:
    """One mailbox as it was last seen."""
    row = connection.execute(_STATE_OF, {"of": address}).one_or_none()
    return None if row is None else _state(row)


def states(connection: Connection) -> Iterator[MailboxState]:
    """Every mailbox, by address."""
    with _stream(connection, _STATE.order_by(mailbox.c.address)) as rows:
        for row in rows:
            yield _state(row)


def address_of_owner(connection: Connection, owner: str) -> str | None:
    """The mailbox whose rule carried that mailbox GUID."""
    return connection.execute(_ADDRESS_OF_OWNER, {"of": owner}).scalar()


def candidates(connection: Connection, at_least: int) -> Iterator[Candidate]:
    """Patterns that at least so many mailboxes trust, by text in byte order; reads no entries."""
    forms = _FORMS
    with _stream(connection, _CANDIDATES, {"at_least": at_least}) as rows:
        for text, form, trusted_by in rows:
            yield Candidate(Pattern(text, forms[form]), trusted_by)


def _stream(
    connection: Connection, statement: Select[Any], values: Mapping[str, Any] | None = None
) -> AbstractContextManager[Iterable[Sequence[Any]]]:  # fmt: skip
    """Rows that come as they are read; to be closed, because a reader may leave half-way."""
    streaming = connection.execution_options(stream_results=True, yield_per=_ROWS_AT_ONCE)
    return streaming.execute(statement, values or {})


_began = change_set.alias("began")
_ended = change_set.alias("ended")
_HOLDINGS = (
    select(
        mailbox.c.address, entry.c.list, pattern.c.text, pattern.c.form, pattern.c.refusal,
        _began.c.at.label("since"), _ended.c.at.label("until"),
    )
    .select_from(entry)
    .join(pattern, entry.c.pattern_id == pattern.c.id)
    .join(mailbox, entry.c.mailbox_id == mailbox.c.id)
    .join(_began, entry.c.added == _began.c.id)
    .outerjoin(_ended, entry.c.removed == _ended.c.id)
    .order_by(mailbox.c.address, entry.c.list, pattern.c.text, pattern.c.form, entry.c.added)
)  # fmt: skip
_LISTING = _HOLDINGS.where(mailbox.c.address == bindparam("of"))


def who_statement(among: Among) -> Select[Any]:
    """Every entry, open or ended, of the patterns with one of the parameter's ``texts``."""
    return _HOLDINGS.where(among.test(pattern.c.text, "texts"))


def who(connection: Connection, among: Among, texts: Sequence[str]) -> list[Holding]:
    """The answer to :func:`who_statement`, by mailbox, list and text."""
    found = []
    for portion in portions(dict.fromkeys(texts)):
        found += [_holding(row) for row in connection.execute(who_statement(among), {"texts": among.pack(portion)})]
    return found


def listing(connection: Connection, address: str) -> list[Holding]:
    """Every entry, open or ended, of one mailbox, by list and text."""
    return [_holding(row) for row in connection.execute(_LISTING, {"of": address})]


def _holding(row: Sequence[Any]) -> Holding:
    address, list_, text, form, refusal, since, until = row
    began = datetime.fromtimestamp(since, UTC)
    return Holding(address, UserList(list_), pattern_of(text, form, refusal), began, _moment(until))


def last_runs(connection: Connection, count: int) -> list[Run]:
    """The newest runs, newest first."""
    return [
        Run(
            r.id, datetime.fromtimestamp(r.started, UTC), _moment(r.finished), r.what, r.actor,
            json.loads(r.counts or "{}"), r.problem,
        )
        for r in connection.execute(_RUNS, {"count": count})
    ]  # fmt: skip


def totals(connection: Connection) -> Totals:
    """The aggregate in figures, from the maintained counts."""
    with_entries = func.count().filter(mailbox.c.entries > 0)
    sums = (func.coalesce(func.sum(column), 0) for column in (mailbox.c.entries, mailbox.c.refused))
    mailboxes = connection.execute(select(func.count(), with_entries, *sums).select_from(mailbox)).one()
    trusted = func.count().filter(pattern.c.trusted_by > 0)
    patterns = connection.execute(select(func.count(), trusted).select_from(pattern)).one()
    return Totals(*map(int, (*mailboxes, *patterns)))


def recount(connection: Connection) -> list[Miscount]:
    """Patterns whose maintained count differs from the entries. Reads every entry: minutes for ten millions."""
    lists = [int(list_) for list_ in TRUSTING_LISTS]
    counts = (
        select(entry.c.pattern_id, func.count(distinct(entry.c.mailbox_id)).label("counted"))
        .where(entry.c.removed.is_(None), entry.c.list.in_(lists))
        .group_by(entry.c.pattern_id)
        .subquery()
    )
    counted: ColumnElement[int] = func.coalesce(counts.c.counted, 0)
    statement = (
        select(pattern.c.text, pattern.c.trusted_by, counted)
        .outerjoin_from(pattern, counts, pattern.c.id == counts.c.pattern_id)
        .where(pattern.c.trusted_by != counted, pattern.c.form != int(Form.REFUSED))
        .order_by(pattern.c.text)
    )
    return [Miscount(*row) for row in connection.execute(statement)]
