"""A status as node_exporter's textfile collector reads it; no label names a person, a sender or a mailbox. Pure.

The text is of Prometheus's exposition format 0.0.4: each metric once, its HELP and TYPE before it; in a label's value
backslash, quote and line feed are escaped. A dozen gauges need no library: the extra ``metrics`` is the filter's.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from safelist.config import StatusSettings
from safelist.runs.published_files import FileState
from safelist.status.facts import Severity, SourceFacts, StatusReport, TargetFacts
from safelist.status.judging import Thresholds
from safelist.store import Outcome, Run

_Samples = Sequence[tuple[dict[str, str], float]]
_IN_FILES = {FileState.AS_PUBLISHED: 1, FileState.MISSING: 0, FileState.DIFFERENT: 0}


class Gauge(NamedTuple):
    """A metric with its samples, each with its labels."""

    name: str
    help: str
    samples: _Samples


def exposition(status: StatusReport, settings: StatusSettings) -> str:
    """The whole file."""
    return "".join(line for gauge in _gauges(status, settings) if gauge.samples for line in _lines(gauge))


def _gauges(status: StatusReport, settings: StatusSettings) -> Iterator[Gauge]:
    facts, limits = status.facts, Thresholds.of(settings)
    yield Gauge("status", "0: OK, 1: WARNING, 2: CRITICAL, 3: UNKNOWN, as of a Nagios plugin.", [({}, status.severity)])
    yield Gauge("status_timestamp_seconds", "When safelist status looked.", [({}, facts.at.timestamp())])
    counts = [({"severity": each.name.lower()}, _count(status, each)) for each in Severity]
    yield Gauge("status_findings", "What there is to be said, by its severity (ok: a note).", counts)
    yield from _of_sources([source for source in facts.sources if source.is_configured], status, limits)
    yield from _of_targets(facts.targets, limits)
    if facts.snapshot is not None and facts.snapshot.published is not None:
        at = facts.snapshot.published.timestamp()
        yield Gauge("snapshot_timestamp_seconds", "When the snapshot that is there was published.", [({}, at)])
    answers = [({"address": each.address}, int(not each.fault)) for each in facts.filters]
    yield Gauge("filter_up", "Whether the filter answers at that address.", answers)
    ending: _Samples = [({}, len(facts.overrides))] if facts.is_whole else []
    yield Gauge("overrides_ending", "Overrides that end soon.", ending)
    if facts.verified is not None:
        holds = int(not facts.verified.problem)
        yield Gauge("chain_verified", "Whether what was recorded is still what was recorded.", [({}, holds)])


def _count(status: StatusReport, severity: Severity) -> int:
    return sum(finding.severity is severity for finding in status.findings)


def _of_sources(sources: Sequence[SourceFacts], status: StatusReport, limits: Thresholds) -> Iterator[Gauge]:
    yield Gauge(
        "sync_limit_seconds", "After so long without a run a source is CRITICAL.", [({}, limits.sync.total_seconds())]
    )
    for name, text, moments in (
        ("sync_last_run_timestamp_seconds", "When the last run over all ended.", [_ended(it.ended) for it in sources]),
        ("sync_last_success_timestamp_seconds", "The same of a good one.", [_ended(it.good) for it in sources]),
    ):
        yield Gauge(name, text, _at([it.name for it in sources], "source", moments))
    outcomes = [
        ({"source": it.name, "outcome": str(outcome)}, it.outcomes.get(outcome, 0))
        for it in sources for outcome in Outcome if outcome is not Outcome.FORGOTTEN
    ]  # fmt: skip
    yield Gauge("mailboxes", "Mailboxes by what became of them when they were asked last.", outcomes)
    known = {(each.known.mailbox, each.known.failure) for each in status.facts.known}
    acknowledged = [({"source": it.name}, _acknowledged(it, known)) for it in sources]
    yield Gauge("mailboxes_acknowledged", "Of the failed ones, those that are known to fail.", acknowledged)
    stale = [({"source": it.name}, len(it.stale)) for it in sources]
    yield Gauge("mailboxes_stale", "Mailboxes whose entries count and that gave no answer for long.", stale)
    not_named = [({"source": it.name}, len(it.not_named)) for it in sources]
    yield Gauge("mailboxes_not_named", "Mailboxes whose entries count and that nobody names any more.", not_named)


def _acknowledged(source: SourceFacts, known: set[tuple[str, str]]) -> int:
    return sum(it.outcome == Outcome.FAILED and (it.address, it.reason) in known for it in source.troubled)


def _ended(run: Run | None) -> datetime | None:
    return run.finished if run is not None else None


def _at(names: Sequence[str], label: str, moments: Sequence[datetime | None]) -> _Samples:
    return [({label: name}, at.timestamp()) for name, at in zip(names, moments, strict=True) if at is not None]


def _of_targets(targets: Sequence[TargetFacts], limits: Thresholds) -> Iterator[Gauge]:
    names = [target.name for target in targets]
    limit = limits.publish.total_seconds()
    yield Gauge("publish_limit_seconds", "After so long without a publication a target is CRITICAL.", [({}, limit)])
    confirmed = _at(names, "target", [target.confirmed for target in targets])
    yield Gauge("publish_last_success_timestamp_seconds", "When the target was last known to be right.", confirmed)
    changed = _at(names, "target", [target.changed for target in targets])
    yield Gauge("publish_last_change_timestamp_seconds", "When the target last became another.", changed)
    entries = [({"target": it.name}, it.entries) for it in targets if it.entries is not None]
    yield Gauge("publish_entries", "Entries of the target.", entries)
    files = [({"target": it.name}, _IN_FILES[it.file.state]) for it in targets if it.file.state in _IN_FILES]
    yield Gauge("publish_file_as_published", "Whether the target's files are still what was published.", files)


def _lines(gauge: Gauge) -> Iterator[str]:
    name = f"safelist_{gauge.name}"
    yield f"# HELP {name} {gauge.help}\n# TYPE {name} gauge\n"
    for labels, value in gauge.samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{f'{{{inner}}}' if inner else ''} {value:.17g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
