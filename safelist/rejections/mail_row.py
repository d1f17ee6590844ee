"""A rejection as a row of a table: plain values alone, and what makes two rejections one mail. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, cast

from safelist.rejections.rejection import Listed, LogPlace, Rejection, RejectionKind, Stage

MailRow = tuple[str | int | None, ...]
"""The mark (what is the same of all retries), the day, the sender's domain in lower case, and :data:`COLUMNS`.

No host and no note are empty texts: sqlite3 looks for an adapter of each None, which takes twice as long as a text.
"""
COLUMNS = tuple(
    "at kind file reply client host sender recipient stage provider listed note line".split()  # noqa: SIM905 (one line)
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
"""A time is kept as a whole number of them: one in seconds would round the last of all times to one that is none."""
_QUARTER_HOUR = 900_000_000
_MOST_QUARTERS = 100_000
"""Three years."""
_UNKNOWN = "\x01"
"""Stands in a mark for what the log does not tell; no address has it."""


class MailRows:
    """Makes rows; days are those of ``zone``."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._days: dict[int, str] = {}

    def row_of(self, rejection: Rejection) -> MailRow:
        """The row of one rejection. A mark ends with the recipient."""
        time, kind, (file, line), reply, client, host, sender, recipient, stage, provider, listed, note = rejection
        at = (time - _EPOCH) // _MICROSECOND
        day = self._days.get(quarter := at // _QUARTER_HOUR) or self._remember_day(quarter, time)
        by = _UNKNOWN if client is None else client
        of = _UNKNOWN if sender is None else sender
        to = _UNKNOWN if recipient is None else recipient
        return (
            f"{day}\n{'' if kind is RejectionKind.BOUNCED else 'ours'}\n" + f"{by}\n{of}\n{to}".lower(), day,
            None if sender is None else sender.rpartition("@")[2].lower(), at, str(kind), file, reply, client,
            host or "", sender, recipient, None if stage is None else str(stage), provider,
            None if listed is None else str(listed), note or "", line,
        )  # fmt: skip

    def day_of(self, at: datetime) -> str:
        """The day of a moment in the zone of the logs, as ``2026-11-30``."""
        try:
            return at.astimezone(self._zone).date().isoformat()
        except OverflowError:  # a forged time: the first day that there is, or the last
            return at.date().isoformat()

    def _remember_day(self, quarter: int, at: datetime) -> str:
        """Zones differ by quarters of an hour; of times before that was so, nothing is remembered."""
        day = self.day_of(at)
        if quarter > 0 and len(self._days) < _MOST_QUARTERS:
            self._days[quarter] = day
        return day


def further_down(row: MailRow, lines: int) -> MailRow:
    """The row of a rejection that stands so many lines further down in the file."""
    return (*row[:-1], cast("int", row[-1]) + lines)


def rejection_of(values: Sequence[Any]) -> Rejection:
    """What a row was made of, by the values of :data:`COLUMNS`."""
    at, kind, file, reply, client, host, sender, recipient, stage, provider, listed, note, line = values
    return Rejection(
        _EPOCH + at * _MICROSECOND, RejectionKind(kind), LogPlace(file, line), reply or "", client, host or None,
        sender, recipient, Stage(stage) if stage else None, provider, Listed(listed) if listed else None, note or None,
    )  # fmt: skip
