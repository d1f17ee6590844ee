"""The snapshot that safelist's own filter reads: per recipient and for the whole organisation.

It holds what the policy decides on, not what was decided: the filter asks the same policy, so that its verdict and the
explanation of ``safelist audit why`` cannot drift apart.
"""

import grp
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from pydantic import Field

from safelist.config import LenientPath, Section
from safelist.errors import ConfigError
from safelist.override import Override
from safelist.policy import Tally
from safelist.publisher.files import beside, real, swap
from safelist.publisher.target import Asked, FileChange, FilePath, Plan, Scope, Target
from safelist.snapshot import Contents, Snapshot, SnapshotError, SnapshotSummary, write

NAME = "filter"


class FilterSettings(Section):
    """The snapshot for safelist's own filter."""

    IS_OPTIONAL = True
    TITLE = "The snapshot that `safelist filter` reads (per recipient and for the whole organisation)."

    path: FilePath = Field(description="The file.", examples=["/var/lib/safelist-snapshot/snapshot"])
    group: str | None = Field(
        None, description="The group that may read it: the filter's.", examples=["safelist-filter"]
    )

    used: LenientPath | None = Field(
        None,
        description="The filter's own `used`, where it notes whom it let through; `safelist audit used` reads it.",
        examples=["/var/lib/safelist-filter/used.db"],
    )


def demands(chosen: FilterSettings) -> str:
    """The filter knows SPF only, and asks whom the policy says."""
    return (
        "Where the policy or an override asks for DKIM or SPF, or for SPF, a listed client's mail must pass SPF of its "
        "envelope sender, for DKIM is not known at RCPT TO; a mail that passes by DKIM alone is left out. Where "
        "they ask for nothing, so does the filter."
    )


@contextmanager
def plan(asked: Asked, chosen: FilterSettings) -> Iterator[Plan]:
    """Write the new snapshot aside, unless the one that is there was made of the very same.

    What was made of the same only gets a new time: its age is how long ago it was last known to be right.
    """
    path = real(chosen.path)
    _refuse_foreign(path)
    group = _gid(chosen.group)
    before, source = _current(path), _source(asked)
    if before is not None and before.source == source and asked.settings.max_age is None:
        yield _planned(chosen.path, before, before, lambda _: _renew(path, group))
        return
    new = Path(tempfile.mkdtemp()) / "snapshot" if asked.dry_run else beside(path)
    try:
        after = _Held(source, write(new, _contents(asked, source)))
        same = before is not None and before.made.digest == after.made.digest
        apply = (lambda _: _renew(path, group)) if same else partial(_replace, new, path, group)
        yield _planned(chosen.path, before, after, apply)
    finally:
        shutil.rmtree(new.parent, ignore_errors=True)


class _Held:
    """What a snapshot was made from and what it holds."""

    def __init__(self, source: str, made: SnapshotSummary) -> None:
        self.source = source
        self.made = made


def _current(path: Path) -> _Held | None:
    """The snapshot that is there; None where there is none that can be read."""
    with suppress(SnapshotError), Snapshot(path) as found:
        return _Held(found.source, SnapshotSummary(found.entries, found.patterns, found.overrides, found.digest))
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


def refuse(chosen: FilterSettings) -> None:
    """Whoever may change the directory could make us write anywhere: with a link, for one."""
    path = chosen.path
    real(path)
    if path.is_symlink():
        raise ConfigError(f"{path}: is a symbolic link; name the file itself in `path`")
    found = path.parent.stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise ConfigError(
            f"{path.parent}: others may change this directory; let it belong to the user who publishes, "
            "with mode 750 and the filter's group"
        )


def _source(asked: Asked) -> str:
    in_force = ",".join(str(override.id) for override in _in_force(asked))
    return f"{asked.aggregate.head()} {in_force} {sorted(asked.settings.as_json().items())}"


def _in_force(asked: Asked) -> list[Override]:
    return [override for override in asked.aggregate.overrides() if override.in_force(asked.now)]


def _contents(asked: Asked, source: str) -> Contents:
    return Contents(source, asked.settings, _in_force(asked), _tallies(asked), asked.aggregate.by_mailbox())


def _tallies(asked: Asked) -> Iterator[Tally]:
    for candidate in asked.aggregate.candidates(asked.settings, asked.now, 0):
        yield from (tally for tally in candidate.tallies if tally.votes or tally.uncounted)


def _planned(
    path: Path, before: _Held | None, after: _Held, apply: Callable[[Callable[[], None]], None]
) -> Plan:  # fmt: skip
    had, entries = before.made.entries if before else 0, after.made.entries
    is_changed = before is None or before.made.digest != after.made.digest
    change = FileChange(path, entries, had, max(had - entries, 0), is_changed, after.made.digest, (path,))
    return Plan((change,), (), (), apply)


def _renew(path: Path, group: int) -> None:
    """Let the filter see that the snapshot is right as of now."""
    _admit(path, group, path)
    os.utime(path)


def _replace(new: Path, path: Path, group: int, before: Callable[[], None]) -> None:
    """Let the filter read the new snapshot, and swap it in."""
    _admit(new, group, path)
    before()
    swap([(new, path)], path)


def _admit(path: Path, group: int, old: Path) -> None:
    """Let the filter's group read the file, and nobody else; where none is configured, that of the ``old`` file."""
    path.chmod(0o640)
    if group == -1:
        with suppress(FileNotFoundError):
            group = old.stat().st_gid
    if group not in (-1, path.stat().st_gid):
        os.chown(path, -1, group)


def _gid(group: str | None) -> int:
    try:
        return -1 if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(f"publish.filter.group: there is no group {group!r} on this machine") from None


def use(_: FilterSettings) -> str:
    """Nothing: the filter's own configuration names the file."""
    return ""


def digest(path: Path) -> str:
    """That of what the snapshot holds, which is checked whole. Raises SnapshotError."""
    with Snapshot(path) as found:
        return found.digest


TARGET = Target(
    name=NAME, settings=FilterSettings, demands=demands, use=use, refuse=refuse,
    plan=plan, scope=Scope.RECIPIENT, digest=digest,
    if_missing="until then safelist's own filter finds nobody safe",
)  # fmt: skip
