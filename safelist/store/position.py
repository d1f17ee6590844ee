"""Where an answer that comes in pages goes on: behind the row with those values, in the order of those columns.

A page that is asked for by its number has to read all before it, and what is recorded meanwhile shifts it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, tuple_

Position = tuple[int | str, ...]
"""The values by which the rows of an answer are ordered; no two rows have the same."""


class AnswerPage(NamedTuple):
    """So many rows at most (None: all), ``behind`` that position (none: from the beginning)."""

    limit: int | None = None
    behind: Position = ()


ALL = AnswerPage()


def behind(columns: Sequence[ColumnElement[int] | ColumnElement[str]], position: Position) -> ColumnElement[bool]:
    """Whether a row comes later than ``position``, by all columns together."""
    return tuple_(*columns) > position
