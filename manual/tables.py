"""What the pages take from the documents, so that it is said once."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def rows(page: str) -> Iterator[tuple[str, str]]:
    """The first two cells of every row of a page's tables, without their heads."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for found in re.finditer(r"^\| (.+?) \| (.+?) \|", text, re.MULTILINE):
        yield found[1], found[2]


def exit_codes() -> list[tuple[str, str]]:
    """Each exit code with its meaning."""
    return [row for row in rows("reference/exit-codes.md") if row[0].isdigit()]


def invocations(command: str) -> list[tuple[str, str]]:
    """What the table of commands says of ``safelist sync``: each line to type, and what it does."""
    found = ((typed.strip("`"), does) for typed, does in rows("reference/commands.md"))
    return [(typed, does) for typed, does in found if f"{typed} ".startswith(f"{command} ")]
