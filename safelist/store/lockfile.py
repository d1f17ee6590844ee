"""Lock files that only their owner can open.

flock(2) asks for no right but to have the file open, if only for reading: a directory, or a file that others may read,
can be held for ever by anybody who can look at it.
"""

import fcntl
import os
import pwd
import stat
import time
from contextlib import suppress
from pathlib import Path

from safelist.errors import PermissionDeniedError

_LOOK_EVERY = 0.05
_MAX_TEXT = 1000


class HeldError(Exception):
    """Somebody else holds the lock. ``text`` is what he wrote into it; it may be anything."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


def take(path: Path, seconds: float = 0.0, *, is_shared: bool = False) -> int:
    """Open and lock the file ``path``, mode 600, made where there is none; wait for it ``seconds`` at most.

    A lock that ``is_shared`` keeps only those out who want it for themselves.

    Raises HeldError, OSError, or PermissionDeniedError for a file that somebody else put there.
    """
    deadline = time.monotonic() + seconds
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if _is_named(path, handle):
                return handle
        except BlockingIOError:
            if time.monotonic() >= deadline:
                text = os.pread(handle, _MAX_TEXT, 0)
                os.close(handle)
                raise HeldError(text) from None
            time.sleep(_LOOK_EVERY)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def held_by(path: Path) -> bytes:
    """What the holder of that lock file wrote into it; nothing where nobody holds it, or it cannot be read."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read(_MAX_TEXT)
    except OSError:
        pass
    return b""


def tell(handle: int, text: bytes) -> None:
    """Say who holds the lock, if the disk has room for it: flock is the truth, the text only a help."""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, text, 0)


def _open(path: Path) -> int:
    """The file, if need be a new one: who could open the old one may hold it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            found, owner = os.fstat(handle), path.parent.stat().st_uid
            _refuse_strangers(path, found, owner)
            if os.geteuid() == 0 and found.st_uid != owner:
                os.fchown(handle, owner, -1)  # root must not lock him out who works there
            if not found.st_mode & 0o077:
                return handle
            path.unlink(missing_ok=True)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _refuse_strangers(path: Path, found: os.stat_result, owner: int) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid(), owner):
        raise PermissionDeniedError(
            f"{path}: {user_name(found.st_uid)} put this lock file there, who could so stop every run; remove it, and "
            f"let nobody else write in {path.parent}"
        )


def _is_named(path: Path, handle: int) -> bool:
    """Whether the file that was locked is still the one of that name."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def user_name(uid: int) -> str:
    """The name of that user, or its number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
