"""What every command shares at the terminal: the common options, JSON, CSV and one line per problem."""

import getpass
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

import safelist
from safelist.plain_text import shown as shown  # what every command prints by
from safelist.plain_text import write_csv

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="SAFELIST_CONFIG", show_default=False, metavar="FILE", readable=False,
        help="The configuration file. Default: /etc/safelist/safelist.toml for root, else in ~/.config/safelist.",
    ),
]  # fmt: skip
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="FILE|URL", show_default=False,
        help="Ask this database, such as a backup, and only read it. Default: the configured one.",
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


def complain(message: str) -> None:
    """Print one line per problem on standard error; no work is left undone because nobody can read there any more."""
    with suppress(OSError):  # a pipe without a reader, a full disk
        for line in message.split("\n"):
            print(f"safelist: {shown(line)}", file=sys.stderr, flush=True)


def say(message: str, *, is_answer: bool = False) -> None:
    """Print lines for a person: silent where nobody looks (cron), unless they are what the command was asked for."""
    if is_answer or sys.stdout.isatty():
        print("\n".join(map(shown, message.split("\n"))))


def print_json(value: object) -> None:
    """Print ``value`` as one JSON document, in ASCII: no terminal can be fooled by it."""
    print(json.dumps(value, indent=2))


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Print the rows under those columns, as a spreadsheet may have them."""
    write_csv(sys.stdout, columns, rows)


def day(moment: datetime | None) -> str:
    """A date for a table, in UTC."""
    return moment.strftime("%Y-%m-%d") if moment else ""
