"""What happened, in order: entries, overrides, publications, failed runs."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from heapq import merge
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, or_, select

from safelist.entry import FIRST_SOURCE, Entry, UserList
from safelist.override import State
from safelist.store import acknowledgements, overrides
from safelist.store.reading import is_first, pattern_of, seconds, stream
from safelist.store.schema import change_set, entry, mailbox, pattern, publication, run
from safelist.store.values import Event, EventKind, Outcome, Publication


class Window(NamedTuple):
    """Which events: from ``since`` on, before ``until``, of those senders (by text), that mailbox, that actor.

    Of entries also: recorded after the change set ``after``, and up to ``through``. An override that expires later than
    ``now`` has not expired yet.
    """

    since: datetime | None = None
    until: datetime | None = None
    senders: tuple[str, ...] = ()
    mailbox: str | None = None
    actor: str | None = None
    after: int | None = None
    through: int | None = None
    now: datetime | None = None


_ENTRIES = (
    select(
        change_set.c.at, change_set.c.id, (entry.c.added == change_set.c.id).label("is_added"), run.c.actor,
        run.c.id.label("run_id"), mailbox.c.address, entry.c.list, pattern.c.text, pattern.c.form, pattern.c.refusal,
        is_first(change_set).label("at_first"),
    )
    .join_from(change_set, run, change_set.c.run_id == run.c.id)
    .join(mailbox, change_set.c.mailbox_id == mailbox.c.id)
    .join(
        entry,
        (entry.c.mailbox_id == change_set.c.mailbox_id)
        & or_(entry.c.added == change_set.c.id, entry.c.removed == change_set.c.id),
    )
    .join(pattern, entry.c.pattern_id == pattern.c.id)
    .order_by(change_set.c.at, change_set.c.id, entry.c.list, pattern.c.text, pattern.c.form)
)  # fmt: skip
_PUBLICATIONS = (
    select(change_set.c.at, change_set.c.id, run.c.actor, run.c.id.label("run_id"), publication)
    .join_from(publication, change_set, publication.c.change_set_id == change_set.c.id)
    .join(run, change_set.c.run_id == run.c.id)
    .order_by(change_set.c.at, change_set.c.id)
)
_RUNS = select(run).order_by(run.c.id)
_FAILURES = (Outcome.FAILED, Outcome.VANISHED, Outcome.HELD_BACK)


def events(connection: Connection, window: Window) -> Iterator[Event]:
    """Every event of the window, oldest first; those of one second in the order in which they were recorded."""
    streams = [entries(connection, window)]
    if not window.senders:
        streams.append(iter(sorted(_acknowledgements(connection, window), key=lambda event: event.at)))
    if window.mailbox is None:
        streams.append(iter(sorted(_overrides(connection, window), key=lambda event: event.at)))
        if not window.senders:
            streams.append(_publications(connection, window))
            streams.append(iter(sorted(_failures(connection, window), key=lambda event: event.at)))
    yield from merge(*streams, key=lambda event: event.at)


def _within(statement: Select[Any], column: Any, window: Window) -> Select[Any]:
    if window.since is not None:
        statement = statement.where(column >= seconds(window.since))
    if window.until is not None:
        statement = statement.where(column < seconds(window.until))
    if window.actor is not None:
        statement = statement.where(run.c.actor == window.actor)
    return statement


def entries(connection: Connection, window: Window) -> Iterator[Event]:
    """The entries that were added and removed, oldest first."""
    statement = _within(_ENTRIES, change_set.c.at, window)
    if window.after is not None:
        statement = statement.where(change_set.c.id > window.after)
    if window.through is not None:
        statement = statement.where(change_set.c.id <= window.through)
    if window.mailbox is not None:
        statement = statement.where(mailbox.c.address == window.mailbox)
    if window.senders:
        statement = statement.where(pattern.c.text.in_(window.senders))
    with stream(connection, statement) as rows:
        for row in rows:
            at, _, is_added, actor, run_id, address, list_, text, form, refusal, at_first = row
            kind = EventKind.ENTRY_ADDED if is_added else EventKind.ENTRY_REMOVED
            found = Entry(UserList(list_), pattern_of(text, form, refusal))
            yield Event(
                datetime.fromtimestamp(at, UTC),
                kind,
                actor,
                run_id,
                address,
                found,
                at_first=bool(is_added and at_first),
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
        for at, kind, actor in happened:
            if _is_in(window, at) and window.actor in (None, actor):
                yield Event(at, kind, actor, None, override=override)


def _acknowledgements(connection: Connection, window: Window) -> Iterator[Event]:
    for each in acknowledgements.load(connection):
        if window.mailbox not in (None, each.known.mailbox):
            continue
        happened = [(each.made, EventKind.FAILURE_ACKNOWLEDGED, each.actor)]
        if each.revoked is not None:
            happened.append((each.revoked, EventKind.ACKNOWLEDGEMENT_REVOKED, each.revoked_by or ""))
        elif window.now is None or not each.in_force(window.now):
            happened.append((each.known.expires, EventKind.ACKNOWLEDGEMENT_EXPIRED, ""))
        for at, kind, actor in happened:
            if _is_in(window, at) and window.actor in (None, actor):
                yield Event(at, kind, actor, None, each.known.mailbox, acknowledgement=each)


def _is_in(window: Window, at: datetime) -> bool:
    return (window.since is None or at >= window.since) and (window.until is None or at < window.until)


def _publications(connection: Connection, window: Window) -> Iterator[Event]:
    for row in connection.execute(_within(_PUBLICATIONS, change_set.c.at, window)):
        found = Publication(*(getattr(row, name) for name in Publication._fields))
        yield Event(datetime.fromtimestamp(row.at, UTC), EventKind.PUBLISHED, row.actor, row.run_id, publication=found)


def _failures(connection: Connection, window: Window) -> Iterator[Event]:
    for row in connection.execute(_within(_RUNS, run.c.started, window)):
        problem = _problem(row)
        if problem:
            at = datetime.fromtimestamp(row.finished or row.started, UTC)
            yield Event(at, EventKind.RUN_FAILED, row.actor, row.id, problem=f"{_named(row)}: {problem}")


def _named(row: Any) -> str:
    """What the run was, and of which source; the first one's go without, as before there were others."""
    return str(row.what) if row.source in (None, FIRST_SOURCE) else f"{row.what} {row.source}"


def _problem(row: Any) -> str | None:
    if row.finished is None:
        return "it has not ended: it still runs, or was killed"
    counts = json.loads(row.counts or "{}")
    failed = ", ".join(f"{counts[name]} {name}" for name in _FAILURES if counts.get(name))
    return row.problem or (f"mailboxes: {failed}" if failed else None)


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
