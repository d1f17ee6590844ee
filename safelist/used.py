"""Which safe entries were used: the filter notes them in a small SQLite file of its own, the audit reads them."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from safelist.errors import ConfigError, PermissionDeniedError, UnavailableError

if TYPE_CHECKING:
    import sqlite3

_CREATE = """
CREATE TABLE IF NOT EXISTS used (
    kind TEXT NOT NULL, sender TEXT NOT NULL, mailbox TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, times INTEGER NOT NULL,
    PRIMARY KEY (kind, sender, mailbox)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO used VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, sender, mailbox) DO UPDATE SET last = max(last, excluded.last), times = times + excluded.times
"""
_READ = """
SELECT * FROM used WHERE :mailbox IS NULL OR mailbox IN (:mailbox, '') ORDER BY last DESC, kind, sender, mailbox
"""

_LOCK_TIMEOUT = 2.0
"""Seconds that a writer waits for a lock: the filter tries again later, and must end soon at SIGTERM."""


class Key(NamedTuple):
    """What let a mail through. ``kind``: the policy's reason; ``mailbox``: whose entry, empty for everybody's.

    ``sender`` is the pattern of the entry, or of the override.
    """

    kind: str
    sender: str
    mailbox: str


class Use(NamedTuple):
    """How often and when."""

    key: Key
    first: datetime
    last: datetime
    times: int


class UseBuffer:
    """Collects uses in memory, bounded, and writes them now and then."""

    MOST = 100_000

    def __init__(self) -> None:
        self._uses: dict[Key, list[int]] = {}
        self.dropped = 0

    def note(self, key: Key, now: datetime) -> None:
        """Count one more mail that ``key`` let through."""
        second = int(now.timestamp())
        use = self._uses.get(key)
        if use is not None:
            use[1:] = second, use[2] + 1
        elif len(self._uses) < self.MOST:
            self._uses[key] = [second, second, 1]
        else:
            self.dropped += 1

    def put_back(self, rows: list[tuple[str | int, ...]]) -> None:
        """Add what was taken and could not be written to what was noted since."""
        for kind, sender, mailbox, first, last, times in rows:
            key = Key(str(kind), str(sender), str(mailbox))
            use = self._uses.get(key)
            if use is not None:
                self._uses[key] = [int(first), use[1], use[2] + int(times)]
            elif len(self._uses) < self.MOST:
                self._uses[key] = [int(first), int(last), int(times)]
            else:
                self.dropped += int(times)

    def take(self) -> list[tuple[str | int, ...]]:
        """Take out what was noted since the last time, as rows for :func:`add`."""
        rows: list[tuple[str | int, ...]] = [(*key, *use) for key, use in self._uses.items()]
        self._uses = {}
        return rows


def add(path: Path, rows: list[tuple[str | int, ...]]) -> None:
    """Add the rows that a buffer gave out to the file, and make it where it is not there.

    Raises PermissionDeniedError, UnavailableError, ConfigError.
    """
    with suppress(OSError):  # it names senders; what is wrong with the path SQLite says better
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640))
    with _open(path, "rwc", _LOCK_TIMEOUT) as connection, connection:
        connection.execute(_CREATE)
        connection.executemany(_ADD, rows)


def read(path: Path, mailbox: str | None = None) -> list[Use]:
    """Read every use, the last one first; with a ``mailbox``, those of its entries and of everybody's.

    Raises PermissionDeniedError, UnavailableError, ConfigError.
    """
    with _open(path, "ro", 10) as connection:
        rows = connection.execute(_READ, {"mailbox": mailbox}).fetchall()
        return [_use(*row) for row in rows]


def _use(kind: str, sender: str, mailbox: str, first: int, last: int, times: int) -> Use:
    moments = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
    return Use(Key(kind, sender, mailbox), *moments, times)


@contextmanager
def _open(path: Path, mode: str, timeout: float) -> Iterator["sqlite3.Connection"]:
    import sqlite3  # not needed where nothing is noted, as for one question to the filter

    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=timeout)) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        if "unable to open" in str(error) or "readonly" in str(error):
            raise PermissionDeniedError(
                f"{path}: is not there or may not be opened by this user ({error}); see to its directory, too"
            ) from None
        raise UnavailableError(f"{path}: {error}") from None
    except (sqlite3.DatabaseError, ValueError, OverflowError, TypeError) as error:
        raise ConfigError(f"{path}: is no file of safelist's filter: {error}; move it away") from None
