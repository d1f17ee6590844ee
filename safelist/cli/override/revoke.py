"""``safelist override revoke``: take overrides back."""

from typing import Annotated

import typer

from safelist import store
from safelist.cli import completion
from safelist.cli.configuration import load_config
from safelist.cli.override.options import FROM_WHEN, ReasonOption, plain_text, recorded_actor
from safelist.cli.terminal import ActorOption, ConfigOption, JsonOption, now, print_json
from safelist.runs import overrides


def revoke(
    which: Annotated[
        list[str],
        typer.Argument(
            metavar="NUMBER|SENDER",
            help="Numbers as `safelist override list` shows them, or senders that one override in force names.",
            autocompletion=completion.overridden,
        ),
    ],
    reason: ReasonOption,
    actor: ActorOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take overrides back, all of these or none; the past stays in the audit."""
    config, by, why = load_config(config_file), recorded_actor(actor), plain_text(reason, "--reason")
    with store.open_store(config.database.url) as opened:
        ids = overrides.revoke(opened, which, why, now(), by)
    if json:
        print_json({"revoked": ids})
    for id_ in ids if not json else ():
        print(f"override {id_} is revoked; it counts no more {FROM_WHEN}")
