"""``safelist config check``: every fault of the configuration at once."""

import typer

from safelist import config
from safelist.cli.terminal import ConfigOption, JsonOption, complain, load_config, print_json, say
from safelist.errors import EX_CONFIG, ConfigError

app = typer.Typer(help="The configuration.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The configuration."""


@app.command()
def check(config_file: ConfigOption = None, json: JsonOption = False) -> None:
    """Report every fault of the configuration, each with its key and what to write instead."""
    path = config_file or config.default_path()
    try:
        loaded = load_config(path)
    except ConfigError as error:
        if not json:
            raise
        print_json({"config": str(path), "faults": list(error.faults)})
        raise typer.Exit(EX_CONFIG) from None
    if json:
        print_json({"config": str(path), "faults": []})
        return
    say(f"{path}: no faults")
    if loaded.exchange is None:
        complain(f"{path}: there is no [exchange]: `safelist sync` cannot run with this file, the other commands can")
