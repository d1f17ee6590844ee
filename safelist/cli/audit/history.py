"""``safelist audit history``: what happened, in order, and who did it."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Annotated, Any

import typer

from safelist import sender as senders
from safelist import store
from safelist.audit import json_form
from safelist.cli.audit.options import print_answer, refuse_never_collected
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.moments import parse_time
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, JsonOption, complain, now
from safelist.errors import UsageError
from safelist.sender import Form
from safelist.store import EventKind, Window


def history(
    sender: Annotated[str | None, typer.Option(metavar="SENDER", help="Only about this address or domain.")] = None,
    mailbox: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Only this mailbox's entries.")] = None,
    actor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what was recorded by this person or account.")
    ] = None,
    what: Annotated[
        list[EventKind] | None, typer.Option(metavar="KIND", help="Only this, such as override-made (repeatable).")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="From this day or moment on (UTC).")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Up to and with this day or moment.")] = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Entries added and removed, overrides made, expired and revoked, publications, failed runs: oldest first."""
    window = Window(
        since=None if since is None else parse_time(since, "--since", end=False, ahead=True),
        # Without one also what is dated ahead: it happened, at a clock that was wrong.
        until=None if until is None else parse_time(until, "--until", ahead=True) + timedelta(seconds=1),
        now=now(),
        senders=() if sender is None else _texts_about(sender),
        mailbox=None if mailbox is None else addresses_in([mailbox], "--mailbox")[0],
        actor=actor,
    )
    with store.open_store(load_config(config_file).database.url) as opened:
        events = (event for event in opened.events(window) if not what or event.kind in what)
        rows = (json_form.event(event, now()) for event in events)
        print_answer(json, csv, lambda: list(rows), json_form.EVENT, lambda: rows, lambda: _print(rows))
        refuse_never_collected(opened, window.mailbox)


def _texts_about(text: str) -> tuple[str, ...]:
    """The entries that cover it: itself, its domain, the domains above it with their sub-domains."""
    found = senders.typed(text)
    if found.form is Form.REFUSED and found.refusal is senders.Refusal.EMPTY:
        raise UsageError("--sender: is empty, write an address or a domain")
    return (*senders.covering(found), text.strip())


def _print(rows: Iterable[dict[str, Any]]) -> None:
    texts = list(_texts(rows))
    if not texts:
        complain("nothing of that kind happened in that time")
    print_table(("at (UTC)", *json_form.EVENT[1:]), texts)


def _texts(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        texts = {name: "" if value is None else str(value) for name, value in row.items()}
        texts["at"] = texts["at"][:19].replace("T", " ")
        yield tuple(texts[name] for name in json_form.EVENT)
