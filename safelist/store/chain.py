"""The chain of change sets: what is recorded cannot be edited or taken out of the middle without being noticed.

The digest of a change set is SHA-256 over a JSON array in ASCII without white space: the digest of the one before it
(hexadecimal), its kind, its second, its run as [number, second of the start, command, actor] and, as a
fifth, the source that the run collected from unless that is ``exchange``, and its content: an object with whatever the
change set recorded and no other keys:

- ``mailbox``: its address; ``added``, ``removed``: entries as [list, form, text], sorted;
- ``made``: overrides as in :data:`MADE`; ``revoked``: overrides as [number, why];
- ``acknowledged``: known failures as in :data:`ACKNOWLEDGED`; ``unacknowledged``: those as [number, why];
- ``published``: as in :data:`PUBLISHED`;
- ``ended``: the end of the run as [second, figures, problem];
- ``looked``: what was shown to whom the run names, as in :data:`LOOKED`.

The first one follows 32 zero bytes. There is no key: whoever rewrites rows *and* computes every later digest anew, or
cuts the newest ones off, is found out only by a digest that somebody noted elsewhere (``audit verify --contains``).
Not covered is what a mailbox answered last (its outcome, problem, times, sizes, source), and why a text is refused.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    bindparam,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from safelist.entry import FIRST_SOURCE
from safelist.errors import TamperedError
from safelist.store.reading import stream
from safelist.store.schema import (
    acknowledgement,
    chain,
    change_set,
    entry,
    look,
    mailbox,
    override,
    pattern,
    publication,
    run,
)
from safelist.store.values import Verified

START = bytes(32)
MADE = ("id", "effect", "level", "text", "form", "scope", "authentication", "reason", "ticket", "expires")
ACKNOWLEDGED = ("id", "mailbox", "failure", "reason", "ticket", "expires")
PUBLISHED = ("target", "path", "entries", "added", "removed", "file_digest", "settings")
LOOKED = ("role", "page", "mailbox", "sender", "names")


class ChangeKind(StrEnum):
    """What a change set recorded."""

    MAILBOX = "mailbox"
    ENTRIES = "entries"
    OVERRIDES = "overrides"
    ACKNOWLEDGEMENTS = "acknowledgements"
    PUBLICATION = "publication"
    RUN = "run"
    LOOK = "look"


_NEWEST = select(chain.c.digest).where(chain.c.id == 1)
_HEAD = _NEWEST.with_for_update()
_SET_HEAD = (
    update(chain)
    .where(chain.c.id == 1)
    .values(change_set_id=bindparam("newest"), digest=bindparam("new"))
)  # fmt: skip
_NEW_CHANGE_SET = insert(change_set)
_RUN = select(run.c.id, run.c.started, run.c.what, run.c.actor, run.c.source).where(run.c.id == bindparam("of"))


def _everything(source: ColumnElement[Any]) -> Select[Any]:
    """Every change set with its run, its mailbox and a row for each of its entries, oldest first."""
    return (
        select(
            change_set.c.id, change_set.c.kind, change_set.c.at, change_set.c.digest, change_set.c.run_id,
            run.c.started, run.c.what, run.c.actor, source.label("source"), run.c.finished, run.c.counts,
            run.c.problem, mailbox.c.address, entry.c.list, pattern.c.form, pattern.c.text,
            (entry.c.added == change_set.c.id).label("is_added"),
            (entry.c.removed == change_set.c.id).label("is_removed"),
        )
        .outerjoin_from(change_set, run, change_set.c.run_id == run.c.id)
        .outerjoin(mailbox, change_set.c.mailbox_id == mailbox.c.id)
        .outerjoin(
            entry,
            (entry.c.mailbox_id == change_set.c.mailbox_id)
            & or_(entry.c.added == change_set.c.id, entry.c.removed == change_set.c.id),
        )
        .outerjoin(pattern, entry.c.pattern_id == pattern.c.id)
        .order_by(change_set.c.id)
    )  # fmt: skip


_EVERYTHING = _everything(run.c.source)
_BEFORE_SOURCES = _everything(null())
"""The same of a database whose runs have no source yet."""


def _recorded(by: Any, *columns: Any) -> Select[Any]:
    """Rows of a table of few beside the change set that ``by`` names, in the order of their numbers."""
    return select(by, *columns).where(by.is_not(None)).order_by(*by.table.primary_key)


_BEFORE_ACKNOWLEDGEMENTS = {
    "made": _recorded(override.c.made, *(override.c[name] for name in MADE)),
    "revoked": _recorded(override.c.revoked, override.c.id, override.c.revoked_why),
    "published": _recorded(publication.c.change_set_id, *(publication.c[name] for name in PUBLISHED)),
}
"""The same of a database that has no table of them yet."""
_ATTACHED = _BEFORE_ACKNOWLEDGEMENTS | {
    "acknowledged": _recorded(acknowledgement.c.made, *(acknowledgement.c[name] for name in ACKNOWLEDGED)),
    "unacknowledged": _recorded(acknowledgement.c.revoked, acknowledgement.c.id, acknowledgement.c.revoked_why),
    "looked": _recorded(look.c.change_set_id, *(look.c[name] for name in LOOKED)),
}
"""What stands in other tables than the entries', by the key under which the content has it."""


