"""Words that a status is made of: spans of time, names, counts. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

SHOWN = 5
"""Of many mailboxes this many are named."""
_DAY = timedelta(days=1)


def age(span: timedelta) -> str:
    """A span of time, as exactly as somebody wants to know it."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < 100:
        return f"{seconds} s"
    if seconds < 100 * 60:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if span < 2 * _DAY else f"{span.days} days"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago that was; a clock may be wrong."""
    if moment is None:
        return "never"
    return f"{age(now - moment)} ago" if moment <= now else f"{age(moment - now)} ahead of the clock"


def minute(moment: datetime) -> str:
    """A moment to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def names(addresses: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(addresses) - SHOWN} more" if len(addresses) > SHOWN else ""
    return ", ".join(addresses[:SHOWN]) + more


def mailboxes(count: int) -> str:
    """So many mailboxes."""
    return f"{count} mailbox{'' if count == 1 else 'es'}"
