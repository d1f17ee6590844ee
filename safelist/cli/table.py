"""Tables at the terminal. What draws them is imported with the first one: ``--json`` and ``--csv`` need none."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from safelist.cli.terminal import shown

if TYPE_CHECKING:
    from rich.console import Console


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of texts, each made safe to print; columns that are empty are left out, and no text is ever cut.

    On a terminal the widest columns are folded into its width. A pipe has none: a row is a line there.
    """
    table = [tuple(columns), *(tuple(map(shown, row)) for row in rows)]
    if len(table) == 1:
        return
    from rich.cells import cell_len
    from rich.console import Console

    used = [at for at in range(len(columns)) if any(row[at] for row in table[1:])]
    console = Console(highlight=False, markup=False, soft_wrap=True)
    widths = _fitted([max(cell_len(row[at]) for row in table) for at in used], console)
    for number, row in enumerate(table[0 if any(columns) else 1 :]):
        style = "bold" if any(columns) and number == 0 else None
        for cells in zip_longest(*(_folded(row[at], width) for at, width in zip(used, widths, strict=True))):
            texts = (text + " " * (width - cell_len(text)) for text, width in _sized(cells, widths))
            console.print("  ".join(texts).rstrip(), style=style)


_NARROWEST = 10


def _fitted(widths: list[int], console: "Console") -> list[int]:
    """The widths of columns that share the terminal: the widest gives way first."""
    room = console.width - 2 * (len(widths) - 1)
    while console.is_terminal and sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _folded(text: str, width: int) -> list[str]:
    """The lines of a cell: broken between words, and inside one that is too long."""
    from rich.cells import cell_len, chop_cells

    if cell_len(text) <= width:
        return [text]
    return [part for line in textwrap.wrap(text, width) for part in chop_cells(line, width)]


def _sized(cells: Sequence[str | None], widths: Sequence[int]) -> Iterator[tuple[str, int]]:
    return ((text or "", width) for text, width in zip(cells, widths, strict=True))
