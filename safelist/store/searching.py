"""Finding addresses and domains by a part of them: mailboxes, then overrides, then senders; each by its text.

A part may stand anywhere in a text, so every text is looked at; those of ten million entries are some 300,000.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal, or_, select

from safelist.store.position import AnswerPage, behind
from safelist.store.schema import mailbox, override, pattern
from safelist.store.values import Found, FoundKind

_KINDS = tuple(FoundKind)
"""In the order of the answer."""


def search(connection: Connection, parts: Sequence[str], page: AnswerPage) -> Iterator[Found]:
    """What contains one of the ``parts``, whatever the case of its letters."""
    left = page.limit
    first, *rest = page.behind or (0,)
    for number, kind in list(enumerate(_KINDS))[int(first) :]:
        statement, order = _SOURCES[kind]
        statement = statement.where(_holds(order[0], parts)).order_by(*order).limit(left)
        if rest and number == first:
            statement = statement.where(behind(order, tuple(rest[: len(order)])))
        found = connection.execute(statement).all()
        for text, form, count in found:
            yield Found(kind, text, count, (number, text, form))
        left = None if left is None else left - len(found)


def _holds(column: ColumnElement[str], parts: Sequence[str]) -> ColumnElement[bool]:
    return or_(*(column.icontains(part, autoescape=True) for part in parts))


_SOURCES: dict[FoundKind, tuple[Select[Any], Sequence[ColumnElement[Any]]]] = {
    FoundKind.MAILBOX: (select(mailbox.c.address, literal(0), mailbox.c.entries), (mailbox.c.address,)),
    FoundKind.OVERRIDE: (
        select(override.c.text, override.c.form, func.count()).group_by(override.c.text, override.c.form),
        (override.c.text, override.c.form),
    ),
    FoundKind.SENDER: (select(pattern.c.text, pattern.c.form, pattern.c.trusted_by), (pattern.c.text, pattern.c.form)),
}
