"""Who trusts whom, who said so, and why a sender is safe: answers as values, read from the aggregate."""

from safelist.audit.answers import Explanation, MailboxAnswer, SenderAnswer, mailbox, verify, who, why
from safelist.audit.changes import Changes, changes
from safelist.audit.usage import NeverUsed, never_used

__all__ = [
    "Changes",
    "Explanation",
    "MailboxAnswer",
    "NeverUsed",
    "SenderAnswer",
    "changes",
    "mailbox",
    "never_used",
    "verify",
    "who",
    "why",
]
