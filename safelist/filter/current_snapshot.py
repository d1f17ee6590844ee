"""The snapshot in use: a new one is noticed and swapped in; a broken one leaves the last good one in use."""

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path

from safelist import policy
from safelist.policy import Decision, Reason
from safelist.sender import Pattern
from safelist.snapshot import Identity, Snapshot, SnapshotError, checksum_of, look

CLOCKS_DIFFER = timedelta(hours=1)
"""A snapshot of a later time than this was published by a clock that is wrong, and its age is not known."""
LOOK_EVERY = 2.0
"""Seconds between two looks at the file."""
_log = logging.getLogger("safelist.filter")


class CurrentSnapshot:
    """Answers from the last good snapshot. Without one, or with one that is too old, nobody is safe."""

    def __init__(self, path: Path, max_age: timedelta) -> None:
        self._path = path
        self._max_age = max_age
        self._snapshot: Snapshot | None = None
        self._published: datetime | None = None
        self._refused: tuple[Identity, datetime] | None = None
        self._looking = asyncio.Lock()
        self._said: str | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The one in use."""
        return self._snapshot

    @property
    def published(self) -> datetime | None:
        """When the one in use was known to be right last."""
        return self._published

    def close(self) -> None:
        """Let go of it."""
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    async def watch(self) -> None:
        """Look at the file for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.refresh()

    async def refresh(self, *, again: bool = False) -> None:
        """Take a new snapshot into use where there is one; reading and checking it blocks nobody.

        One that was refused is looked at ``again`` only when that is said, or when it was touched since.
        """
        async with self._looking:
            try:
                await self._refresh(again=again)
            except SnapshotError as error:
                self._say(f"{error}; {self._what_counts()}")
            except Exception as error:  # such as a disk that fails: nobody must be left without an answer for that
                self._say(f"{self._path}: cannot be read: {error!r}; {self._what_counts()}")

    async def _refresh(self, *, again: bool) -> None:
        identity, published = found = look(self._path)
        current = self._snapshot
        if current is not None and identity == current.identity:
            if published == self._published or checksum_of(self._path) == current.checksum:
                self._published, self._said = published, None
                return
            self.close()  # rewritten where it is; LMDB opens no file twice
        elif found == self._refused and not again:
            return
        await self._load(found)

    async def _load(self, found: tuple[Identity, datetime]) -> None:
        try:
            new = await asyncio.to_thread(Snapshot, self._path)
        except SnapshotError:
            self._refused = found
            raise
        self.close()
        self._snapshot, self._published, self._refused, self._said = new, new.made, None, None
        _log.info("snapshot %s: %d entries, %d senders, made %s", self._path, new.entries, new.patterns, new.made)

    def _what_counts(self) -> str:
        return "the last good snapshot stays in use" if self._snapshot else "nobody is safe until there is one"

    def _say(self, message: str) -> None:
        """Once, and not every other second."""
        if message != self._said:
            self._said = message
            _log.error("%s", message)

    def decide(self, sender: Pattern, recipient: str | None, now: datetime) -> Decision:
        """What the policy says about mail from ``sender`` to ``recipient``."""
        if self._snapshot is None or self._published is None:
            return _nobody(f"there is no snapshot at {self._path}, so nobody is safe.")
        if self._published - now > CLOCKS_DIFFER:
            return _nobody(f"the snapshot is of {self._published:%Y-%m-%d %H:%M} UTC, in the future: nobody is safe.")
        if now - self._published > self._max_age:
            return _nobody(f"the snapshot is of {self._published:%Y-%m-%d %H:%M} UTC, too old: nobody is safe.")
        return policy.decide(self._snapshot.candidate(sender, recipient), self._snapshot.settings, now)


def _nobody(why: str) -> Decision:
    return Decision(False, Reason.NOBODY, why, policy.Settings().authentication, None)
