"""Whether the filter can use the snapshot that is there, and since when that one is right."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from safelist.errors import SafelistError
from safelist.filter.current_snapshot import CLOCKS_DIFFER
from safelist.snapshot import Snapshot


def published(path: Path) -> datetime:
    """When the snapshot was last known to be right; it is checked whole. Raises SnapshotError."""
    with Snapshot(path) as snapshot:
        return snapshot.made


def faults(path: Path, max_age: timedelta, now: datetime) -> Iterator[str]:
    """What keeps a filter from making anybody safe by it."""
    try:
        made = published(path)
    except SafelistError as error:
        yield f"{error}; `safelist publish` writes it"
        return
    age = now - made
    if -age > CLOCKS_DIFFER:
        yield f"{path}: was published in the future, so it makes nobody safe; correct the clock"
    if age > max_age:
        yield f"{path}: was published {age.days} days ago, so it makes nobody safe; see max_age"
