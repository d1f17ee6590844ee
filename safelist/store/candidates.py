"""What the policy decides on: candidates, with everything that the rows say about them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection, Integer, bindparam, select

from safelist.entry import SENDER_LISTS, Holding, UserList
from safelist.override import Override
from safelist.policy import Candidate, Reason, Settings, Tally, tally
from safelist.sender import Form, Pattern, covering, envelope, reached
from safelist.store import overrides, reading
from safelist.store.among import Among, portions
from safelist.store.schema import change_set, entry, mailbox, pattern
from safelist.store.values import Moment

_AT_ONCE = 500
_ASKED_AT_ONCE = 100
"""Senders whose holdings fit well into memory together."""
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


_OPEN = (entry.c.mailbox_id == mailbox.c.id) & entry.c.removed.is_(None) & entry.c.list.in_(sorted(SENDER_LISTS))
_EACH = (
    select(mailbox.c.address, entry.c.list, pattern.c.text, pattern.c.form, change_set.c.at)
    .select_from(mailbox)
    .outerjoin(entry, _OPEN)
    .outerjoin(pattern, entry.c.pattern_id == pattern.c.id)
    .outerjoin(change_set, entry.c.added == change_set.c.id)
    .order_by(mailbox.c.address)
)


def recipients_candidates(connection: Connection, now: datetime) -> Iterator[Candidate]:
    """Each recipient with each sender that the recipient's own lists, or overrides for the recipient, are about.

    Recipient by recipient, in the memory that one of them needs. Who is no mailbox, but an override's recipient, comes
    last. Without tallies, which say what counts for everybody: no row of the policy that comes before looks at them.
    """
    overrides_ = _InForce([override for override in overrides.load(connection) if override.in_force(now)])
    for address, held in _each(connection):
        yield from _of_recipient(address, held, overrides_)
    for address in list(overrides_.left):
        yield from _of_recipient(address, [], overrides_)


class _InForce:
    """Overrides by what they are about, by what covers that, and by whom they are for."""

    def __init__(self, in_force: Iterable[Override]) -> None:
        self.by_text: dict[str, list[Override]] = {}
        self._below: dict[str, list[Pattern]] = {}
        self._for: dict[str, list[Pattern]] = {}
        self.left: dict[str, None] = {}
        """The recipients that have not been asked about."""
        for override in in_force:
            about, scope = override.terms.pattern, override.terms.scope
            self.by_text.setdefault(about.text, []).append(override)
            for text in dict.fromkeys((*covering(about), *(envelope(each).text for each in reached(about)))):
                self._below.setdefault(text, []).append(about)
            if scope is not None:
                self._for.setdefault(scope.text, []).append(about)
            if scope is not None and scope.form is Form.ADDRESS:
                self.left[scope.text] = None

    def about(self, recipient: str, own: Iterable[Pattern]) -> Iterator[Pattern]:
        """What its ``own`` entries and the overrides for the recipient are about, and overrides about a part of it.

        A filter may take what extends an address for a part of it, too (``a+x@`` of ``a@``).
        """
        domain = recipient.rpartition("@")[2]
        for each in (*own, *self._for.get(recipient, ()), *self._for.get(domain, ())):
            yield each
            yield from self._below.get(each.text, ())


def _each(connection: Connection) -> Iterator[tuple[str, list[Holding]]]:
    """Every mailbox with its open entries about what can be senders."""
    with reading.stream(connection, _EACH) as rows:
        for address, group in groupby(rows, key=itemgetter(0)):
            held = (row for row in group if row.list is not None and row.form != int(Form.REFUSED))
            yield address, [_held(*row) for row in held]


def _held(address: str, list_: int, text: str, form: int, at: int) -> Holding:
    return Holding(
        address, UserList(list_), reading.pattern_of(text, form, None), datetime.fromtimestamp(at, UTC), None
    )


def _of_recipient(address: str, held: Iterable[Holding], in_force: _InForce) -> Iterator[Candidate]:
    in_force.left.pop(address, None)
    entries: dict[str, list[Holding]] = {}
    for holding in held:
        entries.setdefault(holding.pattern.text, []).append(holding)
    own = (holding.pattern for some in entries.values() for holding in some)
    for sender in dict.fromkeys(in_force.about(address, own)):
        covering_ = tuple(holding for text in covering(sender) for holding in entries.get(text, ()))
        yield Candidate(sender, (), _about(sender, in_force.by_text), address, covering_)


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
    values = {"at_least": at_least, "contacts": int(settings.include_contacts)}
    with reading.stream(connection, _TRUSTED, values) as rows:
        for id_, *row in rows:
            yield _Trusted(id_, _maintained(settings, *row))


def _maintained(settings: Settings, text: str, form: int, trusted_by: int, contact_of: int) -> Tally:
    """The tally of a pattern as its maintained counts have it."""
    found = reading.pattern_of(text, form, None)
    if not contact_of:
        return Tally(found, trusted_by)
    if settings.include_contacts:
        return Tally(found, trusted_by + contact_of)
    return Tally(found, trusted_by, {Reason.CONTACT_NOT_INCLUDED: contact_of})


def asked(
    connection: Connection, among: Among, senders: Sequence[Pattern], recipient: str | None, settings: Settings,
    now: datetime,
) -> list[Candidate]:  # fmt: skip
    """Each of ``senders`` as :func:`candidate` has it now, from the maintained counts: it reads few entries.

    Of the entries it reads the recipient's own; those of others only where the settings look at each vote.
    """
    texts = tuple(dict.fromkeys(text for sender in senders for text in covering(sender)))
    tallies = _tallies_of(connection, among, texts, settings, now)
    by_text: dict[str, list[Override]] = {}
    for override in overrides.about(connection, among, texts):
        by_text.setdefault(override.terms.pattern.text, []).append(override)
    own: dict[str, list[Holding]] = {}
    for holding in reading.open_about(connection, among, recipient, texts) if recipient else ():
        own.setdefault(holding.pattern.text, []).append(holding)
    return [_asked(sender, tallies, by_text, recipient, own) for sender in senders]


def _asked(
    sender: Pattern, tallies: Mapping[str, list[Tally]], by_text: Mapping[str, list[Override]], recipient: str | None,
    own: Mapping[str, list[Holding]],
) -> Candidate:  # fmt: skip
    texts = covering(sender)
    counted = tuple(tally for text in texts for tally in tallies.get(text, ()))
    entries = tuple(holding for text in texts for holding in own.get(text, ()))
    return Candidate(sender, counted, _about(sender, by_text), recipient, entries)


_COUNTED = (
    select(pattern.c.id, pattern.c.text, pattern.c.form, pattern.c.trusted_by, pattern.c.contact_of)
    .where(pattern.c.form != int(Form.REFUSED), pattern.c.trusted_by + pattern.c.contact_of > 0)
    .order_by(pattern.c.form)
)


def _tallies_of(
    connection: Connection, among: Among, texts: Sequence[str], settings: Settings, now: datetime
) -> dict[str, list[Tally]]:
    """The tallies of the patterns with one of those texts that somebody trusts, by text."""
    statement = _COUNTED.where(among.test(pattern.c.text, "texts"))
    found: dict[str, list[Tally]] = {}
    for portion in portions(texts):
        for id_, text, form, trusted_by, contact_of in connection.execute(statement, {"texts": among.pack(portion)}):
            each = reading.pattern_of(text, form, None)
            if settings.looks_at_each_vote:
                votes = reading.open_trust(connection, among, [id_])
                found.setdefault(text, []).append(tally(each, votes, settings, now))
            else:
                found.setdefault(text, []).append(_maintained(settings, text, form, trusted_by, contact_of))
    return found


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


def candidates_at(
    connection: Connection, among: Among, senders: Iterable[Pattern], settings: Settings, moment: Moment
) -> Iterator[Candidate]:  # fmt: skip
    """Each of ``senders`` as :func:`candidate` has it at that moment, for the whole organisation; many at once."""
    rest = iter(senders)
    while portion := list(islice(rest, _ASKED_AT_ONCE)):
        texts = tuple(dict.fromkeys(text for sender in portion for text in covering(sender)))
        held: dict[str, list[Holding]] = {}
        for holding in reading.who(connection, among, texts, moment):
            if holding.list in SENDER_LISTS:
                held.setdefault(holding.pattern.text, []).append(holding)
        by_text: dict[str, list[Override]] = {}
        for override in overrides.about(connection, among, texts, moment.change_set):
            by_text.setdefault(override.terms.pattern.text, []).append(override)
        for sender in portion:
            covering_ = covering(sender)
            found = [holding for text in covering_ for holding in held.get(text, ())]
            tallies = tuple(_tallied(covering_, found, settings, moment.at))
            yield Candidate(sender, tallies, _about(sender, by_text))


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
