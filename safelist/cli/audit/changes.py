"""``safelist audit changes``: the difference between two states, for a weekly mail."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import typer

from safelist import audit, store
from safelist.cli.audit.options import list_name, moment_of, parse_time, print_answer
from safelist.cli.configuration import load_config
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, JsonOption, now
from safelist.errors import UsageError
from safelist.override import Override, sentence
from safelist.store import Moment, Store

COLUMNS = ("what", "sender", "mailbox", "list", "override", "detail")


def changes(
    since: Annotated[
        str | None,
        typer.Option(metavar="RUN|DATE", help="After this run (a number), or from this day on. Default: 7 days ago."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Up to and with this day. Default: now.")] = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """What is different now: senders that became safe for everybody or ceased to be, overrides, users' entries."""
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        later = moment_of(opened, until, "--until") or opened.newest(now())
        found = audit.changes(opened, _start(opened, since), later, settings)
    rows = list(_rows(found))
    print_answer(json, csv, lambda: _as_json(found, rows), COLUMNS, lambda: rows, lambda: _print(found, rows))


def _start(opened: Store, text: str | None) -> Moment:
    if text is None:
        return opened.moment_at(now() - timedelta(days=7))
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        return opened.moment_at(parse_time(text, "--since", end=False) - timedelta(seconds=1))
    if (found := opened.moment_after(int(text))) is None:
        raise UsageError(f"--since: there was no run {text}; `safelist audit history` shows their numbers")
    return found


def _rows(found: audit.Changes) -> Iterator[dict[str, Any]]:
    for what, turns in (("now-safe", found.turned_safe), ("no-longer-safe", found.turned_unsafe)):
        for turn in turns:
            detail = f"{turn.after.reason}: {turn.after.sentence}"
            yield _row(what, turn.sender.text, detail=detail)
    for what, overrides in (("override-made", found.made), ("override-ended", found.ended)):
        for override in overrides:
            yield _row(what, override.terms.pattern.text, override=override.id, detail=_told(override, found))
    for what, entries in (("entry-added", found.added), ("entry-removed", found.removed)):
        for mailbox, (list_, pattern) in entries:
            yield _row(what, pattern.text, mailbox=mailbox, list=list_name(list_))


def _row(what: str, sender: str, **more: object) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {"what": what, "sender": sender} | more


def _told(override: Override, found: audit.Changes) -> str:
    terms = override.terms
    return f"{sentence(terms)}: {terms.reason} (by {override.actor}; {override.state_sentence(found.until.at)})"


def _as_json(found: audit.Changes, rows: list[dict[str, Any]]) -> dict[str, object]:
    return {"since": found.since.at.isoformat(), "until": found.until.at.isoformat(), "changes": rows}


def _print(found: audit.Changes, rows: list[dict[str, Any]]) -> None:
    print(f"From {found.since.at:%Y-%m-%d %H:%M} to {found.until.at:%Y-%m-%d %H:%M} UTC: {len(rows)} changes")
    texts = (tuple("" if row[name] is None else str(row[name]) for name in COLUMNS) for row in rows)
    print_table(COLUMNS, texts)
