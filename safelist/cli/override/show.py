"""``safelist override list`` and ``show``: what was said, and what became of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from safelist import store
from safelist.audit import json_form
from safelist.cli import completion
from safelist.cli.audit.options import print_answer
from safelist.cli.configuration import database_url
from safelist.cli.override.options import minute
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, DatabaseOption, JsonOption, complain, now, print_json
from safelist.errors import UsageError
from safelist.override import Effect, Override, Terms, scope_sentence, subject_sentence


def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that expired or were revoked, too.")] = False,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Every override that is in force."""
    at = now()
    with store.open_store(database_url(config_file, database)) as opened:
        found = [override for override in opened.overrides() if every or override.in_force(at)]
    rows = [json_form.override_at(override, at) for override in found]
    print_answer(json, csv, lambda: rows, json_form.OVERRIDE, lambda: rows, lambda: _print(found, at))


def _print(found: Sequence[Override], at: datetime) -> None:
    if not found:
        complain("there is no override to show")
        return
    rows = (
        (
            str(o.id), str(o.terms.effect), subject_sentence(o.terms.pattern), scope_sentence(o.terms.scope),
            str(o.terms.level), _authentication(o.terms), minute(o.terms.expires) if o.terms.expires else "never",
            str(o.state(at)), o.actor, o.terms.reason, o.terms.ticket or "",
        )
        for o in found
    )  # fmt: skip
    print_table(
        ("number", "effect", "sender", "for", "level", "authentication", "expires", "state", "by", "reason", "ticket"),
        rows,
    )


def _authentication(terms: Terms) -> str:
    return str(terms.authentication) if terms.effect is Effect.ALLOW else ""


def show(
    number: Annotated[
        int,
        typer.Argument(
            metavar="NUMBER", help="As `safelist override list` shows it.", autocompletion=completion.override_numbers
        ),
    ],
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    """Everything about one override: what it says, who made it when and why, and what became of it."""
    at = now()
    with store.open_store(database_url(config_file, database)) as opened:
        found = next((override for override in opened.overrides() if override.id == number), None)
    if found is None:
        raise UsageError(f"show: there is no override {number}; `safelist override list --all` shows every one")
    if json:
        print_json(json_form.override_at(found, at))
    else:
        print_table(("", ""), [row for row in _figures(found, at) if row[1]])


def _figures(found: Override, at: datetime) -> list[tuple[str, str]]:
    terms = found.terms
    revoked = f"{_dated(found.revoked, at)} by {found.revoked_by}: {found.revoked_why}" if found.revoked else ""
    return [
        ("number", str(found.id)), ("effect", str(terms.effect)), ("sender", subject_sentence(terms.pattern)),
        ("for", scope_sentence(terms.scope)), ("level", str(terms.level)), ("authentication", _authentication(terms)),
        ("expires", f"{minute(terms.expires)} UTC" if terms.expires else "never"), ("state", str(found.state(at))),
        ("reason", terms.reason), ("ticket", terms.ticket or ""),
        ("made", f"{_dated(found.made, at)} by {found.actor}"), ("revoked", revoked),
    ]  # fmt: skip


def _dated(moment: datetime, at: datetime) -> str:
    return f"{minute(moment)} UTC ({json_form.AHEAD})" if moment > at else f"{minute(moment)} UTC"
