"""The figures of a status by their names, and the one line that says how all is. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from safelist.config import StatusSettings
from safelist.status.facts import Severity, SourceFacts, StatusFacts, StatusReport, TargetFacts
from safelist.status.judging import Thresholds
from safelist.status.words import ago, mailboxes
from safelist.store import Outcome


class Figure(NamedTuple):
    """A number of a source, a target or of all: ``unit`` is ``s`` or nothing, the thresholds may be none."""

    of: str
    name: str
    value: int
    unit: str = ""
    warning: int | None = None
    critical: int | None = None


def asked(source: SourceFacts) -> int:
    """How many mailboxes of the source there are."""
    return sum(source.outcomes.values())


def headline(status: StatusReport) -> str:
    """What is worst, and how much more there is to say; or where nothing is, what is well."""
    wrong = [finding for finding in status.findings if finding.severity is not Severity.OK]
    if not wrong:
        return _well(status.facts)
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return f"{wrong[0].subject}: {wrong[0].text}{more}"


def _well(facts: StatusFacts) -> str:
    sources, now = [source for source in facts.sources if source.is_configured], facts.at
    oldest = min((source.ended.finished for source in sources if source.ended and source.ended.finished), default=None)
    parts = [f"{mailboxes(sum(map(asked, sources)))}, asked {ago(oldest, now)}"] if oldest else []
    confirmed = [target.confirmed for target in facts.targets if target.confirmed]
    if confirmed:
        count = len(confirmed)
        parts.append(f"{count} target{'' if count == 1 else 's'} published {ago(min(confirmed), now)}")
    if facts.filters:
        parts.append("the filter answers")
    return "; ".join(parts) or "there is nothing to look at"


def figures(status: StatusReport, settings: StatusSettings) -> Iterator[Figure]:
    """Every figure of a source, then of a target, then of all."""
    facts, limits = status.facts, Thresholds.of(settings)
    for source in facts.sources:
        yield from _of_source(source, facts, limits)
    for target in facts.targets:
        yield from _of_target(target, facts, limits)
    if facts.snapshot is not None and facts.snapshot.published is not None:
        yield Figure("snapshot", "age", _seconds(facts, facts.snapshot.published), "s")
    if facts.is_whole:
        yield Figure("overrides", "ending", len(facts.overrides))
        yield Figure("failures", "acknowledged", len(facts.known))


def _of_source(source: SourceFacts, facts: StatusFacts, limits: Thresholds) -> Iterator[Figure]:
    critical = int(limits.sync.total_seconds())
    if source.ended is not None and source.ended.finished is not None:
        yield Figure(source.name, "age", _seconds(facts, source.ended.finished), "s", None, critical)
    yield Figure(source.name, "mailboxes", asked(source))
    known = {(each.known.mailbox, each.known.failure) for each in facts.known}
    failed = [it for it in source.troubled if it.outcome == Outcome.FAILED]
    unknown = sum((it.address, it.reason) not in known for it in failed)
    # A range of Nagios is what is still well: 0 to the limit.
    yield Figure(source.name, "failed", unknown, "", _below(limits.failed_warning), _below(limits.failed_critical))
    for outcome in (Outcome.VANISHED, Outcome.HELD_BACK):
        yield Figure(source.name, outcome, source.outcomes.get(outcome, 0), "", 0)
    yield Figure(source.name, "stale", len(source.stale))
    yield Figure(source.name, "not-named", len(source.not_named))


def _below(limit: int) -> int | None:
    return limit - 1 if limit else None


def _of_target(target: TargetFacts, facts: StatusFacts, limits: Thresholds) -> Iterator[Figure]:
    if target.confirmed is not None:
        critical = int(limits.publish.total_seconds())
        yield Figure(target.name, "age", _seconds(facts, target.confirmed), "s", None, critical)
    if target.entries is not None:
        yield Figure(target.name, "entries", target.entries)


def _seconds(facts: StatusFacts, since: datetime) -> int:
    return max(int((facts.at - since).total_seconds()), 0)
