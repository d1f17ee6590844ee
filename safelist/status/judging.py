"""Judges what was looked at: a function for each kind of thing, and in it a line for each way in which it is not well.

Pure: facts and the thresholds of the configuration in, findings out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from safelist.collector.figures import LEFT_OUT
from safelist.config import StatusSettings, span
from safelist.filter.current_snapshot import CLOCKS_DIFFER
from safelist.override import Override, sentence
from safelist.runs.published_files import FileState
from safelist.status.facts import (
    FilterFacts,
    Finding,
    Severity,
    SnapshotFacts,
    SourceFacts,
    StatusFacts,
    StatusReport,
    TargetFacts,
)
from safelist.status.words import age, ago, mailboxes, minute, names
from safelist.store import Acknowledgement, MailboxTrouble, Outcome, Run

OK, WARNING, CRITICAL, UNKNOWN = Severity.OK, Severity.WARNING, Severity.CRITICAL, Severity.UNKNOWN
INTERVALS = 2
"""What has not happened for so many intervals is CRITICAL."""
_SETTLES = timedelta(minutes=1)
"""A filter looks for a new snapshot every other second; what it has not taken by then it does not take."""
_WORST_FIRST = (CRITICAL, WARNING, UNKNOWN, OK)


class Thresholds(NamedTuple):
    """Until when what is missing is still well."""

    sync: timedelta
    publish: timedelta
    failing: timedelta
    failed_warning: int
    failed_critical: int

    @classmethod
    def of(cls, settings: StatusSettings) -> "Thresholds":
        """Those of the configuration."""
        interval = span(settings.interval)
        publish = span(settings.publish_interval) if settings.publish_interval else interval
        return cls(
            INTERVALS * interval, INTERVALS * publish, span(settings.failing), settings.failed_warning,
            settings.failed_critical,
        )  # fmt: skip


def judge(facts: StatusFacts, settings: StatusSettings) -> StatusReport:
    """Everything that is to be said, the worst first."""
    limits, now = Thresholds.of(settings), facts.at
    known = {(each.known.mailbox, each.known.failure) for each in facts.known}
    found = [Finding(UNKNOWN, subject, text) for subject, text in facts.unknown]
    is_collected = any(source.is_configured for source in facts.sources)
    if facts.is_whole and not (is_collected or facts.targets or facts.filters):
        text = "there is nothing to look at: it has neither [exchange] nor a target; is it the right one?"
        found.append(Finding(UNKNOWN, "configuration", text))
    elif facts.is_whole and not is_collected:
        found.append(Finding(OK, "sync", "no source is configured: there is no [exchange]"))
    for source in facts.sources:
        found += _source(source, limits, known, now)
    for target in facts.targets:
        found += _target(target, limits, now)
    if facts.snapshot is not None:
        found += _snapshot(facts.snapshot)
    for each in facts.filters:
        found += _filter(each, facts.snapshot, now)
    found += _ending(facts.overrides, facts.known, settings, now)
    found += _acknowledged(facts.known, facts.sources)
    if facts.verified is not None and facts.verified.problem:
        text = f"the record was changed by something else than safelist: {facts.verified.problem}; do not publish"
        found.append(Finding(CRITICAL, "audit", f"{text}; compare with a backup"))
    return StatusReport(facts, tuple(sorted(found, key=lambda finding: _WORST_FIRST.index(finding.severity))))


def _source(
    source: SourceFacts, limits: Thresholds, known: set[tuple[str, str]], now: datetime
) -> Iterator[Finding]:  # fmt: skip
    if source.is_configured:
        yield from _runs(source, limits, now)
        yield from _troubles(source, limits, known)
        yield from _stale(source, known)
    if source.not_named:
        where = "by their source" if source.is_configured else "by any source: the configuration has this one no more"
        count = len(source.not_named)
        yield Finding(
            OK, source.name,
            f"{mailboxes(count)} no longer named {where} still count{'s' if count == 1 else ''} "
            f"({names(source.not_named)}); for those that are gone: safelist forget ADDRESS",
        )  # fmt: skip


def _runs(source: SourceFacts, limits: Thresholds, now: datetime) -> Iterator[Finding]:
    """Whether it runs, and whether its runs go well."""
    name, ended, running = source.name, source.ended, _running(source.last)
    if ended is None or ended.finished is None:
        is_first = running is not None and now - running.started < limits.sync
        text = f"has never been collected{_since(running)}; run `safelist sync --publish`, and switch the timer on"
        yield Finding(WARNING if is_first else CRITICAL, name, text)
        return
    yield from _ahead(name, "its last run ended", ended.finished, now)
    if now - ended.finished > limits.sync:
        yield Finding(
            CRITICAL, name,
            f"has not run for {age(now - ended.finished)}, since {minute(ended.finished)}{_since(running)}; look at "
            "`systemctl list-timers` or cron, and at `journalctl -u safelist`",
        )  # fmt: skip
    if ended.problem is not None:
        good = source.good.finished if source.good else None
        is_long = good is None or now - good > limits.failing
        text = f"its last run failed: {_one_line(ended.problem)} (the last good one ended {ago(good, now)})"
        yield Finding(CRITICAL if is_long else WARNING, name, text)
    if left_out := ended.counts.get(LEFT_OUT):
        text = f"its last run could not read {left_out} of its groups; see what `safelist sync` says of them"
        yield Finding(WARNING, name, text)


def _ahead(subject: str, what: str, at: datetime, now: datetime) -> Iterator[Finding]:
    """What is dated ahead of the clock: until that moment nobody would see that nothing happens any more."""
    if at - now > CLOCKS_DIFFER:
        text = f"{what} {ago(at, now)}, {minute(at)}: the clock is wrong, or was; correct it, and run it anew"
        yield Finding(WARNING, subject, text)


def _running(run: Run | None) -> Run | None:
    return run if run is not None and run.finished is None else None


def _since(running: Run | None) -> str:
    return (
        f" (a run began {minute(running.started)} and has not ended: it still runs, or was killed)" if running else ""
    )


def _one_line(text: str) -> str:
    return "; ".join(text.split("\n"))


def _is_known(trouble: MailboxTrouble, known: set[tuple[str, str]]) -> bool:
    return trouble.outcome == Outcome.FAILED and (trouble.address, trouble.reason) in known


def _troubles(source: SourceFacts, limits: Thresholds, known: set[tuple[str, str]]) -> Iterator[Finding]:
    """Mailboxes that failed, have vanished or were held back."""
    failed = [it for it in source.troubled if it.outcome == Outcome.FAILED and not _is_known(it, known)]
    if failed:
        reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(it.reason for it in failed).most_common())
        text = f"{mailboxes(len(failed))} failed ({reasons}): {_addresses(failed)}; safelist failure list"
        yield Finding(_of_count(len(failed), limits), source.name, text)
    for outcome, told in _OUTCOMES.items():
        if some := [it for it in source.troubled if it.outcome == outcome]:
            yield Finding(WARNING, source.name, f"{mailboxes(len(some))} {told}: {_addresses(some)}")


_OUTCOMES = {
    Outcome.VANISHED: "without a rule, which the third run in a row believes, or `safelist sync --accept-vanished`",
    Outcome.HELD_BACK: "held back, whose lists were gone with those of many; if it is true, `safelist sync "
    "--accept-mass-change`",
}


def _of_count(count: int, limits: Thresholds) -> Severity:
    if limits.failed_critical and count >= limits.failed_critical:
        return CRITICAL
    return WARNING if limits.failed_warning and count >= limits.failed_warning else OK


def _addresses(troubles: Iterable[MailboxTrouble]) -> str:
    return names([it.address for it in troubles])


def _stale(source: SourceFacts, known: set[tuple[str, str]]) -> Iterator[Finding]:
    """Mailboxes that gave no answer for long; who is known to fail, or is not asked any more, is said elsewhere."""
    silent = {it.address for it in source.troubled if _is_known(it, known)} | set(source.not_named)
    if stale := [it for it in source.stale if it.address not in silent]:
        oldest = min(it.answered for it in stale if it.answered is not None)
        text = (
            f"{mailboxes(len(stale))} gave no answer for long, the first since {oldest:%Y-%m-%d} ({_addresses(stale)})"
        )
        yield Finding(WARNING, source.name, f"{text}; their last good lists count")


def _target(target: TargetFacts, limits: Thresholds, now: datetime) -> Iterator[Finding]:
    name, at = target.name, target.confirmed
    if at is None:
        why = f": {_one_line(target.failure)}" if target.failure else "; run `safelist publish`"
        yield Finding(CRITICAL, name, f"{target.path} was never published{why}")
        return
    yield from _ahead(name, f"{target.path} was published", at, now)
    if now - at > limits.publish:
        text = f"{target.path} was not published for {age(now - at)}, since {minute(at)}"
        yield Finding(CRITICAL, name, f"{text}; run `safelist publish {name}`, and see whether the timer does")
    if target.failure is not None:
        yield Finding(WARNING, name, f"the last publication failed: {_one_line(target.failure)}")
    if (severity := _FILES.get(target.file.state)) is not None:
        yield Finding(severity, name, target.file.text)


_FILES = {FileState.MISSING: CRITICAL, FileState.DIFFERENT: WARNING, FileState.UNREADABLE: UNKNOWN}


def _snapshot(snapshot: SnapshotFacts) -> Iterator[Finding]:
    if snapshot.is_denied:
        text = f"{snapshot.path} may not be read by this user; run this as the user who publishes"
        yield Finding(UNKNOWN, "snapshot", text)
    yield from (Finding(CRITICAL, "snapshot", fault) for fault in snapshot.faults)


def _filter(found: FilterFacts, snapshot: SnapshotFacts | None, now: datetime) -> Iterator[Finding]:
    if found.fault:
        text = f"{found.fault} (this user may not ask there)" if found.is_denied else found.fault
        yield Finding(UNKNOWN if found.is_denied else CRITICAL, found.address, text)
    elif found.in_use is not None and not found.in_use.timestamp():
        yield Finding(CRITICAL, found.address, "the filter has no snapshot: nobody is safe until it can read one")
    elif found.in_use is not None and found.in_use - now > CLOCKS_DIFFER:
        text = f"the filter uses a snapshot of the future ({minute(found.in_use)}), so it makes nobody safe"
        yield Finding(CRITICAL, found.address, f"{text}: correct the clock, and run `safelist publish`")
    elif _is_old(found.in_use, snapshot, now) and found.in_use is not None:
        text = f"the filter still uses the snapshot of {minute(found.in_use)}; its log says why"
        yield Finding(WARNING, found.address, f"{text}: journalctl -u safelist-filter")


def _is_old(in_use: datetime | None, snapshot: SnapshotFacts | None, now: datetime) -> bool:
    """Whether a newer snapshot is there, and was long enough for the filter to have taken it."""
    if in_use is None or snapshot is None or snapshot.published is None:
        return False
    return in_use + timedelta(seconds=1) < snapshot.published < now - _SETTLES


def _ending(
    overrides: Iterable[Override], known: Iterable[Acknowledgement], settings: StatusSettings, now: datetime
) -> Iterator[Finding]:  # fmt: skip
    for each in overrides:
        text = f"override {each.id} {sentence(each.terms)}: make it anew with --replace, or let it end"
        yield Finding(WARNING, "override", text)
    if settings.ending == "never":
        return
    until = now + span(settings.ending)
    for given in sorted(known, key=lambda it: it.known.expires):
        if given.known.expires <= until:
            text = f"{given.known.mailbox} is known to fail until {minute(given.known.expires)}; then it fails the runs"
            yield Finding(WARNING, "failure", f"{text} again: safelist failure acknowledge, or have it mended")


def _acknowledged(known: Iterable[Acknowledgement], sources: Iterable[SourceFacts]) -> Iterator[Finding]:
    """Of what is acknowledged, what is so, and what is so no more."""
    failing = {(it.address, it.reason) for source in sources for it in source.troubled if it.outcome == Outcome.FAILED}
    for given in known:
        address, failure = given.known.mailbox, given.known.failure
        text = f"{address}: {failure} is acknowledged until {minute(given.known.expires)} by {given.actor}"
        if (address, failure) not in failing:
            text += "; it does not fail with that any more: safelist failure revoke"
        yield Finding(OK, "failure", f"{text} ({given.known.reason})")
