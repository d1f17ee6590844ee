"""The snapshot that safelist's own filter reads: per recipient and for the whole organisation.

It holds what the policy decides on, not what was decided: the filter asks the same policy, so that its verdict and the
explanation of ``safelist audit why`` cannot drift apart.
"""

import grp
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import Field, field_validator

from safelist import policy
from safelist.config import LenientPath, Section
from safelist.errors import ConfigError, TemporaryError
from safelist.policy import Tally
from safelist.publisher.publish import MapFiles, alone, beside, explained, locate, sync
from safelist.publisher.target import Published
from safelist.snapshot import Contents, Snapshot, SnapshotError, SnapshotSummary, write
from safelist.store import Store

NAME = "filter"
DESCRIPTION = "the snapshot that `safelist filter` reads: per recipient and for the whole organisation"
SHRINK = 10
"""Fewer entries than this may disappear at once, whatever their share."""


class FilterSettings(Section):
    """The snapshot for safelist's own filter."""

    IS_OPTIONAL = True
    TITLE = "The snapshot that `safelist filter` reads (per recipient and for the whole organisation)."

    path: LenientPath = Field(description="The file.", examples=["/var/lib/safelist-snapshot/snapshot"])
    group: str | None = Field(
        None, description="The group that may read it: the filter's.", examples=["safelist-filter"]
    )

    used: LenientPath | None = Field(
        None,
        description="The filter's own `used`, where it notes whom it let through; `safelist audit used` reads it.",
        examples=["/var/lib/safelist-filter/used.db"],
    )

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, path: Path) -> Path:
        if not path.is_absolute() or not path.name:
            raise ValueError("must be the absolute path of a file, such as /var/lib/safelist-snapshot/snapshot")
        return path


Settings = FilterSettings


def demands(chosen: FilterSettings) -> str:
    """The filter knows SPF only, and asks whom the policy says."""
    return (
        "Where the policy or an override asks for DKIM or SPF, or for SPF, a listed client's mail must pass SPF of its "
        "envelope sender, for DKIM is not known at RCPT TO; a mail that passes by DKIM alone is left out. Where "
        "they ask for nothing, so does the filter."
    )


def publish(
    store: Store, settings: policy.Settings, chosen: FilterSettings, now: datetime, *, dry_run: bool, allow_shrink: bool
) -> Published:
    """Bring the snapshot to what the store holds; one that holds it already only gets a new time.

    Raises ConfigError, PermissionDeniedError, UnavailableError, or TemporaryError for a sudden shrink.
    """
    with explained(chosen.path):
        place = locate(chosen.path, None)
        _refuse_open(chosen.path)
        _refuse_foreign(place.text)
        with nullcontext(timedelta()) if dry_run else alone(place) as waited:
            now += waited  # what another publication has written meanwhile must not be made older
            before = _current(place.text)
            source = _source(store, settings, now)
            if before is not None and before.source == source and settings.max_age is None:
                return _published(place, before, before, chosen.group, dry_run=dry_run)
            new = Path(tempfile.mkdtemp()) / "snapshot" if dry_run else beside(place.text)
            try:
                made = write(new, _contents(store, settings, now, source))
                after = _State(source, made)
                if not allow_shrink:
                    _refuse_shrink(place, before, after)
                if not dry_run and (before is None or before.made.digest != made.digest):
                    _admit(new, chosen.group, place.text)
                    new.replace(place.text)
                    sync(place.text.parent)
                return _published(place, before, after, chosen.group, dry_run=dry_run)
            finally:
                shutil.rmtree(new.parent, ignore_errors=True)


def check(chosen: FilterSettings) -> None:
    """Raises ConfigError where the file or its group cannot be as ``chosen`` says."""
    with explained(chosen.path):
        place = locate(chosen.path, None)
        _refuse_open(chosen.path)
        _refuse_foreign(place.text)
    _gid(chosen.group)


class _State:
    """What a snapshot was made from and what it holds."""

    def __init__(self, source: str, made: SnapshotSummary) -> None:
        self.source = source
        self.made = made


def _current(path: Path) -> _State | None:
    """The snapshot that is there; None where there is none that can be read."""
    with suppress(SnapshotError), Snapshot(path) as found:
        return _State(found.source, SnapshotSummary(found.entries, found.patterns, found.overrides, found.digest))
    return None


def _refuse_foreign(path: Path) -> None:
    """A file that is there and is nothing that safelist wrote, whole or not, is left alone."""
    try:
        is_regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return
    start = b"?"
    if is_regular:
        with path.open("rb") as file:
            start = file.read(32)
    if start and start[16:20] != b"\xde\xc0\xef\xbe":  # LMDB's magic number, little-endian
        raise ConfigError(f"{path}: safelist did not write this file and leaves it alone; move it, or correct `path`")


def _refuse_open(path: Path) -> None:
    """Whoever may change the directory could make us write anywhere: with a link, for one."""
    if path.is_symlink():
        raise ConfigError(f"{path}: is a symbolic link; name the file itself in `path`")
    found = path.parent.stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise ConfigError(
            f"{path.parent}: others may change this directory; let it belong to the user who publishes, "
            "with mode 750 and the filter's group"
        )


def _source(store: Store, settings: policy.Settings, now: datetime) -> str:
    in_force = ",".join(str(override.id) for override in store.overrides() if override.in_force(now))
    return f"{store.head()} {in_force} {sorted(settings.as_json().items())}"


def _contents(store: Store, settings: policy.Settings, now: datetime, source: str) -> Contents:
    overrides = [override for override in store.overrides() if override.in_force(now)]
    return Contents(source, settings, overrides, _tallies(store, settings, now), store.by_mailbox())


def _tallies(store: Store, settings: policy.Settings, now: datetime) -> Iterator[Tally]:
    for candidate in store.candidates(settings, now, at_least=0):
        yield from (tally for tally in candidate.tallies if tally.votes or tally.uncounted)


def _refuse_shrink(place: MapFiles, before: _State | None, after: _State) -> None:
    lost = 0 if before is None else before.made.entries - after.made.entries
    if before is not None and lost >= SHRINK and lost * 2 > before.made.entries:
        raise TemporaryError(
            f"{place.named}: {lost} of its {before.made.entries} entries would disappear at once; nothing was "
            "published; if that is right: safelist publish --allow-shrink"
        )


def _admit(path: Path, group: str | None, old: Path) -> None:
    """Let the filter's group read the file, and nobody else; where none is configured, that of the ``old`` file."""
    path.chmod(0o640)
    wanted = _gid(group)
    if wanted == -1:
        with suppress(FileNotFoundError):
            wanted = old.stat().st_gid
    if wanted not in (-1, path.stat().st_gid):
        os.chown(path, -1, wanted)


def _gid(group: str | None) -> int:
    try:
        return -1 if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(f"publish.filter.group: there is no group {group!r} on this machine") from None


def _published(
    place: MapFiles, before: _State | None, after: _State, group: str | None, *, dry_run: bool
) -> Published:  # fmt: skip
    changed = before is None or before.made.digest != after.made.digest
    if not changed and not dry_run:
        _admit(place.text, group, place.text)
        os.utime(place.text)  # its age is the time since it was last known to be right
    return Published(NAME, place.named, after.made.entries, (), changed, (), (), after.made.digest)
