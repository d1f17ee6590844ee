"""``safelist audit why``: the decision about a sender, the row of the table that made it, and the facts."""

from typing import Annotated

import typer

from safelist import audit, store
from safelist.audit import json_form
from safelist.cli import completion
from safelist.cli.audit.options import AtOption, moment_of, print_answer, refuse_never_collected, remarks, said
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, DatabaseOption, JsonOption, day, now, shown
from safelist.override import Override, scope_sentence

VOTERS_SHOWN = 20


def why(
    sender: Annotated[str, typer.Argument(metavar="SENDER", help="An address, or a domain: anybody there.")],
    recipient: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="For this recipient. Default: for the whole organisation.",
            autocompletion=completion.mailboxes,
        ),
    ] = None,
    at: AtOption = None,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Whether mail from SENDER is safe, the row of the policy that decides it, and the facts behind it."""
    config = load_config(config_file, database)
    to = next(iter(addresses_in([recipient], "--recipient")), None) if recipient is not None else None
    with store.open_store(config.database.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        moment = moment_of(opened, at) or opened.newest(now())
        publish = config.publish if at is None else {}
        answer = audit.why(opened, sender, to, settings, moment, publish)
        print_answer(
            json, csv, lambda: json_form.explanation(answer), json_form.DECISION,
            lambda: json_form.decisions(answer), lambda: _print(answer),
        )  # fmt: skip
        refuse_never_collected(opened, to)


def _print(answer: audit.Explanation) -> None:
    to = answer.recipient or "anybody"
    print(shown(f"{answer.sender.text} to {to}, as of {answer.at:%Y-%m-%d %H:%M} UTC: {said(answer.decision)}"))
    others = [row for row in json_form.decisions(answer) if not row["decides"]]
    print(
        f"Row {json_form.row_number(answer.decision)} of the policy's table decides"
        + ("; these hold, too:" if others else ".")
    )
    verdict = {True: "safe", False: "not safe"}
    print_table(
        ("row", "would say", "reason", "because"),
        ((str(r["row"]), verdict[r["safe"]], str(r["reason"]), str(r["why"])) for r in others),
    )
    for target, why_not in answer.left_out:
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
