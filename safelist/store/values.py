"""What goes into the store and what comes out of it: plain values, times aware and in UTC."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from safelist.entry import Entry, UserList
from safelist.sender import Pattern


class Seen(NamedTuple):
    """What identifies the rule that a mailbox answered with; every field is None when it has no rule.

    ``owner`` is the mailbox GUID inside the rule's id, ``state`` is PidTagRuleMessageState.
    """

    owner: str | None
    rule_id: str | None
    change_key: str | None
    digest: bytes | None
    state: int | None
    include_contacts: bool | None


class Change(NamedTuple):
    """Entries by which a mailbox's lists differ from what was recorded, in the order of list and text."""

    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]


class MailboxState(NamedTuple):
    """A mailbox as it was last seen.

    ``lists`` were covered by the last recording; ``entries`` are open, ``refused`` of them cannot be senders;
    ``checked`` is the last try, ``answered`` the last answer that was believed, ``changed`` the last change of a list.
    """

    address: str
    owner: str | None
    rule_id: str | None
    change_key: str | None
    digest: bytes | None
    lists: frozenset[UserList]
    state: int | None
    include_contacts: bool | None
    entries: int
    refused: int
    outcome: str
    reason: str | None
    problem: str | None
    checked: datetime
    answered: datetime | None
    changed: datetime | None
    doubt: str | None
    doubt_runs: int


class Holding(NamedTuple):
    """A pattern in a list of a mailbox, from ``since`` on; ``until`` is None while it is still there."""

    mailbox: str
    list: UserList
    pattern: Pattern
    since: datetime
    until: datetime | None


class Run(NamedTuple):
    """One run of a command that writes; ``finished`` is None while it runs, and for ever if it was killed."""

    id: int
    started: datetime
    finished: datetime | None
    what: str
    actor: str
    counts: Mapping[str, int]
    problem: str | None


class Totals(NamedTuple):
    """The aggregate in figures; ``entries`` are open, ``trusted`` patterns have at least one trusting mailbox."""

    mailboxes: int
    with_entries: int
    entries: int
    refused: int
    patterns: int
    trusted: int


class Miscount(NamedTuple):
    """A pattern whose maintained number of trusting mailboxes is not what its entries say."""

    text: str
    maintained: int
    counted: int
