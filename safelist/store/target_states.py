"""What each target was when it was last known to be right: replaced at every publication, outside the chain."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from safelist.store.reading import seconds
from safelist.store.recording import storable
from safelist.store.schema import run, target_state
from safelist.store.values import PublishedFile, TargetState

_OF = (target_state.c.target == bindparam("of"), target_state.c.path == bindparam("at"))
_SELECT = select(target_state).where(*_OF)
_REPLACE = (
    update(target_state)
    .where(*_OF)
    .values(
        confirmed=bindparam("when"),
        entries=bindparam("number"),
        files=bindparam("content"),
        after_run=bindparam("newest"),
    )
)
_NEW = insert(target_state)
_NEWEST_RUN = select(func.coalesce(func.max(run.c.id), 0))


def load(connection: Connection, target: str, path: str) -> TargetState | None:
    """The newest of that target; None where it was never published, or only by a version that did not note it."""
    row = connection.execute(_SELECT, {"of": target, "at": storable(path)}).one_or_none()
    if row is None:
        return None
    files = tuple(PublishedFile(name, digest, tuple(opened)) for name, digest, opened in json.loads(row.files))
    return TargetState(target, path, datetime.fromtimestamp(row.confirmed, UTC), row.entries, files, row.after_run)


def confirm(connection: Connection, state: TargetState) -> None:
    """Note what the target is now: a failure of it that a later run records is a newer one, within a second, too."""
    newest, path = connection.execute(_NEWEST_RUN).scalar_one(), storable(state.path)
    values: dict[str, Any] = {
        "confirmed": seconds(state.confirmed), "entries": state.entries, "files": json.dumps(state.files),
        "after_run": newest,
    }  # fmt: skip
    given = {
        "of": state.target, "at": path, "when": values["confirmed"], "number": values["entries"],
        "content": values["files"], "newest": newest,
    }  # fmt: skip
    if not connection.execute(_REPLACE, given).rowcount:
        connection.execute(_NEW, values | {"target": state.target, "path": path})
