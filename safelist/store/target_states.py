"""What each target was when it was last known to be right: replaced at every publication, outside the chain."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from safelist.store.reading import seconds
from safelist.store.recording import storable
from safelist.store.schema import target_state
from safelist.store.values import PublishedFile, TargetState

_OF = (target_state.c.target == bindparam("of"), target_state.c.path == bindparam("at"))
_SELECT = select(target_state).where(*_OF)
_REPLACE = (
    update(target_state)
    .where(*_OF)
    .values(confirmed=bindparam("when"), entries=bindparam("number"), files=bindparam("content"))
)
_NEW = insert(target_state)


def load(connection: Connection, target: str, path: str) -> TargetState | None:
    """The newest of that target; None where it was never published, or only by a version that did not note it."""
    row = connection.execute(_SELECT, {"of": target, "at": storable(path)}).one_or_none()
    if row is None:
        return None
    files = tuple(PublishedFile(name, digest, tuple(opened)) for name, digest, opened in json.loads(row.files))
    return TargetState(target, path, datetime.fromtimestamp(row.confirmed, UTC), row.entries, files)


def confirm(connection: Connection, state: TargetState) -> None:
    """Note what the target is now."""
    files, path = json.dumps(state.files), storable(state.path)
    values: dict[str, Any] = {"confirmed": seconds(state.confirmed), "entries": state.entries, "files": files}
    given = {"of": state.target, "at": path, "when": values["confirmed"], "number": state.entries, "content": files}
    if not connection.execute(_REPLACE, given).rowcount:
        connection.execute(_NEW, values | {"target": state.target, "path": path})
