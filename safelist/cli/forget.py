"""``safelist forget``: end the entries of a mailbox that is gone or has another address now."""

from typing import Annotated

import typer

from safelist import store
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.terminal import ConfigOption, JsonOption, actor, now, print_json, say
from safelist.runs.forget import forget as end_entries


def forget(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="Mailboxes that were collected.")],
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """End every entry of these mailboxes, so that they count no more; the past stays in the audit."""
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        ended = end_entries(opened, config, addresses_in(addresses, "forget"), now, actor())
    if json:
        print_json({"forgotten": [{"mailbox": address, "ended": count} for address, count in ended.items()]})
    for address, count in ended.items() if not json else ():
        say(f"{address}: {count} entries ended")