def digest(before: bytes, kind: str, at: int, of_run: Sequence[Any], content: Mapping[str, Any]) -> bytes:
    """The digest of a change set that follows the one with the digest ``before``."""
    text = json.dumps([before.hex(), kind, at, list(of_run), dict(content)], separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).digest()


def append(
    connection: Connection, kind: ChangeKind, at: int, run_id: int, content: Mapping[str, Any],
    mailbox_id: int | None = None,
) -> int:  # fmt: skip
    """Append a change set to the chain, in the transaction that writes its rows; its number.

    It waits until no other transaction is appending.
    """
    before = lock(connection)
    of_run = connection.execute(_RUN, {"of": run_id}).one()
    new = digest(before, kind, at, _named(*of_run), content)
    row = {"run_id": run_id, "mailbox_id": mailbox_id, "at": at, "kind": kind, "digest": new}
    key: Any = connection.execute(_NEW_CHANGE_SET, row).inserted_primary_key
    connection.execute(_SET_HEAD, {"newest": key[0], "new": new})
    return int(key[0])


def lock(connection: Connection) -> bytes:
    """Keep every other transaction from appending until this one ends; the newest digest."""
    newest = connection.execute(_HEAD).scalar()
    if newest is None:
        raise TamperedError("the chain's head is missing from the database: bring back a backup; nothing was written")
    return bytes(newest)


def head(connection: Connection) -> bytes | None:
    """The newest digest; None when somebody took it away."""
    return connection.execute(_NEWEST).scalar()


def verify(connection: Connection, contains: bytes | None = None) -> Verified:
    """Compute every digest anew from the rows; stops at the first that differs.

    Reads the entries of a mailbox once for each of its change sets. ``contains`` is a digest that must be there.
    """
    before, count, found = START, 0, contains is None
    try:
        for row, content in _contents(connection):
            before_it, before = before, _digest_of(before, row, content)
            if before != row.digest:
                why = "what it recorded, or what came before it, was changed"
                return Verified(count, before_it.hex(), f"{_told(row)}: {why}")
            count += 1
            found = found or before == contains
        return Verified(count, before.hex(), _problem(connection, before, found=found))
    except (TypeError, ValueError, LookupError) as error:
        return Verified(count, before.hex(), f"after that, the rows hold what safelist never writes ({error})")


def seal(connection: Connection) -> None:
    """Give every change set its digest: once, when a database from before the chain is upgraded."""
    before, last, rows = START, None, []
    for row, content in _contents(connection, _BEFORE_SOURCES, _BEFORE_ACKNOWLEDGEMENTS):
        before, last = _digest_of(before, row, content), row.id
        rows.append({"of": row.id, "new": before})
    if rows:
        connection.execute(
            update(change_set).where(change_set.c.id == bindparam("of")).values(digest=bindparam("new")), rows
        )
    connection.execute(insert(chain), {"id": 1, "change_set_id": last, "digest": before})


def _digest_of(before: bytes, row: Any, content: Mapping[str, Any]) -> bytes:
    return digest(before, row.kind, row.at, _named(row.run_id, row.started, row.what, row.actor, row.source), content)


def _named(number: int, started: int, what: str, actor: str, source: str | None) -> tuple[Any, ...]:
    """The run as the digest has it. What was sealed before sources had names came from the first of them."""
    return (number, started, what, actor, *(() if source in (None, FIRST_SOURCE) else (source,)))


def _told(row: Any) -> str:
    return (
        f"change set {row.id} ({row.kind}{f' of {row.address}' if row.address else ''}, "
        f"run {row.run_id}: {row.what} by {row.actor})"
    )


