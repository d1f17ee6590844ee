"""The contract of a source: which mailboxes it has, and each one's lists as it holds them now.

A source that is asked for a mailbox says one of four things: what its lists are, that they are those which the caller
knows, that it has none (``None``), or why it cannot tell (FetchError). What it does not mention is *not asked*: of a
mailbox that it does not name, and of a list that it does not hold, everything stays as it is recorded.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from safelist.config import Section
from safelist.entry import UserList
from safelist.store import RuleVersion

_ITEM = "id-"


@dataclass(slots=True)
class Selection:
    """The mailboxes to ask, each once, in the order named.

    ``problems`` are parts of the source that name mailboxes and what is wrong with each; ``part`` is what such a one
    is. ``is_whole``: these are all that the source has, so that one which is recorded and not among them is named no
    more.
    """

    addresses: list[str]
    problems: list[tuple[str, str]] = field(default_factory=list)
    is_whole: bool = True
    part: str = "group"


class SourceTerms(NamedTuple):
    """What a source calls things in the messages that the collector has for people.

    ``budget`` is the key of the time that a run has, ``holder`` what holds a mailbox's lists, ``system`` what to look
    at where it is slow, or many lists are gone at once.
    """

    budget: str
    holder: str = "safelist collection"
    system: str = "the source"


class Lists(NamedTuple):
    """The texts of a mailbox's lists as its user wrote them, and the version that they are.

    ``notes`` are sentences for people about what was found.
    """

    version: RuleVersion
    texts: Mapping[UserList, Sequence[str]]
    notes: tuple[str, ...] = ()


class Unchanged(NamedTuple):
    """The lists are those that the caller knows; ``version`` is what tells so next time, None for the known one."""

    version: RuleVersion | None = None
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Where lists come from. ``fetch`` is called by many threads at once, everything else by one."""

    @property
    def name(self) -> str:
        """The name that the configuration gives it; mailboxes and runs are recorded under it."""
        ...

    @property
    def lists(self) -> frozenset[UserList]:
        """The lists that it holds; it says nothing about the others."""
        ...

    @property
    def terms(self) -> SourceTerms:
        """What it calls things."""
        ...

    def mailboxes(self, until: float | None) -> Selection:
        """Find every mailbox that it has. Raises SafelistError where it can name none.

        After ``until`` (by the monotonic clock) nothing is asked any more.
        """
        ...

    def fetch(self, address: str, known: RuleVersion | None) -> Lists | Unchanged | None:
        """Ask for the lists: Unchanged where they are those of ``known``, None where the mailbox is there without any.

        Raises FetchError; for an address that it does not know, with NOT_FOUND: None would end the mailbox's entries.
        Whoever finds the version unchanged reads no lists. A mailbox may be asked for without :meth:`mailboxes` before.

        The version's ``owner`` names the mailbox behind the address, as long as the mailbox lives: another address of
        it has the same owner, and no other mailbox of any source has it. Where nothing says so, None.
        """
        ...

    def rooms(self, until: float | None) -> frozenset[str]:
        """Ask for the addresses, lower case, that are rooms and no person's; none where it cannot tell."""
        ...


class SourceKind(Protocol):
    """A module of sources, as the registry names it."""

    @property
    def SETTINGS(self) -> type[Section]:  # noqa: N802 (a constant of the module)
        """The model of its section ``[[sources]]`` beside ``kind`` and ``name``; it has ``workers`` and ``budget``."""
        ...

    def open_source(self, name: str, settings: Any) -> AbstractContextManager[Source]:
        """Make the source, to be used in a ``with``. Asks nothing yet. Raises SafelistError."""
        ...

    def faults(self, settings: Any) -> Iterator[str]:
        """Look for what a run would stumble over, without asking the source: a line each."""
        ...


def digest_of(*parts: bytes) -> bytes:
    """Identifies the content of lists *as this version reads it*.

    Change ``person`` when entries are normalised otherwise, and let a migration forget the change keys.
    """
    return hashlib.blake2b(b"".join(parts), digest_size=16, person=b"safelist-3").digest()


def item_identity(rule_id: str) -> str:
    """Whose lists these are, where only their own id can tell: two addresses with one id are one mailbox."""
    return _ITEM + hashlib.blake2b(rule_id.encode(), digest_size=16).hexdigest()


def name_mailboxes(*identities: str) -> bool:
    """Whether each names a mailbox. One that only names an item is another one whenever the lists are made anew."""
    return not any(identity.startswith(_ITEM) for identity in identities)
