"""Why a mailbox could not be read, whatever its source: stable reasons, and what each tells of the other mailboxes."""

from enum import Enum, StrEnum

from safelist.errors import UnavailableError


class FailureReason(StrEnum):
    """A stable code; the documents have a row for each."""

    DENIED = "denied"
    NOT_FOUND = "not-found"
    THROTTLED = "throttled"
    UNREADABLE = "unreadable"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    CREDENTIALS = "credentials"
    UNAVAILABLE = "unavailable"
    WRONG_MAILBOX = "wrong-mailbox"
    REDIRECT = "redirect"
    SERVER_ERROR = "server-error"
    OTHER_SOURCE = "other-source"


HOPELESS = frozenset({FailureReason.CREDENTIALS, FailureReason.UNREACHABLE, FailureReason.REDIRECT})
"""Reasons that no other mailbox can be expected to escape."""
STALLED = frozenset({FailureReason.TIMEOUT, FailureReason.THROTTLED, FailureReason.SERVER_ERROR})
"""Reasons that one mailbox can have, but not dozens in a row while the server works."""


class Extent(Enum):
    """Whom a failure can be about."""

    ALL = "every mailbox of the source would meet it"
    UNSURE = "it may be this mailbox's alone; a row of them tells of all"
    ONE = "this mailbox's alone, however many say the same"


class FetchError(UnavailableError):
    """One mailbox or group was not read. ``message``: what happened and what to do, one sentence, never a secret.

    ``code`` is the server's own word for it, where it gave one.
    """

    def __init__(
        self, reason: FailureReason, message: str, code: str = "", extent: Extent = Extent.ALL
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code
        self.extent = extent