def _problem(connection: Connection, last: bytes, *, found: bool) -> str | None:
    """What is wrong although every digest follows from its rows."""
    if head(connection) != last:
        return "the newest change sets: the chain's head is of a later one, which is missing"
    for what, statement in _STRAYS.items():
        if count := connection.execute(statement).scalar_one():
            return f"{count} {what}"
    return None if found else "the digest that was asked for is not in the chain: change sets are missing"


def _contents(
    connection: Connection, everything: Select[Any] = _EVERYTHING, others: Mapping[str, Select[Any]] = _ATTACHED
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Every change set, oldest first, with its content as the rows have it now."""
    attached = _attached(connection, others)
    with stream(connection, everything) as rows:
        for id_, group in groupby(rows, key=lambda row: row.id):
            first = next(group)
            content: dict[str, Any] = dict(attached.get(id_, ()))
            if first.address is not None:
                content["mailbox"] = first.address
            if first.list is not None:
                for row in (first, *group):
                    for name in _sides(row):
                        content.setdefault(name, []).append([row.list, row.form, row.text])
                for name in content.keys() & {"added", "removed"}:
                    content[name].sort(key=_in_order)
            if first.kind == ChangeKind.RUN:
                content["ended"] = [first.finished, first.counts, first.problem]
            yield first, content


def _sides(row: Any) -> Iterator[str]:
    if row.is_added:
        yield "added"
    if row.is_removed:
        yield "removed"


def _in_order(row: Sequence[Any]) -> tuple[int, int, str]:
    """By list, form and text; a pattern that was deleted has neither."""
    list_, form, text = row
    return list_, form or 0, text or ""


def _attached(connection: Connection, others: Mapping[str, Select[Any]]) -> dict[int, dict[str, list[Any]]]:
    """What each change set recorded beside entries: little, beside those."""
    found: defaultdict[int, defaultdict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for name, statement in others.items():
        for id_, *columns in connection.execute(statement):
            found[id_][name].append(columns)
    return {id_: dict(content) for id_, content in found.items()}


def _count(table: Table, *conditions: Any) -> Select[Any]:
    return select(func.count()).select_from(table).where(*conditions)


def _unrecorded(column: Any, *conditions: Any) -> Select[Any]:
    """How many rows point at a change set that is not there, or that is another mailbox's."""
    there = exists().where(change_set.c.id == column, *conditions)
    return _count(column.table, column.is_not(None), ~there)


_OF_ITS_MAILBOX = change_set.c.mailbox_id == entry.c.mailbox_id
_FIRST_ENDED = select(func.min(change_set.c.run_id)).where(change_set.c.kind == ChangeKind.RUN).scalar_subquery()
_AT_DOMAIN = "@" + mailbox.c.domain
_STRAYS: Mapping[str, Select[Any]] = {
    "entries that no change set of their mailbox added": _unrecorded(entry.c.added, _OF_ITS_MAILBOX),
    "entries that no change set of their mailbox removed": _unrecorded(entry.c.removed, _OF_ITS_MAILBOX),
    "entries that ended before they began": _count(entry, entry.c.removed <= entry.c.added),
    "overrides that no change set made": _unrecorded(override.c.made),
    "overrides that no change set revoked": _unrecorded(override.c.revoked),
    "overrides that say why they were revoked and were not": _count(
        override, override.c.revoked.is_(None), override.c.revoked_why.is_not(None)
    ),
    "acknowledgements that no change set made": _unrecorded(acknowledgement.c.made),
    "acknowledgements that no change set revoked": _unrecorded(acknowledgement.c.revoked),
    "acknowledgements that say why they were revoked and were not": _count(
        acknowledgement, acknowledgement.c.revoked.is_(None), acknowledgement.c.revoked_why.is_not(None)
    ),
    "publications that no change set recorded": _unrecorded(publication.c.change_set_id),
    "looks that no change set recorded": _unrecorded(look.c.change_set_id),
    "mailboxes that no change set recorded": _count(mailbox, ~exists().where(change_set.c.mailbox_id == mailbox.c.id)),
    "mailboxes whose domain is not that of their address": _count(
        mailbox,
        func.substr(mailbox.c.address, func.length(mailbox.c.address) - func.length(_AT_DOMAIN) + 1) != _AT_DOMAIN,
    ),
    "runs whose end no change set recorded": _count(
        run,
        run.c.finished.is_not(None),
        run.c.id > _FIRST_ENDED,
        ~exists().where(change_set.c.run_id == run.c.id, change_set.c.kind == ChangeKind.RUN),
    ),
}
