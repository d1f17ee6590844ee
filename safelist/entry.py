"""One line of a user's list: which of the seven lists of MS-OXCSPAM 2.2.4 it stands in, and its sender pattern."""

from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, Self

from safelist.sender import Pattern


class UserList(IntEnum):
    """The seven lists of a Junk E-mail Rule: number, code, and the name that users know.

    The numbers are stored in the database and never change; the codes are those of options and JSON.
    """

    code: str
    title: str

    def __new__(cls, number: int, code: str = "", title: str = "") -> Self:
        """A member whose value is its number."""
        made = int.__new__(cls, number)
        made._value_ = number
        made.code = code
        made.title = title
        return made

    BLOCKED_SENDERS = 1, "blocked-senders", "Blocked Senders"
    BLOCKED_DOMAINS = 2, "blocked-domains", "Blocked Senders (domain)"
    SAFE_SENDERS = 3, "safe-senders", "Safe Senders"
    SAFE_SENDER_DOMAINS = 4, "safe-sender-domains", "Safe Senders (domain)"
    SAFE_RECIPIENTS = 5, "safe-recipients", "Safe Recipients"
    SAFE_RECIPIENT_DOMAINS = 6, "safe-recipient-domains", "Safe Recipients (domain)"
    TRUSTED_CONTACTS = 7, "trusted-contacts", "trusted contacts"

    @property
    def field(self) -> str:
        """The field of :class:`~safelist.junkrule.JunkRule` that holds it."""
        return self.code.replace("-", "_")


TRUSTING_LISTS = frozenset({UserList.SAFE_SENDERS, UserList.SAFE_SENDER_DOMAINS})
"""The lists whose entries count as a mailbox's trust in a sender (contacts need the user's flag as well)."""

BLOCKING_LISTS = frozenset({UserList.BLOCKED_SENDERS, UserList.BLOCKED_DOMAINS})

SENDER_LISTS = TRUSTING_LISTS | BLOCKING_LISTS | {UserList.TRUSTED_CONTACTS}
"""The lists that say something about senders; the other two are about recipients."""

ALL_LISTS = frozenset(UserList)

FIRST_SOURCE = "exchange"
"""The name of the source in ``[exchange]`` and ``[mailboxes]``, and of all that was recorded before sources had one."""


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
