"""``safelist audit search``: mailboxes, overrides and senders by a part of their address."""

from typing import Annotated

import typer

from safelist import store
from safelist.audit import json_form, position_text
from safelist.audit.search_parts import search_parts
from safelist.cli.audit.options import print_answer
from safelist.cli.audit.pages import AfterOption, LimitOption, Rows, page
from safelist.cli.configuration import database_url
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, DatabaseOption, JsonOption, complain
from safelist.errors import UsageError
from safelist.store import FoundKind

_SAID = {
    FoundKind.MAILBOX: ("entry", "entries"),
    FoundKind.OVERRIDE: ("override", "overrides"),
    FoundKind.SENDER: ("mailbox trusts it", "mailboxes trust it"),
}


def search(
    part: Annotated[str, typer.Argument(metavar="PART", help="Of an address or a domain, wherever it stands in it.")],
    limit: LimitOption = 50,
    after: AfterOption = None,
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Mailboxes, overrides and senders whose address or domain contains PART, for `who`, `why` and `mailbox`."""
    wanted = page(limit, after, position_text.FOUND)
    with store.open_store(database_url(config_file, database)) as opened:
        rows = Rows(map(json_form.found, opened.search(_parts(part), wanted)), limit)
    print_answer(json, csv, lambda: list(rows), json_form.FOUND, lambda: rows, lambda: _print(part, rows))
    rows.say_more()


def _parts(text: str) -> list[str]:
    if not text.strip():
        raise UsageError("search: PART is empty, write some letters of an address")
    return search_parts(text)


def _print(part: str, rows: Rows) -> None:
    texts = [(row["what"], row["address"], _said(FoundKind(row["what"]), row["count"])) for row in rows]
    if not texts:
        complain(f"nobody and nothing that is known contains {part!r}")
    print_table(("what", "address", "of it"), texts)


def _said(kind: FoundKind, count: int) -> str:
    one, many = _SAID[kind]
    return f"{count:,} {one if count == 1 else many}"
