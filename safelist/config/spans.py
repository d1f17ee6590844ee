"""Spans of time as people write them in the configuration."""

import re
from datetime import timedelta

_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=3660)


def span(text: str) -> timedelta:
    """``90min``, ``1h``, ``3d`` or ``2w``. Raises ValueError that says what to write."""
    found = re.fullmatch(r"([0-9]{1,6})(min|h|d|w)", text)
    length = int(found[1]) * _UNITS[found[2]] if found else timedelta()
    if not timedelta() < length <= _LONGEST:
        raise ValueError(f"{text!r} is no span of time: write 90min, 1h, 3d or 2w")
    return length
