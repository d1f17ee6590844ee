"""Decide every candidate, render the target's file, check it with the filter's own program, swap it in.

The text is replaced first, then its index, each by rename: the filter sees the old map or the new one. A crash in
between leaves an index that is older than its text, which the next run notices and makes anew.
"""

import errno
import glob
import hashlib
import os
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from safelist import policy
from safelist.errors import ConfigError, PermissionDeniedError, SafelistError, TemporaryError, UnavailableError
from safelist.policy import Candidate
from safelist.publisher import program
from safelist.publisher.rulings import rule
from safelist.publisher.target import FileSettings, Index, LeftOut, Published, Rendering, Target
from safelist.store import lockfile

SHRINK = 10
"""Fewer entries than this may disappear at once, whatever their share."""
WAIT = 30.0
"""Seconds that a publication waits for another one of the same file."""


@dataclass(frozen=True, slots=True)
class MapFiles:
    """Where the files really are, symbolic links followed; ``named`` is the path that the filter opens.

    ``indexes`` are the configured one, if any, and those that were left beside it. ``pending`` is there while
    ``on_change`` is owed.
    """

    named: Path
    text: Path
    indexes: tuple[tuple[Index, Path], ...]
    pending: Path


def publish(
    candidates: Iterable[Candidate],
    settings: policy.Settings,
    target: Target,
    target_settings: FileSettings,
    now: datetime,
    *,
    dry_run: bool = False,
    allow_shrink: bool = False,
) -> Published:
    """Bring the target's file to what ``candidates`` and ``settings`` say; touch nothing where it is so already.

    ``candidates`` are read once no other publication is at it, and decided on as of ``now`` and what that took.

    Raises ConfigError, PermissionDeniedError, UnavailableError or, for a sudden shrink or where another publication is
    at it, TemporaryError; the old map then stays in use. What fails after the swap is in ``failed``.
    """
    index, failed = target.index(target_settings), None
    with explained(target_settings.path):
        place = locate(target_settings.path, index, target.left_behind(target_settings))
        # What is decided before, or as of before, could be older than what another publication has written meanwhile.
        with nullcontext(timedelta()) if dry_run else alone(place) as waited:
            rulings, left_out = rule(candidates, settings, now + waited)
            rendering = target.render(rulings, target_settings)
            rendering = rendering._replace(refused=tuple(sorted((*rendering.refused, *left_out), key=_by_sender)))
            published = _compare(target, place, rendering)
            if not allow_shrink:
                _refuse_shrink(published)
            hook = bool(target_settings.on_change) and (published.changed or place.pending.exists())
            if published.changed and not dry_run:
                failed = _replace(place, rendering.text, index, owed=hook)
            if hook and not dry_run:
                failed = _run_hook(place, target_settings.on_change) or failed
    use, notes = target.use(target_settings), tuple(_left_behind(place, index))
    return replace(published, hook=hook, use=use, notes=notes, failed=failed)


def _left_behind(place: MapFiles, index: Index | None) -> Iterator[str]:
    for other, _ in place.indexes[1 if index else 0 :]:
        yield (
            f"{place.named}{other.suffix} is of another type than the one that is configured; it is kept up to date, "
            "for the filter may read it; delete it once its configuration names the other"
        )


def _by_sender(refused: LeftOut) -> tuple[str, int]:
    return refused.pattern[:2]


def locate(named: Path, index: Index | None, left_behind: Sequence[Index] = ()) -> MapFiles:
    text = _real(named)
    pending = text.with_name(f"{text.name}.on-change-pending")
    indexes = [index, *left_behind] if index else left_behind
    return MapFiles(named, text, tuple((each, _real(Path(f"{named}{each.suffix}"))) for each in indexes), pending)


def _real(path: Path) -> Path:
    try:
        real = path.resolve()
    except RuntimeError:
        raise ConfigError(f"{path}: the symbolic links go in a circle; correct them or `path`") from None
    if not real.parent.is_dir():
        raise ConfigError(f"{path}: there is no directory {real.parent}; create it or correct `path`")
    return real


def _compare(target: Target, place: MapFiles, rendering: Rendering) -> Published:
    before = _read(place.text, target.HEADER)
    new = frozenset(rendering.keys)
    old = new if before == rendering.text else target.keys(before or b"")
    return Published(
        target.NAME,
        place.named,
        len(new),
        rendering.refused,
        before != rendering.text or not _is_current(place, rendering.text),
        tuple(sorted(new - old)),
        tuple(sorted(old - new)),
        hashlib.sha256(rendering.text).hexdigest(),
    )


def _read(path: Path, header: bytes) -> bytes | None:
    """The file as it is; None where there is none. A file that somebody else wrote is a ConfigError."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{path}: this is no regular file; correct `path`")
    with path.open("rb") as file:
        start = file.read(len(header))
        if start and start != header:
            raise ConfigError(
                f"{path}: safelist did not write this file and leaves it alone; move it, or correct `path`"
            )
        return start + file.read()


def missing(target: Target, settings: FileSettings) -> Path | None:
    """The first of the target's files that is not there yet: a filter that is told to read it cannot."""
    index = target.index(settings)
    paths = [settings.path, *([Path(f"{settings.path}{index.suffix}")] if index else [])]
    return next((path for path in paths if not path.exists()), None)


def _is_current(place: MapFiles, text: bytes) -> bool:
    for index, path in place.indexes:
        try:
            older = path.stat().st_mtime_ns < place.text.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if older or not index.holds(place.named, text):
            return False
    return True


