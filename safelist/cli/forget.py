"""``safelist forget``: end the entries of a mailbox that is gone or has another address now."""

from typing import Annotated

import typer

from safelist import sender, store
from safelist.cli import completion
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.terminal import ConfigOption, JsonOption, actor, now, print_json, say
from safelist.errors import UsageError
from safelist.runs.forget import forget as end_entries
from safelist.sender import Form
from safelist.store import Outcome, Store


def forget(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(metavar="ADDRESS", help="Mailboxes that were collected.", autocompletion=completion.mailboxes),
    ] = None,
    domain: Annotated[
        str | None, typer.Option(metavar="DOMAIN", help="Every collected mailbox in a domain that was given up.")
    ] = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """End every entry of these mailboxes, so that they count no more; the past stays in the audit."""
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        named = addresses_in(addresses or [], "forget") if domain is None else _all_in(opened, domain, addresses)
        ended = end_entries(opened, config, named, now, actor())
    if json:
        print_json({"forgotten": [{"mailbox": address, "ended": count} for address, count in ended.items()]})
    for address, count in ended.items() if not json else ():
        say(f"{address}: {count} entries ended")


def _all_in(opened: Store, domain: str, addresses: list[str] | None) -> list[str]:
    """Every mailbox of that domain that still counts, and none below it."""
    asked = sender.typed(domain)
    if addresses or asked.form is not Form.DOMAIN:
        raise UsageError("forget: name mailboxes, or one --domain such as old.example")
    there = (state for state in opened.mailboxes() if state.address.rpartition("@")[2] == asked.text)
    found = [state.address for state in there if state.outcome != Outcome.FORGOTTEN]
    if not found:
        raise UsageError(f"forget: no mailbox in {asked.text} is collected and not forgotten yet")
    return found
