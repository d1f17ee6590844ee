"""Facts for the judge: all is well, and what a test changes of that."""

from datetime import UTC, datetime, timedelta

from safelist import sender
from safelist.config import StatusSettings
from safelist.override import Effect, Override, Terms
from safelist.runs.published_files import FileFacts, FileState
from safelist.status.facts import FilterFacts, SnapshotFacts, SourceFacts, StatusFacts, TargetFacts
from safelist.store import Acknowledgement, KnownFailure, MailboxTrouble, Run

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DEFAULTS = StatusSettings()


def run(ago: timedelta, problem: str | None = None, *, ended: bool = True, **counts: int) -> Run:
    return Run(7, NOW - ago - MINUTE, NOW - ago if ended else None, "sync", "root", counts, problem, "exchange")


GOOD = run(12 * MINUTE)
SOURCE = SourceFacts("exchange", True, GOOD, GOOD, GOOD, {"unchanged": 3}, (), (), ())
TARGET = TargetFacts(
    "postfix", "/etc/postfix/safelist", 3, NOW - 12 * MINUTE, NOW - DAY, None, FileFacts(FileState.AS_PUBLISHED)
)
SNAPSHOT = SnapshotFacts("/var/lib/safelist-snapshot/snapshot", NOW - 12 * MINUTE)
FILTER = FilterFacts("inet:127.0.0.1:10045", mode="enforce")
METRICS = FilterFacts("metrics:127.0.0.1:9945", in_use=NOW - 12 * MINUTE)
WELL = StatusFacts(NOW, (SOURCE,), (TARGET,), SNAPSHOT, (FILTER, METRICS), is_whole=True)


def trouble(name: str, outcome: str = "failed", reason: str = "denied", ago: timedelta = HOUR) -> MailboxTrouble:
    return MailboxTrouble(f"{name}@corp.example", "exchange", outcome, reason, "no right", NOW - ago)


def known(name: str, failure: str = "denied", until: timedelta = 90 * DAY) -> Acknowledgement:
    given = KnownFailure(f"{name}@corp.example", failure, "the works council", None, NOW + until)
    return Acknowledgement(1, given, NOW - DAY, "alice")


def ending(after: timedelta) -> Override:
    terms = Terms(Effect.ALLOW, sender.parse("bob@aol.com"), "customer", expires=NOW + after)
    return Override(4, terms, NOW - DAY, "alice")
