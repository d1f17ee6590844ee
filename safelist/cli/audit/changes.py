"""``safelist audit changes``: the difference between two states, for a weekly mail."""

from datetime import timedelta
from typing import Annotated

import typer

from safelist import audit, store
from safelist.audit import json_form
from safelist.cli.audit.options import moment_of, print_answer
from safelist.cli.configuration import load_config
from safelist.cli.moments import LastOption, parse_time, since_option
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, DatabaseOption, JsonOption, now
from safelist.errors import UsageError
from safelist.store import Moment, Store


def changes(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|DATE", help="After this run (a number), or from this day on; yesterday, 7d (the default)."
        ),
    ] = None,
    last: LastOption = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Up to and with this day. Default: now.")] = None,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """What is different now: senders that became safe for everybody or ceased to be, overrides, users' entries."""
    config = load_config(config_file, database)
    with store.open_store(config.database.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        later = moment_of(opened, until, "--until") or opened.newest(now())
        found = audit.changes(opened, _start(opened, since_option(since, last)), later, settings)
    print_answer(
        json, csv, lambda: json_form.changes(found), json_form.CHANGE, lambda: json_form.change_rows(found),
        lambda: _print(found),
    )  # fmt: skip


def _start(opened: Store, text: str | None) -> Moment:
    if text is None:
        return opened.moment_at(now() - timedelta(days=7))
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        return opened.moment_at(parse_time(text, "--since", end=False) - timedelta(seconds=1))
    if (found := opened.moment_after(int(text))) is None:
        raise UsageError(f"--since: there was no run {text}; `safelist audit history` shows their numbers")
    return found


def _print(found: audit.Changes) -> None:
    rows = list(json_form.change_rows(found))
    print(f"From {found.since.at:%Y-%m-%d %H:%M} to {found.until.at:%Y-%m-%d %H:%M} UTC: {len(rows)} changes")
    texts = (tuple("" if row[name] is None else str(row[name]) for name in json_form.CHANGE) for row in rows)
    print_table(json_form.CHANGE, texts)
