"""What runs beside the answers and must never end them: it is tried again, and its trouble is said once an hour."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

from safelist.errors import SafelistError

AGAIN = 60.0
"""Seconds until what failed is tried again."""
SAY_EVERY = 3600.0
"""Seconds until the same trouble is said again."""
_log = logging.getLogger("safelist.filter")


async def keep_up(name: str, work: Callable[[], Awaitable[None]], again: float = AGAIN) -> None:
    """Do ``work``; begin anew after ``again`` seconds where it fails, for as long as it fails."""
    said: dict[str, float] = {}
    while True:
        try:
            await work()
        except Exception as error:
            trouble = f"{error}" if isinstance(error, SafelistError) else f"{error!r}"
            if said.get(trouble, -SAY_EVERY) + SAY_EVERY <= monotonic():
                said[trouble] = monotonic()
                _log.warning("%s: %s; mail is answered without it, and it is tried again", name, trouble)
        else:
            return
        await asyncio.sleep(again)
