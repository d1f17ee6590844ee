"""The one JSON form of each answer: values in, what ``json`` can write out. Pure.

A function that is named for one line of an answer (``holding``, ``event``, ...) gives a row; the tuple of the same name
in capitals has its columns in their order, for CSV and for tables.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from safelist import policy
from safelist.audit import position_text
from safelist.audit.answers import Explanation, MailboxAnswer, SenderAnswer
from safelist.audit.changes import Changes
from safelist.audit.usage import NeverUsed
from safelist.entry import Holding
from safelist.override import Effect, Override, sentence, until_sentence
from safelist.policy import Decision, Reason
from safelist.store import Acknowledgement, Event, EventKind, Found, Made, MailboxState, Run, Verified
from safelist.used import Use

Object = dict[str, Any]

AT_FIRST = "already there at the first collection"
AHEAD = "dated ahead: the clock was wrong when it was recorded"

HOLDING = ("mailbox", "list", "entry", "refused", "since", "until", "at_first_collection")
MAILBOX_HOLDING = (*HOLDING, "uncounted")
DECISION = ("row", "decides", "safe", "reason", "authentication", "why")
HELD = (*HOLDING, "position")
EVENT = ("at", "what", "mailbox", "list", "sender", "override", "by", "run", "detail", "position")
RUN = ("run", "started", "finished", "what", "source", "by", "figures", "problem")
FOUND = ("what", "address", "count", "position")
CHANGE = ("what", "sender", "mailbox", "list", "override", "detail")
USE = ("sender", "mailbox", "reason", "first", "last", "times")
OVERRIDE = (
    "override", "effect", "level", "sender", "for", "authentication", "made", "by", "reason", "ticket", "expires",
    "revoked", "revoked_by", "revoked_why", "state",
)  # fmt: skip


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def holding(held: Holding) -> Object:
    """An entry of a mailbox."""
    return {
        "mailbox": held.mailbox,
        "list": held.list.code,
        "entry": held.pattern.text,
        "refused": held.pattern.refusal,
        "since": held.since.isoformat(),
        "until": _time(held.until),
        "at_first_collection": held.at_first,
    }


def decision(decided: Decision) -> Object:
    """A decision; ``authentication`` only where it is safe."""
    return decided.as_json()


def override(given: Override) -> Object:
    """An override, without what became of it by now."""
    terms = given.terms
    return {
        "override": given.id,
        "effect": str(terms.effect),
        "level": str(terms.level),
        "sender": terms.pattern.text,
        "for": terms.scope.text if terms.scope else None,
        "authentication": str(terms.authentication) if terms.effect is Effect.ALLOW else None,
        "made": given.made.isoformat(),
        "by": given.actor,
        "reason": terms.reason,
        "ticket": terms.ticket,
        "expires": _time(terms.expires),
        "revoked": _time(given.revoked),
        "revoked_by": given.revoked_by,
        "revoked_why": given.revoked_why,
    }


def override_at(given: Override, now: datetime) -> Object:
    """An override and what has become of it by ``now``."""
    return override(given) | {"state": str(given.state(now))}


def made(done: Made) -> Object:
    """What became of an override that was asked for."""
    return {"is_new": done.is_new, "replaced": done.replaced.id if done.replaced else None} | override(done.override)


def made_from(at: str, done: Made, notes: Sequence[str]) -> Object:
    """What became of the row ``at`` of a file, and what is said of it."""
    outcome = ("replaced" if done.replaced else "made") if done.is_new else "unchanged"
    return {
        "at": at,
        "outcome": outcome,
        "override": done.override.id,
        "replaced": done.replaced.id if done.replaced else None,
        "notes": list(notes),
    }


def sender_answer(answer: SenderAnswer) -> Object:
    """The answer of :func:`safelist.audit.who`."""
    return {
        "sender": answer.sender.text,
        "decisions": [{"entry": pattern.text} | decision(decided) for pattern, decided in answer.decisions],
        "advice": list(answer.advice),
        "entries": list(holdings_of_sender(answer)),
        "overrides": list(map(override, answer.overrides)),
    }


def holdings_of_sender(answer: SenderAnswer) -> Iterator[Object]:
    """The entries about a sender, each with its position, behind which a page of them may begin."""
    for held, position in zip(answer.holdings, answer.positions, strict=True):
        yield holding(held) | {"position": position_text.write(position)}


def mailbox_holdings(answer: MailboxAnswer) -> list[Object]:
    """The entries of a mailbox, each with the reason why it makes nobody safe."""
    return [holding(held) | {"uncounted": reason} for held, reason in answer.holdings]


def mailbox_answer(answer: MailboxAnswer) -> Object:
    """The answer of :func:`safelist.audit.mailbox`."""
    state = answer.state
    return {
        "mailbox": state.address,
        "asked": state.checked.isoformat(),
        "answered": _time(state.answered),
        "outcome": state.outcome,
        "reason": state.reason,
        "problem": state.problem,
        "rule": rule_state(state),
        "rule_bytes": state.rule.size,
        "entries_open": state.entries,
        "entries_refused": state.refused,
        "warnings": list(answer.warnings),
        "entries": mailbox_holdings(answer),
    }


def rule_state(state: MailboxState) -> str | None:
    """Whether the mailbox has a Junk E-mail Rule, and whether it is on; None: its lists stand in none."""
    if state.rule.rule_id is None:
        return "none" if state.rule.digest is None else None
    if state.rule.state is None:
        return "there; whether it is on is unknown"
    return "on" if state.rule.state & 1 else "switched off"


def decisions(answer: Explanation) -> list[Object]:
    """The rows of the policy's table that hold; the last one always does and is left out behind others."""
    others = (other for other in answer.others if other.reason is not Reason.NOBODY)
    return [
        {"row": row_number(each), "decides": each is answer.decision} | decision(each)
        for each in (answer.decision, *others)
    ]


