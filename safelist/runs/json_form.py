"""The one JSON form of what came of a run: values in, what ``json`` can write out. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from safelist.entry import Entry
from safelist.publisher.target import FileChange
from safelist.runs.failures import Failing
from safelist.runs.publish import NotPublished, Publishing
from safelist.store import Acknowledgement

if TYPE_CHECKING:  # who publishes need not import what collects
    from safelist.collector.collect import MailboxResult
    from safelist.runs.sync import SourceRun

Object = dict[str, Any]


def publishing(done: Publishing) -> Object:
    """What became of a target; of one that failed there are only its name, path and error."""
    published, error = done.done, done.error
    failure = {"error": None if error is None else str(error)}
    if isinstance(published, NotPublished):
        return {"target": published.target, "path": str(published.path)} | failure
    several = {"files": list(map(_file, published.files))} if len(published.files) > 1 else {}
    return (
        {
            "target": published.target,
            "path": str(published.path),
            "entries": published.entries,
            "changed": published.changed,
            "added": list(published.added),
            "removed": list(published.removed),
            "refused": [{"sender": each.pattern.text, "why": each.why} for each in published.refused],
            "use": published.use,
            "notes": list(published.notes),
        }
        | several
        | failure
    )


def _file(file: FileChange) -> Object:
    return {
        "path": str(file.path), "entries": file.entries, "changed": file.is_changed, "new": file.new, "gone": file.gone
    }  # fmt: skip


def source_run(run: "SourceRun", mailboxes: Sequence[Object]) -> Object:
    """What came of a source, with the :func:`mailbox_result` of each of its mailboxes."""
    problem = run.summary.problem
    return {
        "source": run.source,
        "summary": run.summary.figures(),
        "problem": str(problem) if problem is not None else None,
        "not_reached": run.summary.not_reached,
        "left_out": [f"{run.selection.part} {name}: {message}" for name, message in run.selection.problems],
        "not_named": run.not_named,
        "rooms": run.rooms,
        "mailboxes": list(mailboxes),
    }


def sync(sources: Sequence[Object], *, is_only: bool) -> Object:
    """A run over the sources, each a :func:`source_run`; where the configuration has only one, that one's."""
    if is_only:
        return {key: value for key, value in sources[0].items() if key != "source"}
    return {"sources": list(sources)}


def mailbox_result(result: "MailboxResult", *, dry_run: bool, acknowledged: bool = False) -> Object:
    """What came of a mailbox: how many entries changed, and of a dry run which."""
    changes: Object = {"added": result.change.added, "removed": result.change.removed}
    for name, entries in changes.items():
        changes[name] = list(map(_entry, entries)) if dry_run else len(entries)
    return {
        "mailbox": result.address, "outcome": result.outcome, "reason": result.reason, "message": result.message,
        "acknowledged": acknowledged, **changes, "refused": dict(result.refused), "notes": list(result.notes),
    }  # fmt: skip


FAILURE = ("mailbox", "source", "failure", "answered", "acknowledged", "until", "by", "reason", "ticket", "problem")
"""The columns of a :func:`failure`."""


def failure(failing: Failing) -> Object:
    """A mailbox that fails, and what was said of that; ``acknowledged`` is when, if it was."""
    trouble, given = failing
    row: Object = dict.fromkeys(FAILURE) | {
        "mailbox": trouble.address, "source": trouble.source, "failure": trouble.reason, "problem": trouble.problem,
        "answered": trouble.answered.isoformat() if trouble.answered else None,
    }  # fmt: skip
    return row if given is None else row | acknowledgement(given)


def acknowledgement(given: Acknowledgement) -> Object:
    """What an administrator said of a failure."""
    known = given.known
    return {
        "mailbox": known.mailbox, "failure": known.failure, "acknowledged": given.made.isoformat(),
        "until": known.expires.isoformat(), "by": given.actor, "reason": known.reason, "ticket": known.ticket,
    }  # fmt: skip


def _entry(entry: Entry) -> Object:
    return {"list": entry.list.code, "entry": entry.pattern.text, "refused": entry.pattern.refusal}
