"""``safelist override revoke``: take overrides back."""

from typing import Annotated

import typer

from safelist import store
from safelist.cli.override.asked import FROM_WHEN, ReasonOption, plain_text, recorded_actor
from safelist.cli.terminal import ActorOption, ConfigOption, JsonOption, load_config, now, print_json


def revoke(
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER...", help="As `safelist override list` shows them.")],
    reason: ReasonOption,
    actor: ActorOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take overrides back, all of these or none; the past stays in the audit."""
    config, at, by, why = load_config(config_file), now(), recorded_actor(actor), plain_text(reason, "--reason")
    ids = list(dict.fromkeys(numbers))
    with store.open_store(config.database.url) as opened:
        opened.revoke_overrides(ids, why, at, by)
    if json:
        print_json({"revoked": ids})
    for id_ in ids if not json else ():
        print(f"override {id_} is revoked; it counts no more {FROM_WHEN}")
