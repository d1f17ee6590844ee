"""Questions about how the aggregate is kept: runs, and mailboxes that need somebody. Few rows, where most are well."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from safelist.store.reading import run_of, seconds, stream, time_of
from safelist.store.schema import change_set, mailbox, publication, run
from safelist.store.values import MailboxTrouble, Outcome, Run

_RUNS_OF = (
    select(run)
    .where(run.c.what == bindparam("what"), run.c.source == bindparam("source"))
    .order_by(run.c.id.desc())
)  # fmt: skip
_NOT_FORGOTTEN = mailbox.c.outcome != Outcome.FORGOTTEN
_OUTCOMES = (
    select(mailbox.c.source, mailbox.c.outcome, func.count())
    .where(_NOT_FORGOTTEN)
    .group_by(mailbox.c.source, mailbox.c.outcome)
)
_TROUBLE = select(
    mailbox.c.address, mailbox.c.source, mailbox.c.outcome, mailbox.c.reason, mailbox.c.problem, mailbox.c.answered
)
_NEEDING = (Outcome.FAILED, Outcome.VANISHED, Outcome.HELD_BACK)
_TROUBLED = _TROUBLE.where(mailbox.c.outcome.in_(_NEEDING)).order_by(mailbox.c.address)
_COUNTS = mailbox.c.entries > 0
_STALE = (
    _TROUBLE.where(_NOT_FORGOTTEN, _COUNTS, mailbox.c.answered < bindparam("before")).order_by(mailbox.c.address)
)  # fmt: skip
_NOT_ASKED = (
    _TROUBLE.where(_NOT_FORGOTTEN, _COUNTS, mailbox.c.source == bindparam("of"), mailbox.c.checked < bindparam("since"))
    .order_by(mailbox.c.address)
)  # fmt: skip
_LAST_PUBLISHED = (
    select(func.max(change_set.c.at))
    .join_from(publication, change_set, publication.c.change_set_id == change_set.c.id)
    .where(publication.c.target == bindparam("target"), publication.c.path == bindparam("path"))
)


def runs_of(connection: Connection, what: str, source: str) -> Iterator[Run]:
    """The runs of that command on that source, newest first."""
    with stream(connection, _RUNS_OF, {"what": what, "source": source}) as rows:
        yield from map(run_of, rows)


def outcomes(connection: Connection) -> dict[str, dict[str, int]]:
    """How many mailboxes of each source ended with which outcome; those that were forgotten are in none."""
    found: dict[str, dict[str, int]] = {}
    for source, outcome, count in connection.execute(_OUTCOMES):
        found.setdefault(source, {})[outcome] = count
    return found


def troubled(connection: Connection) -> list[MailboxTrouble]:
    """The mailboxes that failed, have vanished or were held back when they were asked last, by address."""
    return _troubles(connection.execute(_TROUBLED))


def stale(connection: Connection, before: datetime) -> list[MailboxTrouble]:
    """The mailboxes whose entries count, and that gave no answer since then, by address."""
    return _troubles(connection.execute(_STALE, {"before": seconds(before)}))


def not_asked_since(connection: Connection, source: str, since: datetime) -> list[MailboxTrouble]:
    """The mailboxes of the source whose entries count, and that nobody asked since then, by address."""
    return _troubles(connection.execute(_NOT_ASKED, {"of": source, "since": seconds(since)}))


def _troubles(rows: Iterable[Any]) -> list[MailboxTrouble]:
    return [MailboxTrouble._make((*row[:-1], time_of(row[-1]))) for row in rows]


def last_published(connection: Connection, target: str, path: str) -> datetime | None:
    """When something else than before was last published to that target's file."""
    return time_of(connection.execute(_LAST_PUBLISHED, {"target": target, "path": path}).scalar())
