"""Counts of what DNS blocklists rejected: replaced day by day, and outside the chain of digests.

An address is in none of them, not even hashed.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from safelist.store.recording import storable
from safelist.store.schema import rejection_count
from safelist.store.values import KeptDay, RejectionCount

_OF_DAY = rejection_count.c.day == bindparam("of")
_SEEN = select(func.coalesce(func.sum(rejection_count.c.mails), 0)).where(_OF_DAY)
_FORGET = delete(rejection_count).where(_OF_DAY)
_NEW = insert(rejection_count)
_ALL = select(rejection_count).order_by(*rejection_count.primary_key)
_LONGEST = 255
"""Characters of a provider, as of a domain's name."""


def keep(connection: Connection, counts: Iterable[RejectionCount]) -> list[KeptDay]:
    """Replace each day that is counted, unless more mails of it were seen before; by day.

    A log that rotation has cut within a day tells of fewer mails than the reading that saw the whole day.
    """
    ordered = sorted(counts, key=lambda each: each.day)
    return [_keep(connection, day, list(of_day)) for day, of_day in groupby(ordered, key=lambda each: each.day)]


def _keep(connection: Connection, day: str, counts: Sequence[RejectionCount]) -> KeptDay:
    seen, before = sum(each.mails for each in counts), int(connection.execute(_SEEN, {"of": day}).scalar() or 0)
    if seen < before:
        return KeptDay(day, seen, before)
    connection.execute(_FORGET, {"of": day})
    connection.execute(_NEW, _rows(counts))
    return KeptDay(day, seen, seen)


def _rows(counts: Iterable[RejectionCount]) -> list[dict[str, Any]]:
    """What the columns cannot hold is cut, and what is one then is counted as one."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in counts:
        provider = storable(each.provider)[:_LONGEST]
        key = (each.day, provider, each.rescue or "", each.reason or "")
        row = rows.setdefault(key, dict(zip(("day", "provider", "rescue", "reason"), key, strict=True)))
        row["mails"] = row.get("mails", 0) + each.mails
        row["attempts"] = row.get("attempts", 0) + each.attempts
    return list(rows.values())


def load(connection: Connection) -> Iterator[RejectionCount]:
    """All that is kept, by day."""
    for day, provider, rescue, reason, mails, attempts in connection.execute(_ALL):
        yield RejectionCount(day, provider, rescue or None, reason or None, mails, attempts)
