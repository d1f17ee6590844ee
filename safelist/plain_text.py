"""Text from outside as a terminal or a spreadsheet may have it. Pure."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shown(text: str) -> str:
    """``text`` from outside, safe to print: control characters (escape sequences, line breaks) become visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write the rows under those columns. What a spreadsheet would take for a formula gets an apostrophe in front."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])


def _cell(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else shown(str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text
