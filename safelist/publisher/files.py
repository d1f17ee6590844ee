"""A target's files on the disk: one publication at a time, and new files that take the old ones' places together.

New files are made beside the old ones, each in a directory of its own, and flushed; only then they are renamed. Where
there are several, a journal says so before the first is renamed, and the next publication brings a swap to its end that
was cut short: at no point can some be new and others old for longer than until then.
"""

import errno
import glob
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from safelist.errors import ConfigError, PermissionDeniedError, TemporaryError, UnavailableError
from safelist.store import lockfile
from safelist.store.lockfile import user_name

WAIT = 30.0
"""Seconds that a publication waits for another one of the same file."""

MAX_JOURNAL = 1 << 20
"""Bytes of a journal that are read: some hundred files with the longest of paths."""

Rename = tuple[Path, Path]
"""A new file, and what it replaces."""


def real(path: Path) -> Path:
    """Where the file really is, symbolic links followed. Raises ConfigError."""
    found = Path(os.path.realpath(path))
    if found.is_symlink():
        raise ConfigError(f"{path}: the symbolic links go in a circle; correct them or `path`")
    if not found.parent.is_dir():
        raise ConfigError(f"{path}: there is no directory {found.parent}; create it or correct the path")
    return found


def beside(destination: Path) -> Path:
    """Make the place for the next ``destination``: in a directory of its own, on the same disk.

    In a directory, because programs leave more behind than their result: Berkeley DB ``__db.`` files, for one.
    """
    return Path(tempfile.mkdtemp(prefix=_prefix(destination), dir=destination.parent)) / destination.name


def write(destination: Path, fill: Callable[[int], object]) -> Path:
    """Make a file beside ``destination``, with its mode and group and what ``fill`` writes, and flush it."""
    new = beside(destination)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _make_like(destination, handle)
        fill(handle)
        os.fsync(handle)
    finally:
        os.close(handle)
    return new


def _make_like(destination: Path, handle: int) -> None:
    try:
        like = destination.stat()
    except FileNotFoundError:
        os.fchmod(handle, 0o644)
    else:
        with suppress(PermissionError):
            os.fchown(handle, -1, like.st_gid)
        os.fchmod(handle, stat.S_IMODE(like.st_mode))


