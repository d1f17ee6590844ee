"""``safelist audit used``: which safe entries the filter let mail through by, and which nobody needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from safelist import audit, store, used
from safelist.audit import json_form
from safelist.cli.audit.options import print_answer
from safelist.cli.configuration import load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, DatabaseOption, JsonOption, complain, now
from safelist.config import Config
from safelist.errors import ConfigError
from safelist.publisher.targets import filter_snapshot
from safelist.used import Use


def used_(
    never: Annotated[
        bool, typer.Option("--never", help="Senders that are safe for everybody and that no mail needed.")
    ] = False,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Which safe entries the filter let a listed client's mail through by, how often and when last."""
    config = load_config(config_file, database)
    uses = used.read(_path(config))
    rows = json_form.uses(_never_used(config, uses) if never else uses)
    print_answer(json, csv, lambda: rows, json_form.USE, lambda: rows, lambda: _print(rows, never=never))


def _never_used(config: Config, uses: Sequence[Use]) -> list[audit.NeverUsed]:
    with store.open_store(config.database.url) as opened:
        return list(audit.never_used(opened, config.policy.settings(opened.own_domains()), now(), uses))


def _path(config: Config) -> Path:
    chosen = config.publish.get(filter_snapshot.NAME)
    if chosen is None or chosen.used is None:
        raise ConfigError("there is no [publish.filter] used: name the file that the filter's `used` names")
    return Path(chosen.used)


def _print(rows: list[dict[str, Any]], *, never: bool) -> None:
    if not rows:
        complain(
            "every sender that is safe for everybody was needed" if never else "no entry has let a mail through yet"
        )
    texts = ([*(str(row[name] or "") for name in json_form.USE[:3]), *_when(row), str(row["times"])] for row in rows)
    print_table(json_form.USE, texts)


def _when(row: dict[str, Any]) -> tuple[str, str]:
    return tuple(str(row[name] or "")[:10] for name in ("first", "last"))  # type: ignore[return-value]
