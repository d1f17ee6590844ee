"""``safelist audit history``: what happened, in order, and who did it."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Annotated, Any

import typer

from safelist import sender as senders
from safelist import store
from safelist.audit import json_form, position_text
from safelist.cli import completion
from safelist.cli.audit.options import print_answer, refuse_never_collected
from safelist.cli.audit.pages import AfterOption, LimitOption, Rows, page
from safelist.cli.configuration import addresses_in, database_url
from safelist.cli.moments import LastOption, parse_time, since_option
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, DatabaseOption, JsonOption, complain, now
from safelist.errors import UsageError
from safelist.sender import Form
from safelist.store import EventKind, Window

_SHOWN = json_form.EVENT[:-1]
"""A position is nothing to look at."""


def history(
    sender: Annotated[str | None, typer.Option(metavar="SENDER", help="Only about this address or domain.")] = None,
    mailbox: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Only this mailbox's entries.",
            autocompletion=completion.mailboxes,
        ),
    ] = None,
    actor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what was recorded by this person or account.")
    ] = None,
    what: Annotated[
        list[EventKind] | None, typer.Option(metavar="KIND", help="Only this, such as override-made (repeatable).")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="From this day or moment on (UTC); yesterday, 7d for 7 days ago.")
    ] = None,
    last: LastOption = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Up to and with this day or moment.")] = None,
    limit: LimitOption = None,
    after: AfterOption = None,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Entries added and removed, overrides made, expired and revoked, publications, failed runs: oldest first."""
    window = _within(since_option(since, last), until)._replace(
        senders=() if sender is None else _texts_about(sender),
        mailbox=None if mailbox is None else addresses_in([mailbox], "--mailbox")[0],
        actor=actor,
        kinds=frozenset(what or EventKind),
    )
    window = _page_of(window, limit, after)
    with store.open_store(database_url(config_file, database)) as opened:
        rows = Rows((json_form.event(event, now()) for event in opened.events(window)), limit)
        print_answer(json, csv, lambda: list(rows), json_form.EVENT, lambda: rows, lambda: _print(rows))
        refuse_never_collected(opened, window.mailbox)


def _within(since: str | None, until: str | None) -> Window:
    """Without an end also what is dated ahead: it happened, at a clock that was wrong."""
    return Window(
        since=None if since is None else parse_time(since, "--since", end=False, ahead=True),
        until=None if until is None else parse_time(until, "--until", ahead=True) + timedelta(seconds=1),
        now=now(),
    )


def _page_of(window: Window, limit: int | None, after: str | None) -> Window:
    wanted = page(limit, after, position_text.EVENT)
    return window._replace(limit=wanted.limit, behind=wanted.behind)


def _texts_about(text: str) -> tuple[str, ...]:
    """The entries that cover it: itself, its domain, the domains above it with their sub-domains."""
    found = senders.typed(text)
    if found.form is Form.REFUSED and found.refusal is senders.Refusal.EMPTY:
        raise UsageError("--sender: is empty, write an address or a domain")
    return (*senders.covering(found), text.strip())


def _print(rows: Rows) -> None:
    texts = list(_texts(rows))
    if not texts:
        complain("nothing of that kind happened in that time")
    print_table(("at (UTC)", *_SHOWN[1:]), texts)
    rows.say_more()


def _texts(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        texts = {name: "" if value is None else str(value) for name, value in row.items()}
        texts["at"] = texts["at"][:19].replace("T", " ")
        yield tuple(texts[name] for name in _SHOWN)
