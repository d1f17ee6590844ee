"""``safelist audit used``: which safe entries the filter let mail through by, and which nobody needed."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from safelist import policy, store, used
from safelist.cli.audit.options import print_answer
from safelist.cli.configuration import load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, JsonOption, complain, now
from safelist.config import Config
from safelist.errors import ConfigError
from safelist.publisher.targets import filter_snapshot
from safelist.store import Store
from safelist.used import Use

COLUMNS = ("sender", "mailbox", "reason", "first", "last", "times")


def used_(
    never: Annotated[
        bool, typer.Option("--never", help="Senders that are safe for everybody and that no mail needed.")
    ] = False,
    config_file: ConfigOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Which safe entries the filter let a listed client's mail through by, how often and when last."""
    config = load_config(config_file)
    uses = used.read(_path(config))
    if never:
        with store.open_store(config.database.url) as opened:
            rows = list(_never(opened, config, uses))
    else:
        rows = [_row(use) for use in uses]
    print_answer(json, csv, lambda: rows, COLUMNS, lambda: rows, lambda: _print(rows))


def _path(config: Config) -> Path:
    chosen = config.publish.get(filter_snapshot.NAME)
    if chosen is None or chosen.used is None:
        raise ConfigError("there is no [publish.filter] used: name the file that the filter's `used` names")
    return Path(chosen.used)


def _row(use: Use) -> dict[str, Any]:
    key = use.key
    return {
        "sender": key.sender, "mailbox": key.mailbox or None, "reason": key.kind, "first": use.first.isoformat(),
        "last": use.last.isoformat(), "times": use.times,
    }  # fmt: skip


def _never(opened: Store, config: Config, uses: Iterable[Use]) -> Iterator[dict[str, Any]]:
    """Senders that are safe for the whole organisation and by which no mail was let through."""
    seen = {use.key.sender for use in uses}
    settings, at = config.policy.settings(opened.own_domains()), now()
    for candidate in opened.candidates(settings, at, settings.quorum):
        verdict = policy.judge(candidate, settings, at)
        if verdict.safe and candidate.sender.text not in seen:
            yield dict.fromkeys(COLUMNS) | {"sender": candidate.sender.text, "reason": verdict.reason, "times": 0}


def _print(rows: list[dict[str, Any]]) -> None:
    if not rows:
        complain("there is none")
    texts = ([*(str(row[name] or "") for name in COLUMNS[:3]), *_when(row), str(row["times"])] for row in rows)
    print_table(COLUMNS, texts)


def _when(row: dict[str, Any]) -> tuple[str, str]:
    return tuple(str(row[name] or "")[:10] for name in ("first", "last"))  # type: ignore[return-value]
