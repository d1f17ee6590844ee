"""Moments as people write them."""

import re
from datetime import UTC, datetime, time, timedelta

from safelist.cli.terminal import now
from safelist.errors import UsageError


def parse_time(text: str, option: str, *, end: bool = True, ahead: bool = False) -> datetime:
    """A day (its last second, or its first), or a moment; UTC unless it says otherwise. No later than now, or ahead."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is None:
        found = _moment(text, option)
    else:
        day = _moment(text, option).date()
        found = datetime.combine(day, time.max if end else time.min, UTC).replace(microsecond=0)
        if day == now().date():
            found = min(found, now())
    if not ahead and found > now() + timedelta(seconds=1):
        raise UsageError(f"{option}: {text} is in the future")
    return found


def _moment(text: str, option: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{option}: {text!r} is no date; write 2026-11-20 or 2026-11-20T14:30") from None
