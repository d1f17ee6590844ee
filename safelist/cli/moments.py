"""Moments as people write them."""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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


def parse_zone(name: str | None, option: str) -> tzinfo:
    """A time zone by its name; this machine's where none is named."""
    if name is None:
        return _of_this_machine()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"{option}: {name!r} is no zone; write Europe/Berlin, or UTC") from None


def _of_this_machine() -> tzinfo:
    """The machine's zone by name, which knows when clocks changed; where it has none, its offset of today."""
    place = Path("/etc/localtime").resolve()
    try:
        return ZoneInfo(str(place).partition("/zoneinfo/")[2] or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = now().astimezone().tzinfo
        assert zone is not None  # noqa: S101 (astimezone gives one)
        return zone
