"""The one JSON form of a status. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from safelist.audit import json_form as of_audit
from safelist.runs import json_form as of_runs
from safelist.status.facts import FilterFacts, SourceFacts, StatusFacts, StatusReport, TargetFacts
from safelist.store import MailboxTrouble, Outcome, Run

Object = dict[str, Any]


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def status(found: StatusReport) -> Object:
    """Everything that was looked at, and how it is judged."""
    facts = found.facts
    return {
        "state": found.severity.name,
        "at": facts.at.isoformat(),
        "findings": [{"state": it.severity.name, "subject": it.subject, "text": it.text} for it in found.findings],
        "sources": [_source(it, facts) for it in facts.sources],
        "targets": [_target(it, facts) for it in facts.targets],
        "snapshot": _snapshot(facts),
        "filters": list(map(_filter, facts.filters)),
        "overrides_ending": list(map(of_audit.override, facts.overrides)),
        "acknowledged": list(map(of_runs.acknowledgement, facts.known)),
        "verified": None if facts.verified is None else of_audit.verification(facts.verified),
    }


def _age(moment: datetime | None, facts: StatusFacts) -> int | None:
    return None if moment is None else int((facts.at - moment).total_seconds())


def _source(source: SourceFacts, facts: StatusFacts) -> Object:
    ended = source.ended.finished if source.ended else None
    return {
        "source": source.name, "configured": source.is_configured, "age_seconds": _age(ended, facts),
        "last_run": _run(source.ended), "last_good_run": _run(source.good),
        "running_since": _time(source.last.started) if source.last and source.last.finished is None else None,
        "outcomes": dict(source.outcomes),
        "failed": _troubles(source.troubled, Outcome.FAILED), "vanished": _troubles(source.troubled, Outcome.VANISHED),
        "held_back": _troubles(source.troubled, Outcome.HELD_BACK), "stale": [it.address for it in source.stale],
        "not_named": list(source.not_named),
    }  # fmt: skip


def _run(run: Run | None) -> Object | None:
    if run is None:
        return None
    return {
        "run": run.id, "started": run.started.isoformat(), "finished": _time(run.finished), "by": run.actor,
        "problem": run.problem,
    }  # fmt: skip


def _troubles(troubles: Iterable[MailboxTrouble], outcome: Outcome) -> list[Object]:
    return [
        {"mailbox": it.address, "reason": it.reason, "answered": _time(it.answered), "problem": it.problem}
        for it in troubles if it.outcome == outcome
    ]  # fmt: skip


def _target(target: TargetFacts, facts: StatusFacts) -> Object:
    return {
        "target": target.name, "path": target.path, "entries": target.entries,
        "published": _time(target.confirmed), "age_seconds": _age(target.confirmed, facts),
        "changed": _time(target.changed), "file": str(target.file.state), "problem": target.failure,
    }  # fmt: skip


def _snapshot(facts: StatusFacts) -> Object | None:
    found = facts.snapshot
    if found is None:
        return None
    age = _age(found.published, facts)
    return {"path": found.path, "published": _time(found.published), "age_seconds": age, "faults": list(found.faults)}


def _filter(found: FilterFacts) -> Object:
    in_use = found.in_use if found.in_use and found.in_use.timestamp() else None
    return {
        "address": found.address, "answers": not found.fault, "fault": found.fault or None,
        "mode": found.mode or None, "snapshot_in_use": _time(in_use),
    }  # fmt: skip
