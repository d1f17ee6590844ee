"""Moments as people write them: one parser for every option that names one."""

import os
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from safelist.cli.terminal import now
from safelist.errors import UsageError
from safelist.override import days

LastOption = Annotated[
    str | None, typer.Option("--last", metavar="SPAN", help="Of the last 7d, 24h, 2w, 6m: the same as --since with it.")
]
_SHORT = {"min": timedelta(minutes=1), "h": timedelta(hours=1)}
"""Units that are no days."""
_WORDS = {"today": timedelta(0), "yesterday": timedelta(days=1)}


def parse_time(
    text: str, option: str, *, end: bool = True, ahead: bool = False, zone: tzinfo = UTC
) -> datetime:  # fmt: skip
    """A day (its last second, or its first), a moment, or how long ago; no later than now, or ahead.

    Days are 2026-11-20, ``today`` and ``yesterday``; what does not say so itself is in ``zone``, the one in which the
    command prints its times. ``7d``, ``24h`` or ``90min`` is that long ago. Raises UsageError that names ``option``.
    """
    word = text.strip().lower()
    if is_span(word):
        found = _ago(word, option)
    elif (day := _day(word, zone)) is not None:
        found = _of_day(day, zone, option, end=end)
    else:
        found = _moment(text, option, zone)
    if not ahead and found > now() + timedelta(seconds=1):
        raise UsageError(f"{option}: {text} is in the future")
    return found


def since_option(since: str | None, last: str | None) -> str | None:
    """What ``--since`` or ``--last`` names. Raises UsageError where both do, or ``--last`` no span of time."""
    if since is not None and last is not None:
        raise UsageError("--since and --last: write one of them")
    if last is not None and not is_span(last.strip().lower()):
        raise UsageError(f"--last: {last!r} is no span of time; write 7d, 24h or 90min, or a day behind --since")
    return since if last is None else last


def is_span(text: str) -> bool:
    """Whether it is meant as a span of time: a number and its unit."""
    return re.fullmatch(r"[0-9]+[a-z]+", text) is not None


def _ago(word: str, option: str) -> datetime:
    short = re.fullmatch(r"([0-9]{1,7})(min|h)", word)
    try:
        return now() - (int(short[1]) * _SHORT[short[2]] if short else days(word))
    except (ValueError, OverflowError):
        raise UsageError(f"{option}: {word!r} is no span of time; write 7d, 2w, 6m, 1y, 24h or 90min") from None


def _day(word: str, zone: tzinfo) -> date | None:
    today = now().astimezone(zone).date()
    if word in _WORDS:
        return today - _WORDS[word]
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", word) is None:
        return None
    try:
        return date.fromisoformat(word)
    except ValueError:
        return None  # such as February's 30th: _moment says what to write


def _of_day(day: date, zone: tzinfo, option: str, *, end: bool) -> datetime:
    """Its last second, or its first; of today what is over."""
    try:
        found = datetime.combine(day, time.max if end else time.min, zone).replace(microsecond=0).astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{option}: {day} is no day of this calendar") from None
    return min(found, now()) if day == now().astimezone(zone).date() else found


def _moment(text: str, option: str, zone: tzinfo) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found.replace(tzinfo=zone) if found.tzinfo is None else found).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option}: {text!r} is no time; write 2026-11-20 or 2026-11-20T14:30, yesterday, or 7d for that long ago"
        ) from None


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
    place = Path(os.path.realpath("/etc/localtime"))
    try:
        return ZoneInfo(str(place).partition("/zoneinfo/")[2] or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = now().astimezone().tzinfo
        assert zone is not None  # noqa: S101 (astimezone gives one)
        return zone
