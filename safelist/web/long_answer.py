"""An answer that takes longer than a browser waits: made beside the pages, one at a time, and kept until the next."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from safelist.errors import SafelistError

T = TypeVar("T")
logger = logging.getLogger("safelist.web")


class Finished(NamedTuple, Generic[T]):
    """What came of it and when it began; ``problem`` says why nothing did."""

    at: datetime
    value: T | None
    problem: str | None = None


class LongAnswer(Generic[T]):
    """Makes an answer in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self.began: datetime | None = None
        """When the one that is being made began."""
        self.last: Finished[T] | None = None

    def begin(self, make: Callable[[], T], now: datetime) -> None:
        """Begin to make one, unless one is being made."""
        with self._lock:
            if self.began is not None:
                return
            self.began = now
        threading.Thread(target=self._make, args=(make, now), name=self._name, daemon=True).start()

    def _make(self, make: Callable[[], T], now: datetime) -> None:
        try:
            done = Finished(now, make())
        except SafelistError as error:
            done = Finished(now, None, str(error))
        except Exception:
            logger.exception("%s failed", self._name)
            done = Finished(now, None, "a fault in safelist: the log of safelist web says more")
        with self._lock:
            self.last, self.began = done, None
