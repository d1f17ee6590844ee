"""``safelist config check``: every fault of the configuration at once, and of what it points to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from safelist import config, store
from safelist.cli.configuration import load_config
from safelist.cli.terminal import ConfigOption, JsonOption, complain, now, print_json, say, shown
from safelist.collector import sources
from safelist.collector.sources import ews
from safelist.config import Config
from safelist.errors import EX_CONFIG, ConfigError, SafelistError
from safelist.policy import Settings
from safelist.publisher.publish import publish
from safelist.publisher.target import Nothing, Published
from safelist.publisher.targets import TARGETS


def check(config_file: ConfigOption = None, json: JsonOption = False) -> None:
    """Report every fault of the configuration and of the files that it names; asks no Exchange and changes nothing."""
    path = config_file or config.default_path()
    faults, notes = _faults_and_notes(path)
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


def _faults_and_notes(path: Path) -> tuple[list[str], list[str]]:
    """Everything that is wrong, and what will be; each begins with the file."""
    faults: list[str] = []
    notes: list[str] = []
    try:
        loaded = load_config(path)
        faults += [f"{path}: {fault}" for fault in _faults_around(loaded)]
        notes += [f"{path}: publish.{name}: {note}" for name in loaded.publish for note in _notes(loaded, name)]
    except ConfigError as error:
        faults += error.faults
    return faults, notes


def _faults_around(loaded: Config) -> Iterator[str]:
    """What each command would stumble over: secrets, files, the database, the targets' directories."""
    if not sources.configured(loaded):
        yield "exchange: is missing or empty: `safelist sync` cannot run with this file, the other commands can"
        yield from ews.mailbox_faults(loaded.mailboxes)
    for source in (named := sources.configured(loaded)):
        faults = sources.KINDS[source.kind].faults(source.settings)
        yield from (f"sources.{source.name}: {fault}" if len(named) > 1 else fault for fault in faults)
    yield from _fault(lambda: store.open_store(loaded.database.url).close())
    for name, settings in loaded.publish.items():
        yield from _fault(lambda n=name, s=settings: _try_target(n, s, loaded.policy.settings()))  # type: ignore[misc]


def _try_target(name: str, chosen: Any, settings: Settings) -> Published:
    return publish(Nothing(), settings, TARGETS[name], chosen, now, dry_run=True, allow_shrink=True)


def _notes(loaded: Config, name: str) -> Iterator[str]:
    """What is no fault of the configuration, but would be one of a filter that used the file already."""
    try:
        tried = _try_target(name, loaded.publish[name], loaded.policy.settings())
    except SafelistError:
        return  # a fault, which is said
    missing = next((path for file in tried.files for path in file.opened if not path.exists()), None)
    if missing is not None:
        yield (
            f"{missing} is not there: run `safelist publish` before a filter's configuration names it (Postfix defers "
            "all mail for a map that it cannot open)"
        )


def _fault(look: Callable[[], object]) -> Iterator[str]:
    try:
        look()
    except SafelistError as error:
        yield from str(error).split("\n")
