"""What the policy decides on: candidates, with everything that the rows say about them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection, Integer, bindparam, select

from safelist.entry import SENDER_LISTS, Holding
from safelist.override import Override
from safelist.policy import Candidate, Reason, Settings, Tally, tally
from safelist.sender import Form, Pattern, covering
from safelist.store import overrides, reading
from safelist.store.among import Among
from safelist.store.schema import pattern
from safelist.store.values import Moment

_AT_ONCE = 500
_TRUSTED = (
    select(pattern.c.id, pattern.c.text, pattern.c.form, pattern.c.trusted_by, pattern.c.contact_of)
    .where(
        pattern.c.trusted_by + pattern.c.contact_of * bindparam("contacts", type_=Integer) >= bindparam("at_least"),
        pattern.c.form != int(Form.REFUSED),
    )
    .order_by(pattern.c.text, pattern.c.form)
)


class _Trusted(NamedTuple):
    """A pattern's row, and its tally as the maintained counts have it."""

    id: int
    tally: Tally


def candidates(
    connection: Connection, among: Among, settings: Settings, now: datetime, at_least: int
) -> Iterator[Candidate]:  # fmt: skip
    """What at least so many mailboxes trust, by text in byte order, then what only overrides are about.

    Reads no entries, unless the settings look at each vote: the maintained counts are never less than what counts.
    """
    in_force = [override for override in overrides.load(connection) if override.in_force(now)]
    by_text: dict[str, list[Override]] = {}
    for override in in_force:
        by_text.setdefault(override.terms.pattern.text, []).append(override)
    left = {override.terms.pattern: None for override in in_force}
    for found in _tallies(connection, among, settings, now, at_least):
        left.pop(found.pattern, None)
        yield Candidate(found.pattern, (found,), _about(found.pattern, by_text))
    for sender in left:
        yield Candidate(sender, (), _about(sender, by_text))


def _about(sender: Pattern, by_text: Mapping[str, list[Override]]) -> tuple[Override, ...]:
    if not by_text:
        return ()
    return tuple(override for text in covering(sender) for override in by_text.get(text, ()))


def _tallies(
    connection: Connection, among: Among, settings: Settings, now: datetime, at_least: int
) -> Iterator[Tally]:  # fmt: skip
    rows = _trusted(connection, settings, at_least)
    if not settings.looks_at_each_vote:
        for row in rows:
            yield row.tally
        return
    while portion := list(islice(rows, _AT_ONCE)):
        votes: dict[Pattern, list[Holding]] = {}
        for holding in reading.open_trust(connection, among, [row.id for row in portion]):
            votes.setdefault(holding.pattern, []).append(holding)
        for row in portion:
            sender = row.tally.pattern
            yield tally(sender, votes.get(sender, ()), settings, now)


def _trusted(connection: Connection, settings: Settings, at_least: int) -> Iterator[_Trusted]:
    contacts = settings.include_contacts
    values = {"at_least": at_least, "contacts": int(contacts)}
    with reading.stream(connection, _TRUSTED, values) as rows:
        for id_, text, form, trusted_by, contact_of in rows:
            found = reading.pattern_of(text, form, None)
            if not contact_of:
                yield _Trusted(id_, Tally(found, trusted_by))
            elif contacts:
                yield _Trusted(id_, Tally(found, trusted_by + contact_of))
            else:
                yield _Trusted(id_, Tally(found, trusted_by, {Reason.CONTACT_NOT_INCLUDED: contact_of}))


def candidate(
    connection: Connection, among: Among, sender: Pattern, recipient: str | None, settings: Settings, moment: Moment
) -> tuple[Candidate, list[Holding]]:
    """One question, with every entry and override about its sender as of that moment; and all those entries."""
    texts = covering(sender)
    found = [h for h in reading.who(connection, among, texts, moment) if h.list in SENDER_LISTS]
    return Candidate(
        sender,
        tuple(_tallied(texts, found, settings, moment.at)),
        tuple(overrides.about(connection, among, texts, moment.change_set)),
        recipient,
        tuple(
            sorted((h for h in found if h.mailbox == recipient), key=lambda h: (texts.index(h.pattern.text), h.list))
        ),
    ), found


def _tallied(
    texts: Iterable[str], holdings: Iterable[Holding], settings: Settings, now: datetime
) -> Iterator[Tally]:  # fmt: skip
    """The tallies of the patterns that somebody trusts, the most specific first."""
    found = list(holdings)
    order = {text: place for place, text in enumerate(texts)}
    patterns = {holding.pattern for holding in found if holding.pattern.form is not Form.REFUSED}
    for each in sorted(patterns, key=lambda p: (order[p.text], p.form)):
        counted = tally(each, found, settings, now)
        if counted.votes or counted.uncounted:
            yield counted
