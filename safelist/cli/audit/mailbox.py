"""``safelist audit mailbox``: one mailbox's lists, what counts of them, and what Outlook does not warn of."""

from collections.abc import Iterator
from typing import Annotated

import typer

from safelist import audit, store
from safelist.audit import json_form
from safelist.cli import completion
from safelist.cli.audit.options import AtOption, moment_of, never_collected, print_answer, remarks
from safelist.cli.configuration import load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, DatabaseOption, JsonOption, day, now, print_json
from safelist.entry import Holding
from safelist.errors import UsageError
from safelist.policy import Reason


def mailbox(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="A mailbox that was collected.",
            autocompletion=completion.mailboxes,
        ),
    ],
    at: AtOption = None,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """One mailbox: when it was asked, every entry it holds or held and why it does not count, and warnings."""
    config = load_config(config_file, database)
    with store.open_store(config.database.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        answer = audit.mailbox(opened, address, settings, now(), moment_of(opened, at))
    if answer is None:
        if json:
            print_json(None)
        raise UsageError(never_collected(address))
    print_answer(
        json, csv, lambda: json_form.mailbox_answer(answer), json_form.MAILBOX_HOLDING,
        lambda: json_form.mailbox_holdings(answer), lambda: _print(answer, at),
    )  # fmt: skip


def _print(answer: audit.MailboxAnswer, at: str | None) -> None:
    state = answer.state
    as_of = [("entries", f"as of {at}: {len(answer.holdings)}; the rest of this is of today")] if at else []
    figures = [
        *as_of,
        ("mailbox", state.address),
        ("last asked", f"{state.checked:%Y-%m-%d %H:%M} UTC: {state.outcome}"),
        ("last answer believed", f"{state.answered:%Y-%m-%d %H:%M} UTC" if state.answered else "never"),
        ("problem", state.problem or ""),
        ("Junk E-mail Rule", json_form.rule_state(state) or ""),
        ("entries", f"{state.entries}" + (f", of which {state.refused} cannot be senders" if state.refused else "")),
        *(("warning", warning) for warning in answer.warnings),
    ]
    print_table(("", ""), [row for row in figures if row[1]])
    if answer.holdings:
        print()
        rows = (
            (h.list.title, h.pattern.text, "; ".join(_remarks(h, reason)), day(h.since), day(h.until))
            for h, reason in answer.holdings
        )
        print_table(("list", "entry", "remark", "first seen", "until"), rows)


def _remarks(holding: Holding, reason: Reason | None) -> Iterator[str]:
    yield from remarks(holding)
    if reason is not None and reason is not Reason.NOT_A_SENDER:
        yield f"does not count: {reason}"
