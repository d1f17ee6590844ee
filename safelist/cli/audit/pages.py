"""Answers in pages: how many rows, and behind which one; what is printed where there are more."""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Annotated, Any

import typer

from safelist.audit import position_text
from safelist.audit.position_text import Shape
from safelist.cli.terminal import complain
from safelist.errors import UsageError
from safelist.store import AnswerPage

LimitOption = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, max=1_000_000, help="So many rows at most.")
]
AfterOption = Annotated[
    str | None,
    typer.Option("--after", metavar="POSITION", help="Go on behind this row, the last one of the page before."),
]


def page(limit: int | None, after: str | None, shapes: Collection[Shape]) -> AnswerPage:
    """The page that the options ask for, and one row more, which says that there are more. Raises UsageError."""
    try:
        behind = () if after is None else position_text.read(after, shapes)
    except ValueError:
        raise UsageError(
            f"--after: {after!r} is no position of this answer; copy it from the last row of the page before"
        ) from None
    return AnswerPage(None if limit is None else limit + 1, behind)


class Rows:
    """The rows of one page."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], limit: int | None) -> None:
        self._limit = limit
        self._rows = rows if limit is None else list(islice(rows, limit + 1))

    def __iter__(self) -> Any:
        return islice(self._rows, self._limit)

    def say_more(self) -> None:
        """Say on standard error how the next page is asked for, where there is one."""
        if isinstance(self._rows, list) and self._limit is not None and len(self._rows) > self._limit:
            complain(f"there is more: add --after {self._rows[self._limit - 1]['position']}")
