"""``safelist audit who``: every mailbox that trusts or blocks a sender."""

from dataclasses import replace
from typing import Annotated

import typer

from safelist import audit, store
from safelist.audit import json_form, position_text
from safelist.cli.audit.options import AtOption, moment_of, print_answer, remarks, said
from safelist.cli.audit.pages import AfterOption, LimitOption, Rows, page
from safelist.cli.configuration import load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, DatabaseOption, JsonOption, complain, day, now, shown
from safelist.errors import UsageError
from safelist.override import sentence


def who(
    sender: Annotated[str, typer.Argument(metavar="SENDER", help="An address or a domain.")],
    at: AtOption = None,
    limit: LimitOption = None,
    after: AfterOption = None,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Every mailbox that trusts or blocks SENDER, directly or by an entry for its domain, first seen when."""
    wanted = page(limit, after, position_text.HOLDING)
    config = load_config(config_file, database)
    with store.open_store(config.database.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        answer = audit.who(opened, sender, settings, now(), moment_of(opened, at), wanted)
    _refuse_no_sender(sender, answer)
    rows = Rows(json_form.holdings_of_sender(answer), limit)
    answer = replace(answer, holdings=answer.holdings[:limit], positions=answer.positions[:limit])
    print_answer(
        json, csv, lambda: json_form.sender_answer(answer), json_form.HELD, lambda: rows, lambda: print_sender(answer)
    )
    rows.say_more()


def _refuse_no_sender(text: str, answer: audit.SenderAnswer) -> None:
    refusal = answer.sender.refusal
    if refusal is not None and not answer.holdings:
        raise UsageError(f"{text!r} is not an address or a domain: {refusal.sentence}")


def print_sender(answer: audit.SenderAnswer) -> None:
    """Print who trusts or blocks the sender, and whether it is safe for everybody."""
    if not answer.holdings:
        complain(f"no mailbox has an entry for {answer.sender.text}")
    rows = (
        (h.mailbox, h.list.title, h.pattern.text, "; ".join(remarks(h)), day(h.since), day(h.until))
        for h in answer.holdings
    )
    print_table(("mailbox", "list", "entry", "remark", "first seen", "until"), rows)
    for override in answer.overrides:
        print(shown(f"override {override.id} {sentence(override.terms)}: {override.state_sentence(now())}"))
    for pattern, decision in answer.decisions:
        print(shown(f"{pattern.text}: {said(decision)}"))
    for advice in answer.advice:
        print(shown(advice))
