"""Overrides in the database: made and revoked, never changed otherwise and never deleted."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from safelist.errors import UsageError
from safelist.override import Authentication, Effect, Level, Override, Terms, sentence
from safelist.sender import Form, Pattern
from safelist.store import chain
from safelist.store.among import Among, portions
from safelist.store.reading import seconds
from safelist.store.recording import storable
from safelist.store.schema import change_set, override, run
from safelist.store.values import Made

_made, _revoked = change_set.alias("made_by"), change_set.alias("revoked_by")
_maker, _revoker = run.alias("maker"), run.alias("revoker")
_ALL = (
    select(
        *(override.c[name] for name in chain.MADE), override.c.made.label("made_in"),
        override.c.revoked.label("revoked_in"), override.c.revoked_why,
        _made.c.at.label("made_at"), _maker.c.actor, _revoked.c.at.label("revoked_at"),
        _revoker.c.actor.label("revoker"),
    )
    .join_from(override, _made, override.c.made == _made.c.id)
    .join(_maker, _made.c.run_id == _maker.c.id)
    .outerjoin(_revoked, override.c.revoked == _revoked.c.id)
    .outerjoin(_revoker, _revoked.c.run_id == _revoker.c.id)
    .order_by(override.c.id)
)  # fmt: skip
_NEW = insert(override)
_REVOKE = (
    update(override)
    .where(override.c.id == bindparam("of"), override.c.revoked.is_(None))
    .values(revoked=bindparam("by"), revoked_why=bindparam("why"))
)
_NEWEST = select(override.c.id).order_by(override.c.id.desc()).limit(1)


class Contradiction(NamedTuple):
    """``terms``, number ``at`` (from 0) of those given, contradict ``override``, which is in force."""

    at: int
    override: Override
    terms: Terms


class ContradictionError(UsageError):
    """Some new terms are about what overrides in force already say otherwise; nothing was written."""

    def __init__(self, found: Sequence[Contradiction]) -> None:
        super().__init__("\n".join(map(_say_contradiction, found)))
        self.found = found


def _say_contradiction(contradiction: Contradiction) -> str:
    there = contradiction.override
    return (
        f"override {there.id} already {sentence(there.terms)}; asked for was one that {sentence(contradiction.terms)}: "
        f"to change it add --replace, or `safelist override revoke {there.id}`"
    )


def load(connection: Connection, through: int | None = None) -> list[Override]:
    """Every override ever made, oldest first; or as they were after the change set ``through``."""
    return list(_as_of(connection.execute(_ALL), through))


def about(
    connection: Connection, among: Among, texts: Iterable[str], through: int | None = None
) -> list[Override]:  # fmt: skip
    """As :func:`load`, those whose pattern has one of those texts."""
    statement = _ALL.where(among.test(override.c.text, "texts"))
    return [
        found
        for portion in portions(dict.fromkeys(texts))
        for found in _as_of(connection.execute(statement, {"texts": among.pack(portion)}), through)
    ]


def _as_of(rows: Iterable[Any], through: int | None) -> Iterator[Override]:
    """By the order in which they were recorded, as with entries: a clock may have been wrong."""
    for row in rows:
        found = _override(row)
        if through is None:
            yield found
        elif row.made_in <= through:
            is_revoked = row.revoked_in is not None and row.revoked_in <= through
            yield found if is_revoked else found._replace(revoked=None, revoked_by=None, revoked_why=None)


def _override(row: Any) -> Override:
    pattern = Pattern(row.text, Form(row.form))
    scope = None if row.scope is None else Pattern(row.scope, Form.ADDRESS if "@" in row.scope else Form.DOMAIN)
    terms = Terms(
        Effect(row.effect), pattern, row.reason, scope, Level(row.level), Authentication(row.authentication),
        row.ticket, _moment(row.expires),
    )  # fmt: skip
    made = datetime.fromtimestamp(row.made_at, UTC)
    return Override(row.id, terms, made, row.actor, _moment(row.revoked_at), row.revoker, row.revoked_why)


def _moment(value: int | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)


def make(
    connection: Connection, among: Among, run: int, now: datetime, given: Sequence[Terms], *, replace: bool
) -> list[Made]:  # fmt: skip
    """Record the terms, all of them or none: what is in force already stays as it is.

    Raises ContradictionError where overrides in force say otherwise, unless they are to be replaced.
    """
    chain.lock(connection)
    standing = {
        there.terms.subject: there
        for there in about(connection, among, (terms.pattern.text for terms in given))
        if there.in_force(now)
    }
    found = [
        Contradiction(n, there, terms)
        for n, terms in enumerate(given)
        if (there := _other(standing, terms)) is not None
    ]
    if found and not replace:
        raise ContradictionError(found)
    made = []
    for terms in given:
        there = standing.get(terms.subject)
        if there is not None and there.terms.ruling == terms.ruling:
            made.append(Made(there, is_new=False))
            continue
        new = _add(connection, run, now, terms)
        if there is not None:
            _revoke(connection, run, now, [there.id], f"replaced by override {new.id}")
        made.append(Made(new, is_new=True, replaced=there))
    return made


def _other(standing: dict[Any, Override], terms: Terms) -> Override | None:
    there = standing.get(terms.subject)
    return None if there is None or there.terms.ruling == terms.ruling else there


def _add(connection: Connection, run: int, now: datetime, terms: Terms) -> Override:
    row: dict[str, Any] = {
        "id": (connection.execute(_NEWEST).scalar() or 0) + 1,
        "effect": terms.effect, "level": terms.level, "text": terms.pattern.text, "form": int(terms.pattern.form),
        "scope": terms.scope.text if terms.scope else None, "authentication": terms.authentication,
        "reason": storable(terms.reason), "ticket": storable(terms.ticket),
        "expires": seconds(terms.expires) if terms.expires else None,
    }  # fmt: skip
    content = {"made": [[row[name] for name in chain.MADE]]}
    row["made"] = chain.append(connection, chain.ChangeKind.OVERRIDES, seconds(now), run, content)
    connection.execute(_NEW, row)
    return _override(connection.execute(_ALL.where(override.c.id == row["id"])).one())


def revoke(connection: Connection, run: int, now: datetime, ids: Sequence[int], why: str) -> None:
    """Take overrides back, as one change set. Raises UsageError that names those that are over, or are not there."""
    chain.lock(connection)
    there = {override.id: override for override in load(connection)}
    faults = [fault for id_ in ids if (fault := _irrevocable(id_, there.get(id_), now)) is not None]
    if faults:
        raise UsageError("\n".join(f"revoke: {fault}" for fault in faults))
    _revoke(connection, run, now, ids, why)


def _irrevocable(number: int, override: Override | None, now: datetime) -> str | None:
    if override is None:
        return f"there is no override {number}; `safelist override list --all` shows every one"
    return None if override.in_force(now) else f"override {number} is over already: {override.state_sentence(now)}"


def _revoke(connection: Connection, run: int, now: datetime, ids: Sequence[int], why: str) -> None:
    why = storable(why)
    content = {"revoked": [[id_, why] for id_ in sorted(ids)]}
    change = chain.append(connection, chain.ChangeKind.OVERRIDES, seconds(now), run, content)
    connection.execute(_REVOKE, [{"of": id_, "by": change, "why": why} for id_ in ids])
