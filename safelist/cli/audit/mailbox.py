"""``safelist audit mailbox``: one mailbox's lists, what counts of them, and what Outlook does not warn of."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from safelist import audit, store
from safelist.cli.audit.options import HOLDING, AtOption, holding_row, moment_of, never_collected, print_answer, remarks
from safelist.cli.configuration import load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, JsonOption, day, now, print_json
from safelist.entry import Holding
from safelist.errors import UsageError
from safelist.policy import Reason
from safelist.store import MailboxState


def mailbox(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A mailbox that was collected.")],
    at: AtOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """One mailbox: when it was asked, every entry it holds or held and why it does not count, and warnings."""
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        answer = audit.mailbox(opened, address, settings, now(), moment_of(opened, at))
    if answer is None:
        if json:
            print_json(None)
        raise UsageError(never_collected(address))
    rows = [holding_row(holding) | {"uncounted": reason} for holding, reason in answer.holdings]
    columns = (*HOLDING, "uncounted")
    print_answer(json, csv, lambda: _as_json(answer, rows), columns, lambda: rows, lambda: _print(answer, at))


def _print(answer: audit.MailboxAnswer, at: str | None) -> None:
    state = answer.state
    as_of = [("entries", f"as of {at}: {len(answer.holdings)}; the rest of this is of today")] if at else []
    figures = [
        *as_of,
        ("mailbox", state.address),
        ("last asked", f"{state.checked:%Y-%m-%d %H:%M} UTC: {state.outcome}"),
        ("last answer believed", f"{state.answered:%Y-%m-%d %H:%M} UTC" if state.answered else "never"),
        ("problem", state.problem or ""),
        ("Junk E-mail Rule", _rule_state(state)),
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


def _rule_state(state: MailboxState) -> str:
    if state.rule.rule_id is None:
        return "none"
    if state.rule.state is None:
        return "there; whether it is on is unknown"
    return "on" if state.rule.state & 1 else "switched off"


def _as_json(answer: audit.MailboxAnswer, rows: list[dict[str, Any]]) -> dict[str, object]:
    state = answer.state
    return {
        "mailbox": state.address,
        "asked": state.checked.isoformat(),
        "answered": state.answered.isoformat() if state.answered else None,
        "outcome": state.outcome,
        "reason": state.reason,
        "problem": state.problem,
        "rule": _rule_state(state),
        "rule_bytes": state.rule.size,
        "entries_open": state.entries,
        "entries_refused": state.refused,
        "warnings": list(answer.warnings),
        "entries": rows,
    }
