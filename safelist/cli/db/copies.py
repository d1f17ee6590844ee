"""``safelist db copy``, ``backup`` and ``restore``: the whole aggregate in another place."""

import grp
from pathlib import Path
from typing import Annotated

import typer

from safelist import store
from safelist.cli.configuration import database_url, load_config, url_of, url_to_read
from safelist.cli.terminal import ConfigOption, DatabaseOption, JsonOption, now, print_json, say
from safelist.errors import UsageError
from safelist.store import Copied


def copy(
    target: Annotated[
        str, typer.Argument(metavar="URL", help="Of an empty database; a password belongs in ~/.pgpass, not here.")
    ],
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the whole aggregate, with its history and its chain, into an empty database of either kind; verified."""
    source, to = database_url(config_file, database), url_of(target)
    with store.hold(to, "db copy", now()):
        copied = store.copy(source, to, _tell)
    _report(source, to, copied, json=json)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `safelist db backup` wrote it.")],
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Copy a backup into the configured database, which must be empty or not there yet; verified."""
    source, to = url_to_read(str(file), "FILE"), load_config(config_file).database.url
    with store.hold(to, "db restore", now()):
        copied = store.copy(source, to, _tell)
    _report(source, to, copied, json=json)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; only its owner may read it.")],
    replace: Annotated[bool, typer.Option("--replace", help="A file of that name is replaced, once this is whole.")] = (
        False
    ),
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="This group may read it, too, such as that of the auditors.")
    ] = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write the whole aggregate into one SQLite file, also while a run goes on; verified before it gets its name."""
    source = load_config(config_file).database.url
    copied = store.backup(source, file, replace=replace, group=None if group is None else _number_of(group))
    _report(source, store.url_of_file(file), copied, json=json)


def _number_of(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"--group: there is no group {group!r}; create it with `groupadd {group}`") from None


def _tell(table: str, rows: int) -> None:
    if rows:
        say(f"copied {rows:,} rows of {table.replace('_', ' ')}")


def _report(source: str, target: str, copied: Copied, *, json: bool) -> None:
    from_, to = store.shown_url(source), store.shown_url(target)
    if json:
        print_json({"from": from_, "to": to, "rows": dict(copied.rows), "change_sets": copied.change_sets}
                   | {"head": copied.head})  # fmt: skip
        return
    figures = f"{copied.rows['mailbox']:,} mailboxes, {copied.rows['entry']:,} entries, {copied.change_sets:,}"
    say(f"{to}: holds what {from_} held: {figures} change sets, unbroken; head: {copied.head}")
