"""Work that takes turns with all else that an event loop does."""

import asyncio
from collections import deque
from collections.abc import Callable

SHARE = 0.005
"""Seconds that it takes of each turn of the loop, and what the last piece of work takes longer."""


class Turns:
    """Pieces of work, done in the order in which they came, a few in each turn of the loop.

    What came from many clients at once is otherwise done within one turn, and whoever else has asked waits for all of
    it.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_due = False

    def add(self, work: Callable[[], None]) -> None:
        """Do ``work`` soon; it may add itself again, and then is the last one."""
        self._waiting.append(work)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Do what the share allows, and at least one piece; the loop hears of it if one fails."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SHARE
        try:
            while self._waiting:
                self._waiting.popleft()()
                if loop.time() >= until:
                    break
        finally:
            self._is_due = bool(self._waiting)
            if self._is_due:
                loop.call_soon(self._turn)
