"""``safelist audit verify``: whether what was recorded is still what was recorded."""

from typing import Annotated

import typer

from safelist import audit, store
from safelist.audit import json_form
from safelist.cli.configuration import database_url
from safelist.cli.terminal import ConfigOption, DatabaseOption, JsonOption, print_json
from safelist.errors import TamperedError, UsageError


def verify(
    contains: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="A digest that was noted earlier: it must be in the chain still."),
    ] = None,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    """Recompute every digest from the rows, walk the chain, recount the votes; name the first thing that is wrong."""
    wanted = None if contains is None else _digest(contains)
    with store.open_store(database_url(config_file, database)) as opened:
        found = audit.verify(opened, wanted)
    if json:
        print_json(json_form.verification(found))
    if found.problem:
        raise TamperedError(
            f"the record was changed by something else than safelist: {found.problem}; "
            f"the {found.change_sets} change sets before it hold; do not publish; compare with a backup"
        )
    if not json:
        print(f"{found.change_sets} change sets, unbroken; note the head: {found.head}")


def _digest(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise UsageError(f"--contains: {text!r} is no digest: 64 hexadecimal digits, as verify and report print them")
    return found
