"""``safelist override import`` and ``export``: many at once, as CSV or JSON."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from safelist import override_file, store
from safelist.audit import json_form
from safelist.cli.configuration import database_url, load_config
from safelist.cli.override.options import FROM_WHEN, ReplaceOption, UnderstandOption, recorded_actor
from safelist.cli.terminal import (
    ActorOption,
    ConfigOption,
    CsvOption,
    DatabaseOption,
    JsonOption,
    complain,
    now,
    print_json,
    shown,
)
from safelist.errors import PermissionDeniedError, UsageError
from safelist.override import sentence
from safelist.override_file import Format, place
from safelist.runs import overrides
from safelist.runs.overrides import Consent, MadeFrom, OverrideFile


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="FILE.csv or FILE.json, or - for standard input.")],
    format_: Annotated[
        Format | None, typer.Option("--format", help="How it is written. Default: as the file's name ends.")
    ] = None,
    i_understand: UnderstandOption = False,
    replace: ReplaceOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; write nothing.")] = False,
    actor: ActorOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make every override of a file, or none: the columns are those of `safelist override export`."""
    name, written = "standard input" if file == "-" else file, format_ or _format_of(file)
    config, consent, by = load_config(config_file), Consent(i_understand, replace), recorded_actor(actor)
    given = OverrideFile(name, written, _data_of(file))
    with store.open_store(config.database.url) as opened:
        done = overrides.make_all(opened, config, given, now(), by, consent, dry_run=dry_run)
    if json:
        rows = [json_form.made_from(place(given.format, row.at), made, notes) for row, made, notes in done]
        print_json({"dry_run": dry_run, "overrides": rows})
    else:
        _report(given, done, dry_run=dry_run)
    for line in overrides.notes_once(given, done):
        complain(line)


def _format_of(file: str) -> Format:
    suffix = Path(file).suffix.lower().removeprefix(".")
    if suffix not in tuple(Format):
        raise UsageError(f"import: the name {file!r} ends in neither .csv nor .json; say with --format what it is")
    return Format(suffix)


def _data_of(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(override_file.MAX_BYTES + 1)
        with Path(file).open("rb") as opened:
            return opened.read(override_file.MAX_BYTES + 1)
    except PermissionError:
        raise PermissionDeniedError(f"{file}: may not be read by this user") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None


def _report(file: OverrideFile, done: Sequence[MadeFrom], *, dry_run: bool) -> None:
    new = [made for _, made, _ in done if made.is_new]
    for made in new if dry_run else ():
        instead = f" instead of override {made.replaced.id}" if made.replaced else ""
        print(shown(f"+ {sentence(made.override.terms)}{instead}"))
    verb, rest = "would be made" if dry_run else "made", len(done) - len(new)
    print(shown(f"{file.name}: {len(new)} overrides {verb}, {rest} in force already; they count {FROM_WHEN}"))


def export(
    config_file: ConfigOption = None, database: DatabaseOption = None, json: JsonOption = False, csv: CsvOption = False
) -> None:
    """Every override that is in force, as `safelist override import` reads it; as CSV unless --json is there."""
    if json and csv:
        raise UsageError("--json and --csv: write one of them")
    at = now()
    with store.open_store(database_url(config_file, database)) as opened:
        found = [override.terms for override in opened.overrides() if override.in_force(at)]
    if json:
        print_json([override_file.as_json(terms) for terms in found])
    else:
        _write(override_file.as_csv(found))


def _write(text: str) -> None:
    """As UTF-8, whatever the terminal's encoding is: that is what the import reads."""
    sys.stdout.buffer.write("\n".join(map(shown, text.split("\n"))).encode())
