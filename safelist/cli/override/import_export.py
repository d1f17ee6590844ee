"""``safelist override import`` and ``export``: many at once, as CSV or JSON."""

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from safelist import override_file, store
from safelist.cli.configuration import load_config
from safelist.cli.override.notes import Context, notes
from safelist.cli.override.options import (
    FROM_WHEN,
    Manner,
    ReplaceOption,
    UnderstandOption,
    circumstances,
    objections,
    recorded_actor,
)
from safelist.cli.terminal import ActorOption, ConfigOption, CsvOption, JsonOption, complain, now, print_json, shown
from safelist.errors import PermissionDeniedError, UsageError
from safelist.override import sentence
from safelist.override_file import FileContent, FileFault, FileRow, Format, place
from safelist.policy import Settings
from safelist.store import ContradictionError, Made, Store


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
    manner = Manner(i_understand, replace, actor, config_file, json, dry_run)
    source = _Source("standard input" if file == "-" else file, format_ or _format_of(file))
    config, at, by = load_config(config_file), now(), recorded_actor(actor)
    data = _data_of(file)
    with store.open_store(config.database.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        content = override_file.read(data, source.format, circumstances(config, settings, at))
        _refuse(content, settings, source, i_understand=i_understand)
        done = _make(opened, content.rows, source, at, by, manner)
        found = notes(done, Context(opened, config, settings, opened.newest(now())))
    _report(source, content.rows, done, found, manner)
    for line in _said(source, content.rows, found):
        complain(line)


class _Source(NamedTuple):
    name: str
    format: Format


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


def _refuse(content: FileContent, settings: Settings, source: _Source, *, i_understand: bool) -> None:
    """Raises UsageError with everything that speaks against the import, in the order of the lines."""
    faults = content.faults + [
        FileFault(at, objection)
        for at, terms in content.rows
        for objection in objections(terms, settings, i_understand=i_understand)
    ]
    if faults:
        faults.sort(key=lambda fault: fault.at)
        raise UsageError("\n".join(_located(source, *fault) for fault in faults))


def _located(source: _Source, at: int, sentence: str) -> str:
    return f"{source.name}: {f'{place(source.format, at)}: ' if at else ''}{sentence}"


def _make(
    opened: Store, rows: Sequence[FileRow], source: _Source, at: datetime, by: str, manner: Manner
) -> list[Made]:  # fmt: skip
    given = [row.terms for row in rows]
    try:
        return opened.make_overrides(given, at, by, replace=manner.replace, dry_run=manner.dry_run)
    except ContradictionError as error:
        said = zip(error.found, str(error).split("\n"), strict=True)
        lines = (_located(source, rows[contradiction.at].at, line) for contradiction, line in said)
        raise UsageError("\n".join(lines)) from None


def _said(source: _Source, rows: Sequence[FileRow], found: Sequence[Sequence[str]]) -> Iterator[str]:
    """Each note once, with the first of the lines that it is about."""
    about: dict[str, list[int]] = {}
    for row, notes_ in zip(rows, found, strict=True):
        for note in notes_:
            about.setdefault(note, []).append(row.at)
    for note, lines in about.items():
        more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
        yield f"{source.name}: {place(source.format, lines[0])}{more}: note: {note}"


def _report(
    source: _Source, rows: Sequence[FileRow], done: Sequence[Made], found: Sequence[Sequence[str]], manner: Manner
) -> None:  # fmt: skip
    if manner.json:
        outcomes = [
            _outcome(source, row, made) | {"notes": list(said)}
            for row, made, said in zip(rows, done, found, strict=True)
        ]
        print_json({"dry_run": manner.dry_run, "overrides": outcomes})
        return
    new = [made for made in done if made.is_new]
    for made in new if manner.dry_run else ():
        instead = f" instead of override {made.replaced.id}" if made.replaced else ""
        print(shown(f"+ {sentence(made.override.terms)}{instead}"))
    verb, rest = "would be made" if manner.dry_run else "made", len(done) - len(new)
    print(shown(f"{source.name}: {len(new)} overrides {verb}, {rest} in force already; they count {FROM_WHEN}"))


def _outcome(source: _Source, row: FileRow, made: Made) -> dict[str, Any]:
    outcome = ("replaced" if made.replaced else "made") if made.is_new else "unchanged"
    return {
        "at": place(source.format, row.at),
        "outcome": outcome,
        "override": made.override.id,
        "replaced": made.replaced.id if made.replaced else None,
    }


def export(config_file: ConfigOption = None, json: JsonOption = False, csv: CsvOption = False) -> None:
    """Every override that is in force, as `safelist override import` reads it; as CSV unless --json is there."""
    if json and csv:
        raise UsageError("--json and --csv: write one of them")
    at = now()
    with store.open_store(load_config(config_file).database.url) as opened:
        found = [override.terms for override in opened.overrides() if override.in_force(at)]
    if json:
        print_json([override_file.as_json(terms) for terms in found])
    else:
        _write(override_file.as_csv(found))


def _write(text: str) -> None:
    """As UTF-8, whatever the terminal's encoding is: that is what the import reads."""
    sys.stdout.buffer.write("\n".join(map(shown, text.split("\n"))).encode())
