"""Reads logs, each mail once, and puts what DNS blocklists rejected to the policy."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from safelist.policy import Settings
from safelist.rejections import log_files
from safelist.rejections.collected import CollectedMails
from safelist.rejections.format import LogFormat
from safelist.rejections.judging import Judge, JudgedAsOf
from safelist.rejections.large_file import LargeFile, is_large, processes
from safelist.rejections.log_files import LogFile
from safelist.rejections.mail_row import MailRow
from safelist.rejections.reading import ReadSoFar, UnreadLine, read
from safelist.rejections.rejection import Rejection
from safelist.rejections.summary import RejectionSummary, summary
from safelist.rejections.why_command import WhyCommand

if TYPE_CHECKING:  # who reads logs alone waits for no database
    from safelist.store import Store

Opened = AbstractContextManager[LogFile]


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How logs are read.

    ``zone`` is where times hold that do not say where. Only mails from ``since`` to the second ``until`` count. A line
    that cannot be read goes to ``unread``.
    """

    formats: Mapping[str, LogFormat]
    zone: tzinfo
    since: datetime | None = None
    until: datetime | None = None
    unread: Callable[[UnreadLine], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class AskedPolicy:
    """Whom to ask what would have been lifted."""

    store: "Store"
    settings: Settings
    recipient_delimiter: str
    now: datetime
    prove: Callable[[CollectedMails], None] = lambda _: None
    """Asks whether those that would be let through prove who sent them."""


def open_logs(names: Sequence[str], *, with_journal: bool, now: datetime) -> Iterator[Opened]:
    """Each log that is named, to be opened when it is read; of those in a directory also what cannot be opened."""
    for name in list(log_files.named(names)):  # a name that is wrong is told before an hour of reading
        yield log_files.opened(name, now) if name in names else log_files.in_directory(name, now)
    if with_journal:
        yield log_files.journal(now)


def rejections(
    mails: CollectedMails, logs: Iterable[Opened], options: LogOptions, asked: AskedPolicy | None
) -> RejectionSummary:
    """Read the logs into ``mails``, ask the policy where there is one to ask, and count. Raises what opening raises."""
    read_: list[ReadSoFar] = []
    unread = _Unread(options.unread)
    for each in logs:
        with each as log:
            so_far = ReadSoFar(log.name)
            read_.append(so_far)
            mails.add_rows(unread.of(_rows(log, options, so_far, mails.row_of)))
    mails.forget_doubles()
    first = None
    if asked is not None:
        as_of = JudgedAsOf(asked.store, options.zone, asked.now)
        Judge(asked.store, asked.settings, as_of, asked.recipient_delimiter).judge(mails)
        asked.prove(mails)
        first = as_of.first
    return summary(mails, read_, unread.count, first, is_judged=asked is not None)


def why_command(found: RejectionSummary, options: LogOptions, asked: AskedPolicy) -> WhyCommand:
    """What explains one of the mails, as it was judged."""
    first = found.rescued and found.rescued.first_collection
    return WhyCommand(options.zone, first, asked.now, asked.recipient_delimiter)


def _rows(
    log: LogFile, options: LogOptions, so_far: ReadSoFar, row_of: Callable[[Rejection], MailRow]
) -> Iterator[MailRow | UnreadLine]:
    """What stands in the log, as far as it is wanted."""

    def wanted(found: Rejection) -> MailRow | None:
        return row_of(found) if _is_wanted(found, options) else None

    if is_large(log, options.formats):
        yield from LargeFile(log, options.formats, options.zone, so_far, wanted).read(processes())
        return
    for each in read(log, options.formats, options.zone, so_far):
        if (row := each if isinstance(each, UnreadLine) else wanted(each)) is not None:
            yield row


def _is_wanted(found: Rejection, options: LogOptions) -> bool:
    if options.since is not None and found.at < options.since:
        return False
    return (
        options.until is None or found.at.replace(microsecond=0) <= options.until
    )  # the last second of a day is all of it


class _Unread:
    """Hands on the lines that cannot be read, and counts them."""

    def __init__(self, unread: Callable[[UnreadLine], None]) -> None:
        self._unread = unread
        self.count = 0

    def of(self, found: Iterable[MailRow | UnreadLine]) -> Iterator[MailRow]:
        for each in found:
            if isinstance(each, UnreadLine):
                self.count += 1
                self._unread(each)
            else:
                yield each
