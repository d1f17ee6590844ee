"""What a process may do to the database that reads it and records looks: sqlite.org/c3ref/set_authorizer.html. Pure."""

import sqlite3

_READING = frozenset({
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
})  # fmt: skip
_APPENDED = frozenset({"run", "change_set", "look"})
_UPDATED = frozenset({
    ("chain", "change_set_id"), ("chain", "digest"), ("run", "finished"), ("run", "counts"), ("run", "problem"),
})  # fmt: skip
_ASKED = frozenset({"table_info", "table_xinfo", "read_uncommitted"})
"""Pragmas that tell of tables, and one that SQLAlchemy reads; there is no shared cache that it could change."""


def authorized(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Whether a statement may be prepared: SQLITE_OK, or SQLITE_DENY for all but reading and a look's rows."""
    is_fine = (
        action in _READING
        or (action == sqlite3.SQLITE_INSERT and first in _APPENDED)
        or (action == sqlite3.SQLITE_UPDATE and (first, second) in _UPDATED)
        or (action == sqlite3.SQLITE_PRAGMA and first in _ASKED)
    )
    return sqlite3.SQLITE_OK if is_fine else sqlite3.SQLITE_DENY
