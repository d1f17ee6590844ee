"""Other programs, run without a shell: where they are, and how they end."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from safelist.errors import UnavailableError

SECONDS = 120
"""A program that takes longer is ended."""

_PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "LANG", "LANGUAGE"),
    *("LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME"),
    *("MAIL_CONFIG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
)
"""The variables that a program gets. Not the others: a password may stand in any of them (``secret_env``, PGPASSWORD,
CREDENTIALS_DIRECTORY), and what a program was given, whatever it starts has, too."""

# Where Debian keeps postmap and postfix; cron's PATH lacks them.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class Ended(NamedTuple):
    """How a program ended: its exit code (negative: the signal), standard output and standard error."""

    code: int
    output: bytes
    errors: bytes

    @property
    def complaint(self) -> str:
        """The last line it wrote to standard error, or its exit code."""
        lines = self.errors.decode(errors="backslashreplace").split("\n")
        return next((line.strip()[:500] for line in reversed(lines) if line.strip()), f"exit code {self.code}")


def environment() -> dict[str, str]:
    """What a program is told of our own environment: no secrets."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def find(name: str) -> str | None:
    """The path of the program, looked for in PATH and where system programs are."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN)))


def run(command: Sequence[str], given: bytes = b"", seconds: float = SECONDS) -> Ended:
    """Run ``command`` (its first word a path) with ``given`` as its input.

    Raises UnavailableError where it cannot be started or does not end in time.
    """
    try:
        return _run(command, given, seconds)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{command[0]} did not end in {seconds:g} seconds and was stopped") from None
    except OSError as error:
        raise UnavailableError(f"{command[0]} cannot be run: {error.strerror}") from None


def _run(command: Sequence[str], given: bytes, seconds: float) -> Ended:
    # Files, not pipes: a hook may leave a daemon behind that keeps them open.
    with tempfile.TemporaryFile() as put, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        put.write(given)
        put.seek(0)
        ended = subprocess.run(  # noqa: S603
            command, stdin=put, stdout=output, stderr=errors, timeout=seconds, check=False, cwd="/", env=environment()
        )
        output.seek(0)
        errors.seek(0)
        return Ended(ended.returncode, output.read(), errors.read())
