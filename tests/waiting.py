"""Waiting for something that happens elsewhere: in a process, in a thread, on a disk."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float = 60) -> bool:
    """Whether it comes to hold; the seconds are for a machine that is busy, where it does not hold at all."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
