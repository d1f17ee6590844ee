"""Who trusts whom, and since when: answers as values, read from the aggregate."""

from dataclasses import dataclass

from safelist import sender
from safelist.sender import Form, Pattern
from safelist.store import Holding, MailboxState, Store


@dataclass(frozen=True, slots=True)
class SenderAnswer:
    """Every entry, open or ended, that names the sender or its domain."""

    sender: Pattern
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class MailboxAnswer:
    """One mailbox's state and every entry it holds or held."""

    state: MailboxState
    holdings: tuple[Holding, ...]


def who(store: Store, text: str) -> SenderAnswer:
    """Which mailboxes trust or block the sender ``text``, directly or by an entry for its domain."""
    pattern = sender.parse(text)
    names = [pattern.text]
    if pattern.form is Form.ADDRESS:
        names.append(pattern.text.rpartition("@")[2])
    return SenderAnswer(pattern, tuple(store.who(names)))


def mailbox(store: Store, text: str) -> MailboxAnswer | None:
    """The lists of the mailbox ``text``; None when it was never asked."""
    address = sender.parse(text).text
    state = store.mailbox(address)
    return None if state is None else MailboxAnswer(state, tuple(store.listing(address)))
