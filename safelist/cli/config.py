"""``safelist config check``: every fault of the configuration at once, and of what it points to."""

from pathlib import Path

import typer

from safelist import config
from safelist.cli.configuration import load_config
from safelist.cli.terminal import ConfigOption, JsonOption, complain, now, print_json, say, shown
from safelist.errors import EX_CONFIG, ConfigError
from safelist.runs import config_check


def check(config_file: ConfigOption = None, json: JsonOption = False) -> None:
    """Report every fault of the configuration and of the files that it names; asks no Exchange and changes nothing."""
    path = config_file or config.default_path()
    faults, notes = _looked_over(path)
    if json:
        print_json({"config": str(path), "faults": faults, "notes": notes})
    for note in notes if not json else ():
        print(shown(f"note: {note}"))
    for fault in faults if not json else ():
        complain(fault)
    if faults:
        raise typer.Exit(EX_CONFIG)
    if not json:
        say(f"{path}: no faults", is_answer=True)


def _looked_over(path: Path) -> tuple[list[str], list[str]]:
    try:
        return config_check.look_over(path, load_config(path), now)
    except ConfigError as error:
        return list(error.faults), []
