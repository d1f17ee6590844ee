"""What every command shares at the terminal: the common options, tables, JSON and one line per problem."""

import csv
import getpass
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.cells import cell_len, chop_cells
from rich.console import Console

import safelist
from safelist import config, sender
from safelist.errors import UsageError
from safelist.publisher.targets import NAMES

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="SAFELIST_CONFIG", show_default=False, metavar="FILE", readable=False,
        help="The configuration file. Default: /etc/safelist/safelist.toml for root, else in ~/.config/safelist.",
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON value on standard output.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print the answer as CSV on standard output.")]
ActorOption = Annotated[
    str | None,
    typer.Option("--actor", metavar="NAME", help="On whose behalf, for automation; recorded beside the login."),
]


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"safelist {safelist.__version__}")
        raise typer.Exit


def version_option(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Outlook's safe senders, collected over EWS and published to the filters that reject by DNS blocklists."""


def target_sections() -> dict[str, type[BaseModel]]:
    """The model of each target's section ``[publish.NAME]``."""
    return {name: target.Settings for name, target in NAMES.items()}


def load_config(path: Path | None) -> config.Config:
    """The configuration that ``--config`` names, or the default one."""
    return config.load(path or config.default_path(), target_sections())


def addresses_in(texts: Iterable[str], option: str) -> list[str]:
    """The normalised addresses that ``option`` names, each once."""
    patterns = [(text, sender.typed(text)) for text in texts]
    for text, pattern in patterns:
        if pattern.form is not sender.Form.ADDRESS:
            raise UsageError(f"{option}: {text!r} is not an e-mail address")
    return list(dict.fromkeys(pattern.text for _, pattern in patterns))


def now() -> datetime:
    """The moment, in UTC; the only clock of the commands."""
    return datetime.now(UTC)


def actor() -> str:
    """Who runs the command: the login behind sudo, else the login."""
    if sudo := os.environ.get("SUDO_USER"):
        return shown(sudo)[:100]
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def shown(text: str) -> str:
    """``text`` from outside, safe to print: control characters (escape sequences, line breaks) become visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def complain(message: str) -> None:
    """One line per problem on standard error; no work is left undone because nobody reads there any more."""
    with suppress(BrokenPipeError):
        for line in message.split("\n"):
            print(f"safelist: {shown(line)}", file=sys.stderr, flush=True)


def say(message: str, *, is_answer: bool = False) -> None:
    """A line for a person: silent where nobody looks (cron), unless it is what the command was asked for."""
    if is_answer or sys.stdout.isatty():
        print(shown(message))


def print_json(value: object) -> None:
    """``value`` as one JSON document, in ASCII: no terminal can be fooled by it."""
    print(json.dumps(value, indent=2))


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """The rows under those columns. What a spreadsheet would take for a formula gets an apostrophe in front."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])


def _cell(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else shown(str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of texts, each made safe to print; columns that are empty are left out, and no text is ever cut.

    On a terminal the widest columns are folded into its width. A pipe has none: a row is a line there.
    """
    table = [tuple(columns), *(tuple(map(shown, row)) for row in rows)]
    if len(table) == 1:
        return
    used = [at for at in range(len(columns)) if any(row[at] for row in table[1:])]
    console = Console(highlight=False, markup=False, soft_wrap=True)
    widths = _fitted([max(cell_len(row[at]) for row in table) for at in used], console)
    for number, row in enumerate(table[0 if any(columns) else 1 :]):
        style = "bold" if any(columns) and number == 0 else None
        for cells in zip_longest(*(_folded(row[at], width) for at, width in zip(used, widths, strict=True))):
            texts = (text + " " * (width - cell_len(text)) for text, width in _sized(cells, widths))
            console.print("  ".join(texts).rstrip(), style=style)


_NARROWEST = 10


def _fitted(widths: list[int], console: Console) -> list[int]:
    """The widths of columns that share the terminal: the widest gives way first."""
    room = console.width - 2 * (len(widths) - 1)
    while console.is_terminal and sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _folded(text: str, width: int) -> list[str]:
    """The lines of a cell: broken between words, and inside one that is too long."""
    if cell_len(text) <= width:
        return [text]
    return [part for line in textwrap.wrap(text, width) for part in chop_cells(line, width)]


def _sized(cells: Sequence[str | None], widths: Sequence[int]) -> Iterator[tuple[str, int]]:
    return ((text or "", width) for text, width in zip(cells, widths, strict=True))


def day(moment: datetime | None) -> str:
    """A date for a table, in UTC."""
    return moment.strftime("%Y-%m-%d") if moment else ""
