"""Acknowledged failures in the database: made and revoked, never changed otherwise and never deleted."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from safelist.errors import UsageError
from safelist.store import chain
from safelist.store.reading import seconds
from safelist.store.recording import storable
from safelist.store.schema import acknowledgement, change_set, run
from safelist.store.values import Acknowledgement, KnownFailure

_made, _revoked = change_set.alias("made_by"), change_set.alias("revoked_by")
_maker, _revoker = run.alias("maker"), run.alias("revoker")
_ALL = (
    select(
        *(acknowledgement.c[name] for name in chain.ACKNOWLEDGED), acknowledgement.c.revoked_why,
        _made.c.at.label("made_at"), _maker.c.actor, _revoked.c.at.label("revoked_at"),
        _revoker.c.actor.label("revoker"),
    )
    .join_from(acknowledgement, _made, acknowledgement.c.made == _made.c.id)
    .join(_maker, _made.c.run_id == _maker.c.id)
    .outerjoin(_revoked, acknowledgement.c.revoked == _revoked.c.id)
    .outerjoin(_revoker, _revoked.c.run_id == _revoker.c.id)
    .order_by(acknowledgement.c.id)
)  # fmt: skip
_NEW = insert(acknowledgement)
_REVOKE = (
    update(acknowledgement)
    .where(acknowledgement.c.id == bindparam("of"), acknowledgement.c.revoked.is_(None))
    .values(revoked=bindparam("by"), revoked_why=bindparam("why"))
)
_HIGHEST = select(func.coalesce(func.max(acknowledgement.c.id), 0))


def load(connection: Connection) -> list[Acknowledgement]:
    """Every acknowledgement ever made, oldest first."""
    return list(map(_acknowledgement, connection.execute(_ALL)))


def _acknowledgement(row: Any) -> Acknowledgement:
    until = datetime.fromtimestamp(row.expires, UTC)
    known = KnownFailure(row.mailbox, row.failure, row.reason, row.ticket, until)
    made = datetime.fromtimestamp(row.made_at, UTC)
    revoked = None if row.revoked_at is None else datetime.fromtimestamp(row.revoked_at, UTC)
    return Acknowledgement(row.id, known, made, row.actor, revoked, row.revoker, row.revoked_why)


def make(connection: Connection, run: int, now: datetime, given: Sequence[KnownFailure]) -> list[Acknowledgement]:
    """Record them, all or none; each takes the place of what is in force about the same mailbox."""
    chain.lock(connection)
    number = connection.execute(_HIGHEST).scalar_one()
    named = {known.mailbox for known in given}
    standing = [there.id for there in load(connection) if there.known.mailbox in named and there.in_force(now)]
    rows = [_row(number + n, known) for n, known in enumerate(given, start=1)]
    content = {"acknowledged": [[row[name] for name in chain.ACKNOWLEDGED] for row in rows]}
    change = chain.append(connection, chain.ChangeKind.ACKNOWLEDGEMENTS, seconds(now), run, content)
    connection.execute(_NEW, [row | {"made": change} for row in rows])
    if standing:
        _revoke(connection, run, now, standing, "acknowledged anew")
    return [there for there in load(connection) if there.id > number]


def _row(number: int, known: KnownFailure) -> dict[str, Any]:
    texts = {name: storable(getattr(known, name)) for name in ("mailbox", "failure", "reason", "ticket")}
    return {"id": number, **texts, "expires": seconds(known.expires)}


def revoke(connection: Connection, run: int, now: datetime, mailboxes: Sequence[str], why: str) -> list[int]:
    """Take back what is in force about these mailboxes. Raises UsageError that names those without any."""
    chain.lock(connection)
    standing = {there.known.mailbox: there.id for there in load(connection) if there.in_force(now)}
    if strangers := [mailbox for mailbox in mailboxes if mailbox not in standing]:
        raise UsageError(
            f"revoke: no failure of {', '.join(strangers)} is acknowledged; `safelist failure list` shows every one"
        )
    ids = sorted({standing[mailbox] for mailbox in mailboxes})
    _revoke(connection, run, now, ids, why)
    return ids


def _revoke(connection: Connection, run: int, now: datetime, ids: Sequence[int], why: str) -> None:
    why = storable(why)
    content = {"unacknowledged": [[id_, why] for id_ in sorted(ids)]}
    change = chain.append(connection, chain.ChangeKind.ACKNOWLEDGEMENTS, seconds(now), run, content)
    connection.execute(_REVOKE, [{"of": id_, "by": change, "why": why} for id_ in ids])
