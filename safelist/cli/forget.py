"""``safelist forget``: end the entries of a mailbox that is gone or has another address now."""

from typing import Annotated

import typer

from safelist import store
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.terminal import ConfigOption, JsonOption, actor, now, print_json, say
from safelist.entry import ALL_LISTS
from safelist.errors import UsageError
from safelist.store import Outcome, RuleVersion, Store


def forget(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="Mailboxes that were collected.")],
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """End every entry of these mailboxes, so that they count no more; the past stays in the audit."""
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened, store.hold(config.database.url, "forget", now()):
        ended = {address: _forget(opened, address) for address in addresses_in(addresses, "forget")}
    if json:
        print_json({"forgotten": [{"mailbox": address, "ended": count} for address, count in ended.items()]})
    for address, count in ended.items() if not json else ():
        say(f"{address}: {count} entries ended")


def _forget(opened: Store, address: str) -> int:
    if opened.mailbox(address) is None:
        raise UsageError(f"forget: {address} was never collected; `safelist audit who SENDER` shows who was")
    run = opened.begin_run(now(), "forget", actor())
    change = opened.record(run, address, RuleVersion(None, None, None, None, None, None), frozenset(), ALL_LISTS, now())
    opened.note(run, address, now(), Outcome.FORGOTTEN)
    opened.end_run(run, now(), {"removed": len(change.removed)}, None)
    return len(change.removed)
