"""Who trusts whom, and since when: answers as values, read from the aggregate."""

from dataclasses import dataclass

from safelist import policy, sender
from safelist.entry import TRUSTING_LISTS
from safelist.policy import Candidate, Decision
from safelist.sender import Form, Pattern
from safelist.store import Holding, MailboxState, Store


@dataclass(frozen=True, slots=True)
class SenderAnswer:
    """Every entry, open or ended, that names the sender or its domain, and what the policy says of each of the two."""

    sender: Pattern
    holdings: tuple[Holding, ...]
    decisions: tuple[tuple[Pattern, Decision], ...]


@dataclass(frozen=True, slots=True)
class MailboxAnswer:
    """One mailbox's state and every entry it holds or held."""

    state: MailboxState
    holdings: tuple[Holding, ...]


def who(store: Store, text: str, settings: policy.Settings) -> SenderAnswer:
    """Which mailboxes trust or block the sender ``text``, directly or by an entry for its domain."""
    pattern = sender.parse(text)
    names = [pattern.text]
    if pattern.form is Form.ADDRESS:
        names.append(pattern.text.rpartition("@")[2])
    holdings = tuple(store.who(names))
    patterns = dict.fromkeys((pattern, *(holding.pattern for holding in holdings)))
    decisions = tuple((found, policy.decide(_candidate(found, holdings), settings)) for found in patterns)
    return SenderAnswer(pattern, holdings, decisions)


def _candidate(pattern: Pattern, holdings: tuple[Holding, ...]) -> Candidate:
    open_ = (h for h in holdings if h.until is None and h.pattern == pattern and h.list in TRUSTING_LISTS)
    return Candidate(pattern, len({h.mailbox for h in open_}))


def mailbox(store: Store, text: str) -> MailboxAnswer | None:
    """The lists of the mailbox ``text``; None when it was never asked."""
    address = sender.parse(text).text
    state = store.mailbox(address)
    return None if state is None else MailboxAnswer(state, tuple(store.listing(address)))
