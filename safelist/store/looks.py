"""Who looked at lists that are not their own: appended to the history, and never taken out of it."""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from safelist.store import chain
from safelist.store.reading import seconds
from safelist.store.recording import storable
from safelist.store.schema import change_set, look, run
from safelist.store.values import Look

_LONGEST = 320
"""Characters of a mailbox or a sender, as everywhere in the schema."""
_NEW = insert(look)
ALL = (
    select(change_set.c.at, change_set.c.id, run.c.actor, run.c.id, *(look.c[name] for name in Look._fields))
    .join_from(look, change_set, look.c.change_set_id == change_set.c.id)
    .join(run, change_set.c.run_id == run.c.id)
    .order_by(change_set.c.at, change_set.c.id)
)
"""When, in which change set, by whom, in which run, and the fields of a look."""


def note(connection: Connection, run_id: int, now: datetime, shown: Look) -> None:
    """Append that whoever the run names was shown that."""
    row = shown._asdict() | {"mailbox": _cut(shown.mailbox), "sender": _cut(shown.sender)}
    content = {"looked": [[row[name] for name in chain.LOOKED]]}
    change = chain.append(connection, chain.ChangeKind.LOOK, seconds(now), run_id, content)
    connection.execute(_NEW, row | {"change_set_id": change})


def _cut(text: str | None) -> str | None:
    return None if text is None else storable(text)[:_LONGEST]
