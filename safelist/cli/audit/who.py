"""``safelist audit who``: every mailbox that trusts or blocks a sender."""

from typing import Annotated

import typer

from safelist import audit, store
from safelist.audit import json_form
from safelist.cli.audit.options import AtOption, moment_of, print_answer, remarks, said
from safelist.cli.configuration import load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, JsonOption, complain, day, now, shown
from safelist.errors import UsageError
from safelist.override import sentence


def who(
    sender: Annotated[str, typer.Argument(metavar="SENDER", help="An address or a domain.")],
    at: AtOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Every mailbox that trusts or blocks SENDER, directly or by an entry for its domain, first seen when."""
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        answer = audit.who(opened, sender, settings, now(), moment_of(opened, at))
    refusal = answer.sender.refusal
    if refusal is not None and not answer.holdings:
        raise UsageError(f"{sender!r} is not an address or a domain: {refusal.sentence}")
    print_answer(
        json, csv, lambda: json_form.sender_answer(answer), json_form.HOLDING,
        lambda: map(json_form.holding, answer.holdings), lambda: print_sender(answer),
    )  # fmt: skip


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
