"""The difference between two states of the aggregate: entries, overrides, and who became safe for everybody."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from safelist import policy
from safelist.entry import TRUSTING_LISTS, Entry, UserList
from safelist.override import Override
from safelist.policy import Decision, Settings
from safelist.sender import Form, Pattern
from safelist.store import EventKind, Moment, Store, Window


class EntryChange(NamedTuple):
    """An entry that a mailbox holds in the later state and not in the earlier one, or the other way round."""

    mailbox: str
    entry: Entry


class DecisionChange(NamedTuple):
    """A sender whose decision for the whole organisation is another one now."""

    sender: Pattern
    before: Decision
    after: Decision


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between ``since`` and ``until``; what came and went in between does not."""

    since: Moment
    until: Moment
    added: tuple[EntryChange, ...]
    removed: tuple[EntryChange, ...]
    made: tuple[Override, ...]
    ended: tuple[Override, ...]
    turned_safe: tuple[DecisionChange, ...]
    turned_unsafe: tuple[DecisionChange, ...]


def changes(store: Store, since: Moment, until: Moment, settings: Settings) -> Changes:
    """The difference between two states; both are decided on with today's ``settings``."""
    added, removed = _entries(store, since, until)
    then, now = ({o.id for o in store.overrides(at) if o.in_force(at.at)} for at in (since, until))
    overrides = store.overrides()
    made = tuple(o for o in overrides if o.id in now - then)
    ended = tuple(o for o in overrides if o.id in then - now)
    touched = [change.entry.pattern for change in (*added, *removed) if _is_trust(change.entry)]
    touched += [override.terms.pattern for override in (*made, *ended)]
    turns = list(_turns(store, touched, since, until, settings))
    safe, unsafe = (tuple(t for t in turns if t.after.safe is is_safe) for is_safe in (True, False))
    return Changes(since, until, added, removed, made, ended, safe, unsafe)


def _entries(store: Store, since: Moment, until: Moment) -> tuple[tuple[EntryChange, ...], tuple[EntryChange, ...]]:
    first: dict[EntryChange, bool] = {}
    last: dict[EntryChange, bool] = {}
    for event in store.entry_events(Window(after=since.change_set, through=until.change_set)):
        if event.mailbox is not None and event.entry is not None:
            change = EntryChange(event.mailbox, event.entry)
            last[change] = event.kind is EventKind.ENTRY_ADDED
            first.setdefault(change, last[change])
    net = [change for change in first if first[change] is last[change]]
    added, removed = (sorted(change for change in net if last[change] is is_added) for is_added in (True, False))
    return tuple(added), tuple(removed)


def _is_trust(entry: Entry) -> bool:
    return entry.list in TRUSTING_LISTS or entry.list is UserList.TRUSTED_CONTACTS


def _turns(
    store: Store, touched: Iterable[Pattern], since: Moment, until: Moment, settings: Settings
) -> Iterable[DecisionChange]:  # fmt: skip
    senders = [sender for sender in sorted(set(touched)) if sender.form is not Form.REFUSED]
    then, now = (store.candidates_at(senders, settings, moment) for moment in (since, until))
    for sender, before, after in zip(senders, then, now, strict=True):
        was, is_ = (policy.decide(each, settings, at.at) for each, at in ((before, since), (after, until)))
        if was.safe is not is_.safe:
            yield DecisionChange(sender, was, is_)
