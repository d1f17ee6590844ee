"""``safelist override revoke``: take overrides back."""

from datetime import datetime
from typing import Annotated

import typer

from safelist import store
from safelist.cli.configuration import load_config
from safelist.cli.override.options import FROM_WHEN, ReasonOption, plain_text, recorded_actor
from safelist.cli.terminal import ActorOption, ConfigOption, JsonOption, now, print_json
from safelist.errors import UsageError
from safelist.override import sentence
from safelist.sender import Pattern, parse
from safelist.store import Store


def revoke(
    which: Annotated[
        list[str],
        typer.Argument(
            metavar="NUMBER|SENDER...",
            help="Numbers as `safelist override list` shows them, or senders that one override in force names.",
        ),
    ],
    reason: ReasonOption,
    actor: ActorOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take overrides back, all of these or none; the past stays in the audit."""
    config, at, by, why = load_config(config_file), now(), recorded_actor(actor), plain_text(reason, "--reason")
    with store.open_store(config.database.url) as opened:
        ids = list(dict.fromkeys(_number(text, opened, at) for text in which))
        opened.revoke_overrides(ids, why, at, by)
    if json:
        print_json({"revoked": ids})
    for id_ in ids if not json else ():
        print(f"override {id_} is revoked; it counts no more {FROM_WHEN}")


def _number(text: str, opened: Store, at: datetime) -> int:
    """The override of that number, or the only one in force about that sender. Raises UsageError."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    pattern = parse(text)
    found = [o for o in opened.overrides() if o.in_force(at) and _named(o.terms.pattern) == _named(pattern)]
    if not found:
        raise UsageError(f"revoke: no override in force is about {text}; `safelist override list` shows every one")
    if len(found) > 1:
        lines = (f"override {o.id} {sentence(o.terms)}" for o in found)
        raise UsageError("\n".join([f"revoke: {text} is named by more than one; write the number", *lines]))
    return found[0].id


def _named(pattern: Pattern) -> str:
    """With or without sub-domains: people name the domain."""
    return pattern.text.removeprefix(".")
