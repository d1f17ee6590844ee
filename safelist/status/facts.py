"""What is looked at, as values; nothing is judged here. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from safelist.override import Override
from safelist.runs.published_files import FileFacts
from safelist.store import Acknowledgement, MailboxTrouble, Run, Verified


class Severity(IntEnum):
    """How bad it is: the return codes of Nagios's plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORST_LAST = (Severity.OK, Severity.UNKNOWN, Severity.WARNING, Severity.CRITICAL)


def worst(severities: Iterable[Severity]) -> Severity:
    """The one that counts: what could not be looked at hides nothing that is known to be wrong."""
    return max(severities, key=_WORST_LAST.index, default=Severity.OK)


class Finding(NamedTuple):
    """Something to be said: of what, and a sentence that says what is so and what to do. OK is a mere note."""

    severity: Severity
    subject: str
    text: str


class SourceFacts(NamedTuple):
    """A source: ``last`` is its newest run, which may not have ended, ``ended`` the newest that ended and asked all,

    and ``good`` the newest of those without a problem. ``outcomes`` are its mailboxes by their last outcome.
    """

    name: str
    is_configured: bool
    last: Run | None
    ended: Run | None
    good: Run | None
    outcomes: Mapping[str, int]
    troubled: tuple[MailboxTrouble, ...]
    stale: tuple[MailboxTrouble, ...]
    not_named: tuple[str, ...]


class TargetFacts(NamedTuple):
    """A target: ``confirmed`` is when it was last known to be right, ``changed`` when it last became another.

    ``failure`` is why the newest publication failed, if it did.
    """

    name: str
    path: str
    entries: int | None
    confirmed: datetime | None
    changed: datetime | None
    failure: str | None
    file: FileFacts


class FilterFacts(NamedTuple):
    """A filter's answer at an address: ``fault`` says why there was none; ``mode`` of a policy service.

    ``in_use`` is when the snapshot that it has in use was published, where its metrics tell that; the start of 1970:
    it has none. ``is_denied``: it was not for this user to ask.
    """

    address: str
    fault: str = ""
    mode: str = ""
    in_use: datetime | None = None
    is_denied: bool = False


class SnapshotFacts(NamedTuple):
    """The snapshot that a filter reads, when it was published, and what keeps a filter from using it.

    ``is_denied``: this user may not read it; that says nothing about the filter's.
    """

    path: str
    published: datetime | None
    faults: tuple[str, ...] = ()
    is_denied: bool = False


class StatusFacts(NamedTuple):
    """Everything that was looked at, at that moment; ``unknown`` is what could not be, each with its subject.

    ``is_whole``: the database could be asked; without it there are only the filters.
    """

    at: datetime
    sources: tuple[SourceFacts, ...] = ()
    targets: tuple[TargetFacts, ...] = ()
    snapshot: SnapshotFacts | None = None
    filters: tuple[FilterFacts, ...] = ()
    overrides: tuple[Override, ...] = ()
    known: tuple[Acknowledgement, ...] = ()
    verified: Verified | None = None
    unknown: tuple[tuple[str, str], ...] = ()
    is_whole: bool = False


class StatusReport(NamedTuple):
    """What was looked at, and what is to be said of it, the worst first."""

    facts: StatusFacts
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """The worst of all."""
        return worst(each.severity for each in self.findings)
