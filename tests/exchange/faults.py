"""What an Exchange server does to a client on a bad day, as values that are queued."""

import hashlib
import threading
from dataclasses import dataclass
from enum import StrEnum


class Trouble(StrEnum):
    """What goes wrong. The fields of ``Fault`` in brackets apply."""

    SERVER_BUSY = "server-busy"
    """HTTP 500, SOAP fault ErrorServerBusy [back_off_ms; 0: no hint]."""
    SERVER_BUSY_INNER = "server-busy-inner"
    """HTTP 200, response message ErrorInternalServerError with the inner code ErrorServerBusy [back_off_ms]."""
    HTTP_503 = "http-503"
    """HTTP 503 without XML."""
    CONNECTION_COUNT = "connection-count"
    """HTTP 500, SOAP fault ErrorExceededConnectionCount."""
    SOAP_FAULT = "soap-fault"
    """HTTP 500, SOAP fault of any code [code]."""
    MESSAGE_ERROR = "message-error"
    """HTTP 200, response message of class Error [code]."""
    SERVER_VERSION = "server-version"
    """HTTP 500, SOAP fault ErrorInvalidServerVersion."""
    HTTP_401 = "http-401"
    """HTTP 401 to a request whose credentials are right."""
    REDIRECT = "redirect"
    """HTTP 302 [location]."""
    SLOW = "slow"
    """The right answer, late [seconds]."""
    DRIP = "drip"
    """The right answer, in 20 small pieces [seconds: for all of it]."""
    ENDLESS_HEADER = "endless-header"
    """A header that grows by one byte after the other, for ever."""
    CUT_BEFORE = "cut-before"
    """The connection closes instead of an answer."""
    CUT_BODY = "cut-body"
    """The connection closes in the middle of the answer's body."""
    LOGIN_PAGE = "login-page"
    """HTTP 200, an HTML page."""
    NOT_XML = "not-xml"
    """HTTP 200, bytes that are no XML."""
    OVERSIZED = "oversized"
    """The right answer with that many bytes more [size]."""
    GZIP_BOMB = "gzip-bomb"
    """The same, packed by gzip to a thousandth [size]."""
    ENTITY_BOMB = "entity-bomb"
    """HTTP 200, a document type with entities that grow by the billion."""
    EXTERNAL_ENTITY = "external-entity"
    """HTTP 200, a document type with an entity that names a file [location: a file: URL]."""
    OTHER_MAILBOX = "other-mailbox"
    """What another mailbox would have answered [other: its address]."""
    EMPTY_BINARY = "empty-binary"
    """The condition's Value element is empty."""
    MISSING_CONDITION = "missing-condition"
    """The condition is left out."""
    STALE_CHANGE_KEY = "stale-change-key"
    """The items carry the change key of the version before."""
    GARBAGE_BASE64 = "garbage-base64"
    """The condition's Value is no base64."""
    TRUNCATED = "truncated"
    """The condition ends after that many bytes, as FindItem's do, without an error [size]."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One trouble and when it strikes.

    ``times``: that many requests, None for ever. ``share``: of the requests that match, that part (0 to 1), in a
    pattern that depends on ``seed`` alone. ``operation``: only that one (``FindItem``, ``GetItem``, ...).
    """

    trouble: Trouble
    times: int | None = 1
    share: float = 1.0
    seed: int = 0
    operation: str | None = None
    back_off_ms: int = 0
    code: str = "ErrorInternalServerError"
    seconds: float = 0.0
    size: int = 512
    location: str = ""
    other: str = ""


class FaultQueue:
    """Faults waiting for requests, first come first served; thread-safe."""

    __slots__ = ("_lock", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, fault: Fault) -> None:
        """Queue one more."""
        with self._lock:
            self._waiting.append(_Waiting(fault))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._waiting.clear()

    def take(self, operation: str) -> Fault | None:
        """The fault that this request meets, if any."""
        if not self._waiting:
            return None
        with self._lock:
            hit = next((waiting for waiting in self._waiting if waiting.strikes(operation)), None)
            self._waiting = [waiting for waiting in self._waiting if not waiting.spent]
        return hit.fault if hit else None


class _Waiting:
    """A fault in a queue, with how many requests it saw and struck."""

    __slots__ = ("fault", "seen", "struck")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0

    @property
    def spent(self) -> bool:
        return self.fault.times is not None and self.struck >= self.fault.times

    def strikes(self, operation: str) -> bool:
        if self.fault.operation not in (None, operation):
            return False
        self.seen += 1
        hit = _draw(self.fault.seed, self.seen) < self.fault.share
        self.struck += hit
        return hit


def _draw(seed: int, number: int) -> float:
    digest = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32
