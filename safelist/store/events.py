"""What happened, in order: entries, overrides, publications, failed runs, looks at others' lists."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, or_, select

from safelist.entry import FIRST_SOURCE, Entry, UserList
from safelist.override import State
from safelist.store import acknowledgements, looks, overrides
from safelist.store.position import Position, behind
from safelist.store.reading import is_first, pattern_of, run_of, seconds, stream
from safelist.store.schema import change_set, entry, look, mailbox, pattern, publication, run
from safelist.store.values import Event, EventKind, Look, Publication


class Window(NamedTuple):
    """Which events: from ``since`` on, before ``until``, of those senders (by text), that mailbox, that actor.

    Of entries also: recorded after the change set ``after``, and up to ``through``. An override that expires later than
    ``now`` has not expired yet. Of all that, ``limit`` events at most, ``behind`` the one of that position.
    """

    since: datetime | None = None
    until: datetime | None = None
    senders: tuple[str, ...] = ()
    mailbox: str | None = None
    actor: str | None = None
    after: int | None = None
    through: int | None = None
    now: datetime | None = None
    kinds: frozenset[EventKind] = frozenset(EventKind)
    behind: Position = ()
    limit: int | None = None


class _Rank(IntEnum):
    """In which order events of one second are told, whose own order is theirs."""

    ENTRY = 0
    OVERRIDE = 1
    PUBLICATION = 2
    FAILURE = 3
    ACKNOWLEDGEMENT = 4
    LOOK = 5


_OF_ENTRIES = frozenset({EventKind.ENTRY_ADDED, EventKind.ENTRY_REMOVED})
_OF_OVERRIDES = frozenset({EventKind.OVERRIDE_MADE, EventKind.OVERRIDE_EXPIRED, EventKind.OVERRIDE_REVOKED})
_OF_ACKNOWLEDGEMENTS = frozenset(
    {EventKind.FAILURE_ACKNOWLEDGED, EventKind.ACKNOWLEDGEMENT_EXPIRED, EventKind.ACKNOWLEDGEMENT_REVOKED}
)
_ENTRY_ORDER = (change_set.c.at, change_set.c.id, entry.c.list, pattern.c.text, pattern.c.form)
_ENTRIES = (
    select(
        change_set.c.at, change_set.c.id, change_set.c.mailbox_id, change_set.c.run_id,
        (entry.c.added == change_set.c.id).label("is_added"), run.c.actor, mailbox.c.address, entry.c.list,
        pattern.c.text, pattern.c.form, pattern.c.refusal,
    )
    .join_from(change_set, run, change_set.c.run_id == run.c.id)
    .join(mailbox, change_set.c.mailbox_id == mailbox.c.id)
    .join(
        entry,
        (entry.c.mailbox_id == change_set.c.mailbox_id)
        & or_(entry.c.added == change_set.c.id, entry.c.removed == change_set.c.id),
    )
    .join(pattern, entry.c.pattern_id == pattern.c.id)
    .order_by(*_ENTRY_ORDER)
)  # fmt: skip
_PUBLICATIONS = (
    select(change_set.c.at, change_set.c.id, run.c.actor, run.c.id.label("run_id"), publication)
    .join_from(publication, change_set, publication.c.change_set_id == change_set.c.id)
    .join(run, change_set.c.run_id == run.c.id)
    .order_by(change_set.c.at, change_set.c.id)
)
_BEFORE_ALL = -(2**62)
_FAILED_AT = func.coalesce(run.c.finished, run.c.started)
_RUNS = select(run, _FAILED_AT.label("at")).order_by(_FAILED_AT, run.c.id)


def events(connection: Connection, window: Window) -> Iterator[Event]:
    """Every event of the window, oldest first; those of one second in the order in which they were recorded."""
    streams = [entries(connection, window)] if window.kinds & _OF_ENTRIES else []
    if not window.senders and window.kinds & _OF_ACKNOWLEDGEMENTS:
        streams.append(iter(sorted(_acknowledgements(connection, window), key=attrgetter("position"))))
    if EventKind.LOOKED in window.kinds:
        streams.append(looked(connection, window))
    if window.mailbox is None:
        if window.kinds & _OF_OVERRIDES:
            streams.append(iter(sorted(_overrides(connection, window), key=attrgetter("position"))))
        if not window.senders and EventKind.PUBLISHED in window.kinds:
            streams.append(_publications(connection, window))
        if not window.senders and EventKind.RUN_FAILED in window.kinds:
            streams.append(_failures(connection, window))
    yield from islice(merge(*streams, key=attrgetter("position")), window.limit)


def _within(statement: Select[Any], at: ColumnElement[int], window: Window) -> Select[Any]:
    if window.since is not None:
        statement = statement.where(at >= seconds(window.since))
    if window.until is not None:
        statement = statement.where(at < seconds(window.until))
    if window.actor is not None:
        statement = statement.where(run.c.actor == window.actor)
    return statement


def _behind(
    statement: Select[Any], rank: _Rank, order: Sequence[ColumnElement[Any]], position: Position
) -> Select[Any]:  # fmt: skip
    """Only what comes later than ``position``; ``order`` begins with the second."""
    if not position:
        return statement
    at, of, *rest = position
    if rank != of:
        return statement.where(order[0] >= at if rank > int(of) else order[0] > at)
    # The first condition alone lets an index find the place.
    return statement.where(order[0] >= at, behind(order, (at, *rest)))


def entries(connection: Connection, window: Window) -> Iterator[Event]:
    """The entries that were added and removed, oldest first."""
    with stream(connection, _entries(window)) as rows:
        for row in rows:
            at, number, _, run_id, is_added, actor, address, list_, text, form, refusal, at_first = row
            kind = EventKind.ENTRY_ADDED if is_added else EventKind.ENTRY_REMOVED
            position = (at, _Rank.ENTRY, number, list_, text, form)
            yield Event(
                datetime.fromtimestamp(at, UTC), kind, actor, run_id, address,
                Entry(UserList(list_), pattern_of(text, form, refusal)), at_first=bool(is_added and at_first),
                position=position,
            )  # fmt: skip


def _entries(window: Window) -> Select[Any]:
    """The statement. Whether it was at first is asked of the rows of the page alone."""
    statement = _behind(_within(_ENTRIES, change_set.c.at, window), _Rank.ENTRY, _ENTRY_ORDER, window.behind)
    if window.after is not None:
        statement = statement.where(change_set.c.id > window.after)
    if window.through is not None:
        statement = statement.where(change_set.c.id <= window.through)
    if window.mailbox is not None:
        statement = statement.where(mailbox.c.address == window.mailbox)
    if window.senders:
        statement = statement.where(pattern.c.text.in_(window.senders))
    for kind, column in ((EventKind.ENTRY_ADDED, entry.c.added), (EventKind.ENTRY_REMOVED, entry.c.removed)):
        if not window.kinds & (_OF_ENTRIES - {kind}):
            statement = statement.where(column == change_set.c.id)
    if not window.senders and window.mailbox is None:
        # A condition that always holds, by which SQLite begins where the order does, and not with every entry.
        statement = statement.where(change_set.c.at >= _BEFORE_ALL)
    if window.limit is None:
        return statement.add_columns(is_first(change_set).label("at_first"))
    page = statement.limit(window.limit).subquery("page")
    return select(page, is_first(page).label("at_first")).order_by(
        page.c.at, page.c.id, page.c.list, page.c.text, page.c.form
    )


def _overrides(connection: Connection, window: Window) -> Iterator[Event]:
    for override in overrides.load(connection):
        if window.senders and override.terms.pattern.text not in window.senders:
            continue
        happened = [(override.made, EventKind.OVERRIDE_MADE, override.actor)]
        if (ended := override.ended) is not None:
            match override.state(ended if window.now is None else window.now):
                case State.REVOKED:
                    happened.append((ended, EventKind.OVERRIDE_REVOKED, override.revoked_by or ""))
                case State.EXPIRED:
                    happened.append((ended, EventKind.OVERRIDE_EXPIRED, ""))
        for number, (at, kind, actor) in enumerate(happened):
            position = (seconds(at), _Rank.OVERRIDE, override.id, number)
            is_meant = kind in window.kinds and window.actor in (None, actor) and _is_in(window, at)
            if is_meant and position > window.behind:
                yield Event(at, kind, actor, None, override=override, position=position)


def _acknowledgements(connection: Connection, window: Window) -> Iterator[Event]:
    for each in acknowledgements.load(connection):
        if window.mailbox not in (None, each.known.mailbox):
            continue
        happened = [(each.made, EventKind.FAILURE_ACKNOWLEDGED, each.actor)]
        if each.revoked is not None:
            happened.append((each.revoked, EventKind.ACKNOWLEDGEMENT_REVOKED, each.revoked_by or ""))
        elif window.now is None or not each.in_force(window.now):
            happened.append((each.known.expires, EventKind.ACKNOWLEDGEMENT_EXPIRED, ""))
        for number, (at, kind, actor) in enumerate(happened):
            position = (seconds(at), _Rank.ACKNOWLEDGEMENT, each.id, number)
            is_meant = kind in window.kinds and window.actor in (None, actor) and _is_in(window, at)
            if is_meant and position > window.behind:
                yield Event(at, kind, actor, None, each.known.mailbox, acknowledgement=each, position=position)


def _is_in(window: Window, at: datetime) -> bool:
    return (window.since is None or at >= window.since) and (window.until is None or at < window.until)


def _publications(connection: Connection, window: Window) -> Iterator[Event]:
    order = (change_set.c.at, change_set.c.id)
    statement = _behind(_within(_PUBLICATIONS, order[0], window), _Rank.PUBLICATION, order, window.behind)
    for row in connection.execute(statement.limit(window.limit)):
        found = Publication(*(getattr(row, name) for name in Publication._fields))
        at, position = datetime.fromtimestamp(row.at, UTC), (row.at, _Rank.PUBLICATION, row.id)
        yield Event(at, EventKind.PUBLISHED, row.actor, row.run_id, publication=found, position=position)


def looked(connection: Connection, window: Window) -> Iterator[Event]:
    """Who was shown lists that are not their own, oldest first."""
    order = (change_set.c.at, change_set.c.id)
    statement = _behind(_within(looks.ALL, order[0], window), _Rank.LOOK, order, window.behind)
    if window.mailbox is not None:
        statement = statement.where(look.c.mailbox == window.mailbox)
    if window.senders:
        statement = statement.where(look.c.sender.in_(window.senders))
    for at, number, actor, run_id, *shown in connection.execute(statement.limit(window.limit)):
        found, position = Look(*shown), (at, _Rank.LOOK, number)
        moment = datetime.fromtimestamp(at, UTC)
        yield Event(moment, EventKind.LOOKED, actor, run_id, mailbox=found.mailbox, look=found, position=position)


def _failures(connection: Connection, window: Window) -> Iterator[Event]:
    order = (_FAILED_AT, run.c.id)
    statement = _behind(_within(_RUNS, run.c.started, window), _Rank.FAILURE, order, window.behind)
    with stream(connection, statement) as rows:
        for row in rows:
            if trouble := run_of(row).trouble:
                at, position = datetime.fromtimestamp(row.at, UTC), (row.at, _Rank.FAILURE, row.id)
                told = f"{_named(row)}: {trouble}"
                yield Event(at, EventKind.RUN_FAILED, row.actor, row.id, problem=told, position=position)


def _named(row: Any) -> str:
    """What the run was, and of which source; the first one's go without, as before there were others."""
    return str(row.what) if row.source in (None, FIRST_SOURCE) else f"{row.what} {row.source}"


def last_publication(connection: Connection, target: str, path: str) -> Publication | None:
    """What was last published to that target's file."""
    statement = (
        select(*(publication.c[name] for name in Publication._fields))
        .where(publication.c.target == bindparam("target"), publication.c.path == bindparam("path"))
        .order_by(publication.c.change_set_id.desc())
        .limit(1)
    )
    row = connection.execute(statement, {"target": target, "path": path}).one_or_none()
    return None if row is None else Publication(*row)
