"""``safelist audit why``: the decision about a sender, the row of the table that made it, and the facts."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from safelist import audit, policy, store
from safelist.cli.audit.options import (
    AtOption,
    decision_row,
    holding_row,
    moment_of,
    override_row,
    print_answer,
    refuse_never_collected,
    remarks,
    said,
)
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, JsonOption, day, now, shown
from safelist.config import Config
from safelist.override import Override, scope_sentence
from safelist.policy import Decision, Reason, Settings
from safelist.publisher.left_out import left_out
from safelist.sender import Form, Pattern, covers
from safelist.store import Store

COLUMNS = ("row", "decides", "safe", "reason", "authentication", "why")
VOTERS_SHOWN = 20


def why(
    sender: Annotated[str, typer.Argument(metavar="SENDER", help="An address, or a domain: anybody there.")],
    recipient: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="For this recipient. Default: for the whole organisation.")
    ] = None,
    at: AtOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Whether mail from SENDER is safe, the row of the policy that decides it, and the facts behind it."""
    config = load_config(config_file)
    to = next(iter(addresses_in([recipient], "--recipient")), None) if recipient is not None else None
    with store.open_store(config.database.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        moment = moment_of(opened, at) or opened.newest(now())
        answer = audit.why(opened, sender, to, settings, moment)
        not_in = dict(_left_out(opened, config, settings, answer)) if to is None and at is None else {}
        rows = list(_rows(answer))
        print_answer(
            json, csv, lambda: _as_json(answer, rows) | {"left_out": not_in}, COLUMNS, lambda: rows,
            lambda: _print(answer, not_in),
        )  # fmt: skip
        refuse_never_collected(opened, to)


def _left_out(
    opened: Store, config: Config, settings: Settings, answer: audit.Explanation
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """The targets that leave a safe sender out all the same, each with its reason."""
    if not answer.decision.safe:
        return
    fact = answer.decision.fact
    entry = fact.terms.pattern if isinstance(fact, Override) else getattr(fact, "pattern", answer.sender)
    moment = opened.newest(answer.at)
    below = [o.terms.pattern for o in opened.overrides() if o.in_force(answer.at) and covers(entry, o.terms.pattern)]
    asked = dict.fromkeys((answer.sender, entry, *below))  # an override below a domain may take all of it out of a map
    questions = [opened.candidate(each, None, settings, moment)[0] for each in asked]
    for name, refused in left_out(questions, settings, config.publish, answer.at):
        if _is_about(refused.pattern, entry, answer.sender):
            yield name, refused.why


def _is_about(left_out: Pattern, entry: Pattern, sender: Pattern) -> bool:
    """Whether what a target leaves out is what makes the sender safe, or the part of it that the sender is in."""
    is_part = Form.ADDRESS not in (left_out.form, entry.form) and covers(left_out, sender)
    return is_part or left_out in (entry, sender)


def _rows(answer: audit.Explanation) -> Iterator[dict[str, Any]]:
    """The rows of the policy's table that hold; the last one always does and is left out behind others."""
    for decision in (answer.decision, *(other for other in answer.others if other.reason is not Reason.NOBODY)):
        yield {"row": _number(decision), "decides": decision is answer.decision} | decision_row(decision)


def _number(decision: Decision) -> int:
    return 1 + next(number for number, row in enumerate(policy.TABLE) if row.reason is decision.reason)


def _print(answer: audit.Explanation, not_in: dict[str, str]) -> None:
    to = answer.recipient or "anybody"
    print(shown(f"{answer.sender.text} to {to}, as of {answer.at:%Y-%m-%d %H:%M} UTC: {said(answer.decision)}"))
    others = [row for row in _rows(answer) if not row["decides"]]
    print(f"Row {_number(answer.decision)} of the policy's table decides" + ("; these hold, too:" if others else "."))
    verdict = {True: "safe", False: "not safe"}
    print_table(
        ("row", "would say", "reason", "because"),
        ((str(r["row"]), verdict[r["safe"]], str(r["reason"]), str(r["why"])) for r in others),
    )
    for target, why_not in not_in.items():
        print(shown(f"The target {target} leaves it out: {why_not}."))
    _print_facts(answer)
    for advice in answer.advice:
        print(shown(advice))


def _print_facts(answer: audit.Explanation) -> None:
    holdings = sorted(answer.holdings, key=lambda h: h.mailbox != answer.recipient)
    if holdings:
        print("\nEntries about it:")
        shown_ = holdings[:VOTERS_SHOWN]
        print_table(
            ("mailbox", "list", "entry", "remark", "first seen"),
            ((h.mailbox, h.list.title, h.pattern.text, "; ".join(remarks(h)), day(h.since)) for h in shown_),
        )
    if len(holdings) > VOTERS_SHOWN:
        print(f"... and {len(holdings) - VOTERS_SHOWN} more (safelist audit who {shown(answer.sender.text)})")
    if answer.candidate.overrides:
        print("\nOverrides about it:")
        print_table(
            ("number", "effect", "level", "sender", "for", "state", "by", "reason"),
            (
                (str(o.id), o.terms.effect, o.terms.level, o.terms.pattern.text, scope_sentence(o.terms.scope),
                 _state(o, answer), o.actor, o.terms.reason)
                for o in answer.candidate.overrides
            ),
        )  # fmt: skip


def _state(override: Override, answer: audit.Explanation) -> str:
    """Whether it counts here: one that is in force may be about others, or less specific than another."""
    state = override.state_sentence(answer.at)
    fact = answer.decision.fact
    if override in answer.ended or override == fact:
        return state
    if not override.says(answer.sender, answer.recipient):
        return f"{state}, for others"
    is_beaten = isinstance(fact, Override) and fact.terms.level is override.terms.level
    return f"{state}; override {fact.id} is more specific" if is_beaten and isinstance(fact, Override) else state


def _as_json(answer: audit.Explanation, rows: list[dict[str, Any]]) -> dict[str, object]:
    return {
        "sender": answer.sender.text,
        "recipient": answer.recipient,
        "at": answer.at.isoformat(),
        **decision_row(answer.decision),
        "rows": rows,
        "entries": [holding_row(holding) for holding in answer.holdings],
        "overrides": [override_row(o) | {"in_force": o not in answer.ended} for o in answer.candidate.overrides],
        "advice": list(answer.advice),
    }
