"""One line of a user's list: which of the seven lists of MS-OXCSPAM 2.2.4 it stands in, and its sender pattern."""

from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from safelist.sender import Pattern


class UserList(IntEnum):
    """The seven lists of a Junk E-mail Rule. The numbers are stored in the database and never change."""

    BLOCKED_SENDERS = 1
    BLOCKED_DOMAINS = 2
    SAFE_SENDERS = 3
    SAFE_SENDER_DOMAINS = 4
    SAFE_RECIPIENTS = 5
    SAFE_RECIPIENT_DOMAINS = 6
    TRUSTED_CONTACTS = 7

    @property
    def title(self) -> str:
        """The list's name as users know it, for example ``Safe Senders``."""
        return _TITLES[self]


_TITLES = {
    UserList.BLOCKED_SENDERS: "Blocked Senders",
    UserList.BLOCKED_DOMAINS: "Blocked Senders (domain)",
    UserList.SAFE_SENDERS: "Safe Senders",
    UserList.SAFE_SENDER_DOMAINS: "Safe Senders (domain)",
    UserList.SAFE_RECIPIENTS: "Safe Recipients",
    UserList.SAFE_RECIPIENT_DOMAINS: "Safe Recipients (domain)",
    UserList.TRUSTED_CONTACTS: "trusted contacts",
}

TRUSTING_LISTS = frozenset({UserList.SAFE_SENDERS, UserList.SAFE_SENDER_DOMAINS})
"""The lists whose entries count as a mailbox's trust in a sender (contacts need the user's flag as well)."""

BLOCKING_LISTS = frozenset({UserList.BLOCKED_SENDERS, UserList.BLOCKED_DOMAINS})

SENDER_LISTS = TRUSTING_LISTS | BLOCKING_LISTS | {UserList.TRUSTED_CONTACTS}
"""The lists that say something about senders; the other two are about recipients."""

ALL_LISTS = frozenset(UserList)


class Entry(NamedTuple):
    """``pattern`` stands in ``list`` of some mailbox."""

    list: UserList
    pattern: Pattern


class Holding(NamedTuple):
    """A pattern in a list of a mailbox, first seen at ``since``; ``until`` is None while it is still there.

    ``at_first`` says that the first collection of the mailbox found it: its user may have added it long before.
    """

    mailbox: str
    list: UserList
    pattern: Pattern
    since: datetime
    until: datetime | None
    at_first: bool = False