def sync(path: Path) -> None:
    """Flush a file or a directory to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def swap(renames: Sequence[Rename], beside_: Path) -> None:
    """Rename all, or none: what is cut short :func:`alone` brings to its end, before the next publication.

    Where not even the first can be renamed there is nothing to be brought to an end: what is new today may be wrong by
    the time that it could be.
    """
    journal = _journal(beside_)
    if len(renames) > 1:
        _begin(journal, renames)
    try:
        _rename(renames)
    except OSError:
        if renames[0][0].exists():
            journal.unlink(missing_ok=True)
        raise
    journal.unlink(missing_ok=True)


def is_cut_short(beside_: Path) -> bool:
    """Whether new files are still to be renamed: who removes them leaves old ones beside new ones."""
    return _journal(beside_).exists()


def _begin(journal: Path, renames: Sequence[Rename]) -> None:
    """Write down what is to be renamed; one that is not whole says nothing."""
    try:
        with journal.open("x") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump([[str(new), str(old)] for new, old in renames], file)
            file.flush()
            os.fsync(file.fileno())
        sync(journal.parent)
    except OSError:
        journal.unlink(missing_ok=True)
        raise


def _rename(renames: Iterable[Rename]) -> None:
    directories = set()
    for new, old in renames:
        with suppress(FileNotFoundError):  # one that was renamed before the swap was cut short
            new.replace(old)
        directories.add(old.parent)
    for directory in directories:
        with suppress(FileNotFoundError):  # one that is not there any more since
            sync(directory)


def _finish(journal: Path) -> None:
    """Bring a swap that was cut short to its end: all its files were whole, and on the disk, before it began."""
    renames = _cut_short(journal)
    if renames is not None:
        _rename(renames)
        journal.unlink()


def _cut_short(journal: Path) -> list[Rename] | None:
    """What the journal says is to be renamed: nothing where it was not written to its end; None where there is none.

    Raises PermissionDeniedError for one that others could have written: it would name files of theirs, and ours.
    """
    try:
        handle = os.open(journal, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except PermissionError:
        raise _anothers(journal, "another user") from None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode) and found.st_uid not in (0, os.geteuid()):
            raise _anothers(journal, user_name(found.st_uid))
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o022:
            raise PermissionDeniedError(
                f"{journal}: others may write this file, which says what is to be renamed; remove it, and let nobody "
                f"else write in {journal.parent}"
            )
        return _renames(file.read(MAX_JOURNAL))


def _anothers(journal: Path, user: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"{journal}: belongs to {user}, and says what is still to be renamed of a publication that was cut short; "
        "publish once as the owner of that file, or remove it"
    )


def _renames(journal: bytes) -> list[Rename]:
    """What a journal says; nothing where it is none that is whole, or names what can be no file."""
    try:
        renames = [(Path(new), Path(old)) for new, old in json.loads(journal)]
        is_nameable = all(b"\0" not in os.fsencode(path) for rename in renames for path in rename)
    except (ValueError, TypeError, RecursionError):
        return []
    return renames if is_nameable else []


def clean(destinations: Iterable[Path]) -> None:
    """Remove what a publication of these files, or one that was killed, has left beside them."""
    for path in destinations:
        for left in path.parent.glob(glob.escape(_prefix(path)) + "*"):
            shutil.rmtree(left, ignore_errors=True)


def _prefix(destination: Path) -> str:
    return f".{destination.name}.new-"


def _journal(path: Path) -> Path:
    return path.with_name(f".{path.name}.swap")


def _lock(text: Path) -> Path:
    return text.with_name(f".{text.name}.lock")


def is_being_published(named: Path) -> bool:
    """Whether a publication is at it just now, as far as this user may see that."""
    with suppress(ConfigError, OSError):
        return bool(lockfile.held_by(_lock(real(named))))
    return False


@contextmanager
def alone(named: Path, seconds: float = WAIT) -> Iterator[None]:
    """Hold the lock beside the file, one publication at a time; an earlier swap is brought to its end.

    Raises TemporaryError, which says who holds the lock, when that takes longer than ``seconds``.
    """
    text = real(named)
    path = _lock(text)
    try:
        handle = lockfile.take(path, seconds)
    except lockfile.HeldError as held:
        who = held.text.decode("ascii", "backslashreplace") or "it does not say who"
        raise TemporaryError(
            f"{named}: another publication holds {path} ({who}); nothing was done, try again"
        ) from None
    try:
        lockfile.tell(handle, f"process {os.getpid()} of uid {os.getuid()}".encode())
        try:
            _finish(_journal(text))
            clean([text])
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is held; another user could not open what is left of ours
    finally:
        os.close(handle)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise failures of the file system as named errors that say which map and what to do."""
    try:
        yield
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{path}: this user may not replace it ({error.strerror}: {error.filename}); run as the owner of "
            f"{path.parent}; {_in_use(path)}"
        ) from None
    except OSError as error:
        why = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        raise UnavailableError(
            f"{path}: cannot be written ({why}); {_REMEDIES.get(error.errno or 0, 'mend that')} and publish again; "
            f"{_in_use(path)}"
        ) from None


def _in_use(path: Path) -> str:
    with suppress(OSError, ConfigError):
        if is_cut_short(real(path)):
            return "until then some of its files may be new and others old: the next publication renames the rest"
    return "the old map stays in use"


_REMEDIES = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "raise the quota of this user there, or make room",
    errno.EROFS: "mount that file system so that it can be written",
    errno.EIO: "look into the kernel's log, for the disk fails: mend it",
}
