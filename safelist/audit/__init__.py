"""Who trusts whom, who said so, and why a sender is safe: answers as values, read from the aggregate."""

from safelist.audit.answers import Explanation, MailboxAnswer, SenderAnswer, mailbox, who, why
from safelist.audit.changes import Changes, changes

__all__ = ["Changes", "Explanation", "MailboxAnswer", "SenderAnswer", "changes", "mailbox", "who", "why"]
