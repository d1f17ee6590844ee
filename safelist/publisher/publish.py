"""Decide every candidate, render the target's file, check it with the filter's own program, swap it in.

The text is replaced first, then its index, each by rename: the filter sees the old map or the new one. A crash in
between leaves an index that is older than its text, which the next run notices and makes anew.
"""

import fcntl
import glob
import hashlib
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from safelist import policy
from safelist.errors import ConfigError, PermissionDeniedError, TemporaryError, UnavailableError
from safelist.policy import Candidate
from safelist.publisher import program
from safelist.publisher.rulings import rule
from safelist.publisher.target import FileSettings, Index, Published, Refused, Rendering, Target

SHRINK = 10
"""Fewer entries than this may disappear at once, whatever their share."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files really are, symbolic links followed; ``named`` is the path that the filter opens.

    ``pending`` is there while ``on_change`` is owed.
    """

    named: Path
    text: Path
    index: Path | None
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

    Raises ConfigError, PermissionDeniedError, UnavailableError or, for a sudden shrink, TemporaryError. The old map
    then stays in use, unless the message says that the new one was written and ``on_change`` failed.
    """
    index = target.index(target_settings)
    with explained(target_settings.path):
        place = locate(target_settings.path, index)
        with nullcontext() if dry_run else alone(place):  # what is decided before could be older than what is there
            rulings, left_out = rule(candidates, settings, now)
            rendering = target.render(rulings, target_settings)
            rendering = rendering._replace(refused=tuple(sorted((*rendering.refused, *left_out), key=_by_sender)))
            published = _compare(target, place, rendering, index)
            if not allow_shrink:
                _refuse_shrink(published)
            hook = bool(target_settings.on_change) and (published.changed or place.pending.exists())
            if published.changed and not dry_run:
                _replace(place, rendering.text, index, owed=hook)
            if hook and not dry_run:
                _run_hook(place, target_settings.on_change)
    return replace(published, hook=hook)


def _by_sender(refused: Refused) -> tuple[str, int]:
    return refused.pattern[:2]


def locate(named: Path, index: Index | None) -> Place:
    text = _real(named)
    pending = text.with_name(f"{text.name}.on-change-pending")
    return Place(named, text, _real(Path(f"{named}{index.suffix}")) if index else None, pending)


def _real(path: Path) -> Path:
    try:
        real = path.resolve()
    except RuntimeError:
        raise ConfigError(f"{path}: the symbolic links go in a circle; correct them or `path`") from None
    if not real.parent.is_dir():
        raise ConfigError(f"{path}: there is no directory {real.parent}; create it or correct `path`")
    return real


def _compare(target: Target, place: Place, rendering: Rendering, index: Index | None) -> Published:
    before = _read(place.text, target.HEADER)
    new = frozenset(rendering.keys)
    old = new if before == rendering.text else target.keys(before or b"")
    return Published(
        target.NAME,
        place.named,
        len(new),
        rendering.refused,
        before != rendering.text or not _is_current(place, rendering.text, index),
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


def _is_current(place: Place, text: bytes, index: Index | None) -> bool:
    if index is None or place.index is None:
        return True
    try:
        older = place.index.stat().st_mtime_ns < place.text.stat().st_mtime_ns
    except FileNotFoundError:
        return False
    return not older and index.holds(place.named, text)


def _refuse_shrink(published: Published) -> None:
    lost = len(published.removed)
    before = published.entries - len(published.added) + lost
    if lost >= SHRINK and 2 * lost > before:
        raise TemporaryError(
            f"{published.path}: {lost} of {before} entries would disappear at once, so nothing was changed; if that is "
            "right: safelist publish --allow-shrink (with --dry-run it only shows them)"
        )


def _replace(place: Place, text: bytes, index: Index | None, *, owed: bool) -> None:
    new, built = _write(place.text, text), None
    if index and place.index:
        same = place.index.parent == place.text.parent
        built = _build(place, index, new if same else _write(place.index, text), text)
    if owed:
        place.pending.touch()
    new.replace(place.text)
    if built and place.index:
        built.replace(place.index)
    for directory in _directories(place):
        sync(directory)


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


def _build(place: Place, index: Index, source: Path, text: bytes) -> Path:
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


def _run_hook(place: Place, command: Sequence[str]) -> None:
    failed = f"{place.named} was written, but on_change `{shlex.join(command)}` failed"
    later = "it runs again at the next publish"
    executable = program.find(command[0])
    if executable is None:
        raise ConfigError(f"{failed}: there is no program {command[0]}; correct on_change; {later}")
    try:
        outcome = program.run([executable, *command[1:]])
    except UnavailableError as error:
        raise UnavailableError(f"{failed}: {error}; {later}") from None
    if outcome.code != 0:
        raise UnavailableError(f"{failed}: {outcome.complaint}; {later}")
    place.pending.unlink(missing_ok=True)


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """One publication in a directory at a time; the temporary files of it and of one that was killed are removed."""
    handle = os.open(place.text.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _clean(place)
        try:
            yield
        finally:
            _clean(place)
    finally:
        os.close(handle)


def _clean(place: Place) -> None:
    for path in (place.text, place.index):
        for left in path.parent.glob(glob.escape(_prefix(path)) + "*") if path else ():
            shutil.rmtree(left, ignore_errors=True)


def _prefix(destination: Path) -> str:
    return f".{destination.name}.new-"


def _directories(place: Place) -> set[Path]:
    return {path.parent for path in (place.text, place.index) if path}


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
        raise UnavailableError(
            f"{path}: cannot be written ({error.strerror}); mend that and publish again; the old map stays in use"
        ) from None
