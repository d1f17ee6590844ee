"""Who trusts whom, who said so, and why a sender is safe: answers as values, read from the aggregate."""

from safelist.audit.answers import Explanation, MailboxAnswer, SenderAnswer, judged, mailbox, verify, who, why
from safelist.audit.changes import Changes, changes
from safelist.audit.own_lists import OwnEntry, OwnLists, own_lists
from safelist.audit.usage import NeverUsed, never_used

__all__ = [
    "Changes",
    "Explanation",
    "MailboxAnswer",
    "NeverUsed",
    "OwnEntry",
    "OwnLists",
    "SenderAnswer",
    "changes",
    "judged",
    "mailbox",
    "never_used",
    "own_lists",
    "verify",
    "who",
    "why",
]