def row_number(decided: Decision) -> int:
    """The number of the row of the policy's table that decided, from 1."""
    return 1 + next(number for number, row in enumerate(policy.TABLE) if row.reason is decided.reason)


def explanation(answer: Explanation) -> Object:
    """The answer of :func:`safelist.audit.why`."""
    return {
        "sender": answer.sender.text,
        "recipient": answer.recipient,
        "at": answer.at.isoformat(),
        **decision(answer.decision),
        "rows": decisions(answer),
        "entries": list(map(holding, answer.holdings)),
        "overrides": [override(o) | {"in_force": o not in answer.ended} for o in answer.candidate.overrides],
        "advice": list(answer.advice),
        "left_out": dict(answer.left_out),
    }


def event(happened: Event, now: datetime) -> Object:
    """One thing that happened; what is dated later than ``now`` is marked."""
    row: Object = dict.fromkeys(EVENT) | {
        "at": happened.at.isoformat(), "what": str(happened.kind), "by": happened.actor or None, "run": happened.run,
        "mailbox": happened.mailbox,
    }  # fmt: skip
    if happened.entry is not None:
        row |= {"list": happened.entry.list.code, "sender": happened.entry.pattern.text}
    if happened.override is not None:
        row |= {"override": happened.override.id, "sender": happened.override.terms.pattern.text}
    if happened.look is not None:
        row["sender"] = happened.look.sender
    row["detail"] = "; ".join(_details(happened, now)) or None
    row["position"] = position_text.write(happened.position)
    return row


def run(done: Run) -> Object:
    """A run of a command that writes, with its figures in words; ``problem`` says why it did not end well."""
    return {
        "run": done.id, "started": done.started.isoformat(), "finished": _time(done.finished), "what": done.what,
        "source": done.source, "by": done.actor, "figures": figures(done), "problem": done.trouble,
    }  # fmt: skip


