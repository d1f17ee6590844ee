"""The only SQL that differs between databases: a column's value is one of many, sent as one parameter.

SQLite takes them as JSON (the fastest way into it), PostgreSQL as an array.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ARRAY, ColumnElement, bindparam, func, select

Value = TypeVar("Value", int, str)

_AT_ONCE = 1000


class Among(NamedTuple):
    """``test(column, name)`` is the condition; the parameter ``name`` is what ``pack`` makes of the values."""

    test: Callable[[ColumnElement[Any], str], ColumnElement[bool]]
    pack: Callable[[Sequence[Any]], object]


def _in_json(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))


def _pack_json(values: Sequence[Any]) -> str:
    return json.dumps(values, ensure_ascii=False)


def _in_array(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    # As a sub-select: "= ANY(array)" is checked row by row where PostgreSQL does not know the table's size yet.
    return column.in_(select(func.unnest(bindparam(name, type_=ARRAY(column.type)))))


_OF_DIALECT = {"sqlite": Among(_in_json, _pack_json), "postgresql": Among(_in_array, list)}


def among_for(dialect: str) -> Among:
    """The way that suits SQLAlchemy's dialect of that name."""
    return _OF_DIALECT[dialect]


def portions(values: Iterable[Value]) -> Iterator[list[Value]]:
    """The values in portions that every database takes in one statement."""
    rest = iter(values)
    while portion := list(islice(rest, _AT_ONCE)):
        yield portion
