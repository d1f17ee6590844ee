"""When to ask again: the one retry layer of the collector."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from safelist.collector.failure import FetchError


class TransientError(Exception):
    """A failure that another try may cure. ``after``: the seconds that the server asked everybody to wait for.

    ``failure`` is what to report when no other try is allowed.
    """

    def __init__(self, failure: FetchError, *, after: float | None = None, at_once: bool = False) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.after = after
        self.at_once = at_once


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long one request is tried again; all times in seconds."""

    attempts: int = 8
    first: float = 0.15
    """The first wait of our own choice; it doubles, with jitter, up to ``longest``."""
    longest: float = 20.0
    longest_asked: float = 300.0
    """A server may ask for no more than this (Exchange's own budget is counted in windows of five minutes)."""
    total: float = 900.0


class SharedPause:
    """The moment before which no worker may send: set where a server asked for a pause, and only there."""

    def __init__(self, pause: Callable[[float], object]) -> None:
        self._pause = pause
        self._not_before = 0.0
        self._lock = threading.Lock()

    def hold(self, seconds: float) -> None:
        """Hold everybody back for that long."""
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def wait(self, until: float = inf) -> None:
        """Wait until it is allowed to send, or until ``until`` (by the monotonic clock)."""
        while (left := min(self._not_before, until) - time.monotonic()) > 0:
            self._pause(left)


@dataclass(slots=True)
class RequestRetries:
    """The tries of one request."""

    retry_policy: RetryPolicy
    shared_pause: SharedPause
    tries: int = 0
    began: float = field(default_factory=time.monotonic)

    def pause_after(self, error: TransientError) -> float:
        """Count a try; the seconds that this request alone has to wait. What the server asks for holds everybody back.

        Raises the FetchError inside ``error`` when the policy allows no other try.
        """
        self.tries += 1
        asked = min(error.after, self.retry_policy.longest_asked) if error.after and error.after > 0 else 0.0
        own = 0.0 if asked or (error.at_once and self.tries == 1) else self._own_pause()
        elapsed = time.monotonic() - self.began
        if self.tries >= self.retry_policy.attempts or elapsed + asked + own > self.retry_policy.total:
            raise error.failure from None
        if asked:
            self.shared_pause.hold(asked)
        return own

    def _own_pause(self) -> float:
        longest = min(self.retry_policy.longest, self.retry_policy.first * 2 ** (self.tries - 1))
        return float(longest * random.uniform(0.7, 1.3))  # noqa: S311 (no secret depends on it)
