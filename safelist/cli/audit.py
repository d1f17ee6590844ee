"""``safelist audit``: who trusts whom."""

from typing import Annotated

import typer

from safelist import audit, store
from safelist.cli.terminal import ConfigOption, JsonOption, complain, day, load_config, print_json, print_table, shown
from safelist.errors import UsageError
from safelist.store import Holding, MailboxState

app = typer.Typer(help="Who trusts whom, and since when.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def who(
    sender: Annotated[str, typer.Argument(metavar="SENDER", help="An address or a domain.")],
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Every mailbox that trusts or blocks SENDER, directly or by an entry for its domain, since when, until when."""
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        answer = audit.who(opened, sender, config.policy.settings)
    refusal = answer.sender.refusal
    if refusal is not None and not answer.holdings:
        raise UsageError(f"{sender!r} is not an address or a domain: {refusal.sentence}")
    if json:
        print_json(_sender_as_json(answer))
    else:
        print_sender(answer)


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
        if json:
            print_json(None)
        return
    state = answer.state
    if json:
        print_json(_state_as_json(answer))
        return
    figures = [
        ("mailbox", state.address),
        ("last asked", f"{state.checked:%Y-%m-%d %H:%M} UTC: {state.outcome}" if state.checked else "never"),
        ("last answer believed", f"{state.answered:%Y-%m-%d %H:%M} UTC" if state.answered else "never"),
        ("problem", state.problem or ""),
        ("Junk E-mail Rule", _rule_state(state)),
        ("entries", f"{state.entries}" + (f", of which {state.refused} cannot be senders" if state.refused else "")),
    ]
    print_table(("", ""), [row for row in figures if row[1]])
    print()
    if answer.holdings:
        rows = ((h.list.title, h.pattern.text, _remark(h), day(h.since), day(h.until)) for h in answer.holdings)
        print_table(("list", "entry", "remark", "since", "until"), rows)


def _rule_state(state: MailboxState) -> str:
    if state.rule_id is None:
        return "none"
    if state.state is None:
        return "there; whether it is on is unknown"
    return "on" if state.state & 1 else "switched off"


def print_sender(answer: audit.SenderAnswer) -> None:
    """Who trusts or blocks the sender, and whether it is safe for everybody."""
    if not answer.holdings:
        complain(f"no mailbox has or had an entry for {answer.sender.text}")
        return
    rows = ((h.mailbox, h.list.title, h.pattern.text, _remark(h), day(h.since), day(h.until)) for h in answer.holdings)
    print_table(("mailbox", "list", "entry", "remark", "since", "until"), rows)
    for pattern, decision in answer.decisions:
        verb = "published" if decision.safe else "not published"
        print(shown(f"{pattern.text}: {verb} ({decision.reason}): {decision.sentence}"))


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


def _sender_as_json(answer: audit.SenderAnswer) -> dict[str, object]:
    decisions = [
        {"entry": pattern.text, "published": decision.safe, "reason": decision.reason, "why": decision.sentence}
        for pattern, decision in answer.decisions
    ]
    return {"sender": answer.sender.text, "decisions": decisions, "entries": [_as_json(h) for h in answer.holdings]}


def _state_as_json(answer: audit.MailboxAnswer) -> dict[str, object]:
    state = answer.state
    return {
        "mailbox": state.address,
        "asked": state.checked.isoformat() if state.checked else None,
        "answered": state.answered.isoformat() if state.answered else None,
        "outcome": state.outcome,
        "reason": state.reason,
        "problem": state.problem,
        "rule": _rule_state(state),
        "entries_open": state.entries,
        "entries_refused": state.refused,
        "entries": [_as_json(h) for h in answer.holdings],
    }
