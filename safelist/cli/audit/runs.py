"""``safelist audit runs``: every run of a command that writes, the newest first."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

import typer

from safelist import store
from safelist.audit import json_form
from safelist.cli.audit.options import print_answer
from safelist.cli.configuration import database_url
from safelist.cli.moments import LastOption, parse_time, since_option
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, DatabaseOption, JsonOption, complain, now
from safelist.store import AnswerPage, Run

_COLUMNS = ("run", "started (UTC)", "took", "what", "source", "by", "figures", "problem")


def runs(
    what: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Only of this command: sync, override, forget, ...")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only those that collected from this one.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Begun from this day or moment on (UTC).")] = None,
    last: LastOption = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Begun up to this day's end or moment.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000_000, help="So many at most.")] = 50,
    after: Annotated[
        int | None, typer.Option("--after", metavar="RUN", min=1, max=2**31 - 1, help="Go on behind that run.")
    ] = None,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Every run of a command that writes: when, by whom, its figures and why it did not end well; the newest first."""
    begun = _within(since_option(since, last), until)
    with store.open_store(database_url(config_file, database)) as opened:
        found = opened.runs(*begun, what, source, AnswerPage(limit + 1, () if after is None else (after,)))
    shown = found[:limit]
    rows = list(map(json_form.run, shown))
    print_answer(json, csv, lambda: rows, json_form.RUN, lambda: rows, lambda: _print(shown))
    if len(found) > limit:
        complain(f"there are more: add --after {shown[-1].id}")


def _within(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    first = None if since is None else parse_time(since, "--since", end=False)
    return first, None if until is None else parse_time(until, "--until") + timedelta(seconds=1)


def _print(found: list[Run]) -> None:
    if not found:
        complain("there was no such run in that time")
    print_table(_COLUMNS, map(tuple, map(_cells, found)))


def _cells(run: Run) -> Iterator[str]:
    took = "" if run.finished is None else str(run.finished - run.started)
    yield from (str(run.id), f"{run.started:%Y-%m-%d %H:%M}", took, run.what, run.source or "", run.actor)
    yield json_form.figures(run) or ""
    yield run.trouble or ("dated ahead: the clock was wrong" if run.started > now() else "")
