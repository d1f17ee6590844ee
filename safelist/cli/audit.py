"""``safelist audit``: who trusts whom."""

from typing import Annotated

import typer

from safelist import audit, store
from safelist.cli.terminal import ConfigOption, JsonOption, complain, day, load_config, print_json, print_table
from safelist.store import Holding

app = typer.Typer(help="Who trusts whom, and since when.", no_args_is_help=True)


@app.command()
def who(
    sender: Annotated[str, typer.Argument(metavar="SENDER", help="An address or a domain.")],
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Every mailbox that trusts or blocks SENDER, directly or by an entry for its domain, since when, until when."""
    with store.open_store(load_config(config_file).database.url) as opened:
        answer = audit.who(opened, sender)
    if json:
        print_json({"sender": answer.sender.text, "entries": [_as_json(h) for h in answer.holdings]})
    elif answer.holdings:
        print_holdings(answer.holdings)
    else:
        complain(f"no mailbox has or had an entry for {answer.sender.text}")


@app.command()
def mailbox(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A mailbox that was collected.")],
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """One mailbox: when it was asked, what came of it, and every entry it holds or held."""
    with store.open_store(load_config(config_file).database.url) as opened:
        answer = audit.mailbox(opened, address)
    if answer is None:
        complain(f"{address} was never collected; is it in [mailboxes]?")
        raise typer.Exit(0)
    state = answer.state
    if json:
        print_json(_state_as_json(answer))
        return
    figures = [
        ("mailbox", state.address),
        ("last asked", f"{state.checked:%Y-%m-%d %H:%M} UTC: {state.outcome}" if state.checked else "never"),
        ("last answer believed", f"{state.answered:%Y-%m-%d %H:%M} UTC" if state.answered else "never"),
        ("problem", state.problem or "none"),
        ("Junk E-mail Rule", _rule_state(state.state)),
        ("entries", f"{state.entries}, of which {state.refused} cannot be senders"),
    ]
    print_table(("", ""), figures)
    if answer.holdings:
        print_holdings(answer.holdings)


def _rule_state(state: int | None) -> str:
    if state is None:
        return "none, or its state is unknown"
    return "on" if state & 1 else "switched off"


def print_holdings(holdings: tuple[Holding, ...]) -> None:
    """A table of entries: who, in which list, since when, until when."""
    rows = ((h.mailbox, h.list.title, h.pattern.text, _remark(h), day(h.since), day(h.until)) for h in holdings)
    print_table(("mailbox", "list", "entry", "", "since", "until"), rows)


def _remark(holding: Holding) -> str:
    refusal = holding.pattern.refusal
    return f"refused: {refusal.sentence}" if refusal is not None else ""


def _as_json(holding: Holding) -> dict[str, str | None]:
    return {
        "mailbox": holding.mailbox,
        "list": holding.list.name.lower().replace("_", "-"),
        "entry": holding.pattern.text,
        "refused": holding.pattern.refusal,
        "since": holding.since.isoformat(),
        "until": holding.until.isoformat() if holding.until else None,
    }


def _state_as_json(answer: audit.MailboxAnswer) -> dict[str, object]:
    state = answer.state
    return {
        "mailbox": state.address,
        "asked": state.checked.isoformat() if state.checked else None,
        "answered": state.answered.isoformat() if state.answered else None,
        "outcome": state.outcome,
        "reason": state.reason,
        "problem": state.problem,
        "rule_state": state.state,
        "entries_open": state.entries,
        "entries_refused": state.refused,
        "entries": [_as_json(h) for h in answer.holdings],
    }