def figures(done: Run) -> str | None:
    """What a run counted."""
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in done.counts.items() if count) or None


def found(each: Found) -> Object:
    """What a search found."""
    position = position_text.write(each.position)
    return {"what": str(each.what), "address": each.text, "count": each.number, "position": position}


def _details(happened: Event, now: datetime) -> Iterator[str]:
    if happened.entry is not None and happened.at_first:
        yield AT_FIRST
    if happened.override is not None:
        yield _said_of(happened.override, happened.kind)
    if happened.acknowledgement is not None:
        yield _said_of_failure(happened.acknowledgement, happened.kind)
    if happened.publication is not None:
        published = happened.publication
        yield (
            f"{published.target} {published.path}: {published.entries} entries, {published.added} new, "
            f"{published.removed} gone, sha256 {published.file_digest}"
        )
    if happened.problem:
        yield happened.problem
    if happened.look is not None:
        yield f"as {happened.look.role}, on the page {happened.look.page}; mailboxes named: {happened.look.names}"
    if happened.at > now:
        yield AHEAD


def _said_of(given: Override, kind: EventKind) -> str:
    if kind is EventKind.OVERRIDE_REVOKED:
        return str(given.revoked_why)
    ticket = f", ticket {given.terms.ticket}" if given.terms.ticket else ""
    return f"{sentence(given.terms)}: {given.terms.reason}{ticket}"


def _said_of_failure(given: Acknowledgement, kind: EventKind) -> str:
    if kind is EventKind.ACKNOWLEDGEMENT_REVOKED:
        return str(given.revoked_why)
    known = given.known
    ticket = f", ticket {known.ticket}" if known.ticket else ""
    return f"{known.failure} {until_sentence(known.expires)}: {known.reason}{ticket}"


def changes(found: Changes) -> Object:
    """The answer of :func:`safelist.audit.changes`."""
    return {
        "since": found.since.at.isoformat(),
        "until": found.until.at.isoformat(),
        "changes": list(change_rows(found)),
    }


def change_rows(found: Changes) -> Iterator[Object]:
    """What differs: senders that became safe or ceased to be, overrides, entries."""
    for what, turns in (("now-safe", found.turned_safe), ("no-longer-safe", found.turned_unsafe)):
        for turn in turns:
            yield _change(what, turn.sender.text, detail=f"{turn.after.reason}: {turn.after.sentence}")
    for what, overrides in (("override-made", found.made), ("override-ended", found.ended)):
        for each in overrides:
            terms = each.terms
            told = f"{sentence(terms)}: {terms.reason} (by {each.actor}; {each.state_sentence(found.until.at)})"
            yield _change(what, terms.pattern.text, override=each.id, detail=told)
    for what, entries in (("entry-added", found.added), ("entry-removed", found.removed)):
        for mailbox, (list_, pattern) in entries:
            yield _change(what, pattern.text, mailbox=mailbox, list=list_.code)


def _change(what: str, sender: str, **more: object) -> Object:
    return dict.fromkeys(CHANGE) | {"what": what, "sender": sender} | more


def uses(found: Sequence[Use | NeverUsed]) -> list[Object]:
    """What let mail through, and what is safe and let none through."""
    return [_use(each) if isinstance(each, Use) else _never_used(each) for each in found]


def _use(used: Use) -> Object:
    key = used.key
    return {
        "sender": key.sender, "mailbox": key.mailbox or None, "reason": key.kind, "first": used.first.isoformat(),
        "last": used.last.isoformat(), "times": used.times,
    }  # fmt: skip


def _never_used(safe: NeverUsed) -> Object:
    return dict.fromkeys(USE) | {"sender": safe.sender.text, "reason": safe.reason, "times": 0}


def verification(found: Verified) -> Object:
    """The answer of :func:`safelist.audit.verify`."""
    return {"change_sets": found.change_sets, "head": found.head, "problem": found.problem}
