"""The named errors that a person can cause or meet, each with the exit code it ends a command with.

Exit codes follow sysexits(3): 64 usage, 65 data, 69 unavailable, 70 a bug in safelist, 75 try again, 77 permission, 78
configuration. The message of each error says what happened, to which mailbox or file, and what to do.
"""

from collections.abc import Iterable, Sequence

EX_OK = 0
EX_USAGE = 64
EX_DATAERR = 65
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78

_MILDEST_FIRST = (EX_OK, EX_TEMPFAIL, EX_UNAVAILABLE, EX_NOPERM, EX_CONFIG, EX_USAGE, EX_DATAERR, EX_SOFTWARE)


def worst(codes: Iterable[int]) -> int:
    """The exit code of a command whose parts ended with ``codes``: what a later run mends weighs least."""
    return max(codes, key=_MILDEST_FIRST.index, default=EX_OK)


class SafelistError(Exception):
    """Root of every error that ends a command with one line on stderr."""

    exit_code = EX_SOFTWARE


class UsageError(SafelistError):
    """The command line asks for something that cannot be."""

    exit_code = EX_USAGE


class TamperedError(SafelistError):
    """The aggregate is not what was recorded in it."""

    exit_code = EX_DATAERR


class UnavailableError(SafelistError):
    """A server or program that the command needs cannot be reached or refuses to work."""

    exit_code = EX_UNAVAILABLE


class TemporaryError(SafelistError):
    """Nothing is lost; a later run may succeed."""

    exit_code = EX_TEMPFAIL


class PermissionDeniedError(SafelistError):
    """Credentials were rejected, or a file may not be read or written."""

    exit_code = EX_NOPERM


class ConfigError(SafelistError):
    """The configuration or the state of the database does not allow the command; all faults at once."""

    exit_code = EX_CONFIG

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults: Sequence[str] = faults


class RuleError(SafelistError):
    """Bytes that are not a restriction, or a restriction that is not a Junk E-mail Rule.

    ``offset`` is the byte at which ``expected`` was not found.
    """

    def __init__(self, offset: int, expected: str, found: str) -> None:
        super().__init__(f"at byte {offset}: expected {expected}, found {found}")
        self.offset = offset
        self.expected = expected