def _refuse_shrink(published: Published) -> None:
    lost = len(published.removed)
    before = published.entries - len(published.added) + lost
    if lost >= SHRINK and 2 * lost > before:
        raise TemporaryError(
            f"{published.path}: {lost} of {before} entries would disappear at once, so nothing was changed; if that is "
            "right: safelist publish --allow-shrink (with --dry-run it only shows them)"
        )


def _replace(place: MapFiles, text: bytes, index: Index | None, *, owed: bool) -> SafelistError | None:
    """Swap the text in, then its indexes; what kept one that was left behind from being renewed, too."""
    new, failed = _write(place.text, text), None
    built: list[tuple[Path, Path]] = []
    for each, path in place.indexes:
        try:
            source = new if path.parent == place.text.parent else _write(path, text)
            built.append((_build(place, each, source, text), path))
        except (UnavailableError, OSError) as error:
            if each is index:
                raise
            failed = _out_of_date(path, error)
    if owed:
        place.pending.touch()
    new.replace(place.text)
    for made, path in built:
        made.replace(path)
    for directory in _directories(place):
        sync(directory)
    return failed


def _out_of_date(path: Path, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"{path}: is left from another type of index and now out of date, for it could not be renewed ({error}): whom "
        "it lets through may be blocked by now; delete it if the filter's configuration does not name it, or mend that"
    )


def beside(destination: Path) -> Path:
    """Where to make the next ``destination``: in a directory of its own, on the same disk.

    In a directory, because programs leave more behind than their result: Berkeley DB ``__db.`` files, for one.
    """
    return Path(tempfile.mkdtemp(prefix=_prefix(destination), dir=destination.parent)) / destination.name


def _write(destination: Path, text: bytes) -> Path:
    """A file with ``text`` and the mode of ``destination``, on the disk, beside it."""
    new = beside(destination)
    with new.open("xb") as file:
        handle = file.fileno()
        file.write(text)
        file.flush()
        try:
            like = destination.stat()
        except FileNotFoundError:
            os.fchmod(handle, 0o644)
        else:
            with suppress(PermissionError):
                os.fchown(handle, -1, like.st_gid)
            os.fchmod(handle, stat.S_IMODE(like.st_mode))
        os.fsync(handle)
    return new


def _build(place: MapFiles, index: Index, source: Path, text: bytes) -> Path:
    try:
        index.build(source, text)
    except UnavailableError as error:
        raise UnavailableError(f"{place.named}: {error}; the old map stays in use") from None
    built = Path(f"{source}{index.suffix}")
    sync(built)
    return built


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _run_hook(place: MapFiles, command: Sequence[str]) -> SafelistError | None:
    failed = f"{place.named} was written, but on_change `{shlex.join(command)}` failed"
    later = "it runs again at the next publish"
    executable = program.find(command[0])
    if executable is None:
        return ConfigError(f"{failed}: there is no program {command[0]}; correct on_change; {later}")
    try:
        outcome = program.run([executable, *command[1:]])
    except UnavailableError as error:
        return UnavailableError(f"{failed}: {error}; {later}")
    if outcome.code != 0:
        return UnavailableError(f"{failed}: {outcome.complaint}; {later}")
    place.pending.unlink(missing_ok=True)
    return None


@contextmanager
def alone(place: MapFiles, seconds: float = WAIT) -> Iterator[timedelta]:
    """One publication of a file at a time: how long it waited for another.

    The temporary files of it and of one that was killed are removed.

    Raises TemporaryError, which says who holds the lock, when that takes longer than ``seconds``.
    """
    path, began = place.text.with_name(f".{place.text.name}.lock"), time.monotonic()
    try:
        handle = lockfile.take(path, seconds)
    except lockfile.HeldError as held:
        who = held.text.decode("ascii", "backslashreplace") or "it does not say who"
        raise TemporaryError(
            f"{place.named}: another publication holds {path} ({who}); nothing was done, try again"
        ) from None
    try:
        lockfile.tell(handle, f"process {os.getpid()} of uid {os.getuid()}".encode())
        _clean(place)
        try:
            yield timedelta(seconds=time.monotonic() - began)
        finally:
            _clean(place)
            path.unlink(missing_ok=True)  # while it is held; another user could not open what is left of ours
    finally:
        os.close(handle)


def _clean(place: MapFiles) -> None:
    for path in (place.text, *(path for _, path in place.indexes)):
        for left in path.parent.glob(glob.escape(_prefix(path)) + "*"):
            shutil.rmtree(left, ignore_errors=True)


def _prefix(destination: Path) -> str:
    return f".{destination.name}.new-"


def _directories(place: MapFiles) -> set[Path]:
    return {path.parent for path in (place.text, *(path for _, path in place.indexes))}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Failures of the file system as named errors that say which map and what to do."""
    try:
        yield
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{path}: this user may not replace it ({error.strerror}: {error.filename}); run as the owner of "
            f"{path.parent}; the old map stays in use"
        ) from None
    except OSError as error:
        why = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        raise UnavailableError(
            f"{path}: cannot be written ({why}); {_REMEDIES.get(error.errno or 0, 'mend that')} and publish again; "
            "the old map stays in use"
        ) from None


_REMEDIES = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "raise the quota of this user there, or make room",
    errno.EROFS: "mount that file system so that it can be written",
    errno.EIO: "look into the kernel's log, for the disk fails: mend it",
}
