"""amavisd's tables as its documentation has them (README.sql-pg), as far as its look-ups ask them, with rows of a site.

The site has its own rows for the desk, for everybody and for two senders, all of them older than safelist's.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from safelist.publisher import wblist_tables
from safelist.publisher.wblist_tables import SET_UP

_TABLES = """\
CREATE TABLE policy (
  id {serial}, policy_name varchar(32), spam_lover char(1) DEFAULT NULL, bypass_spam_checks char(1) DEFAULT NULL,
  spam_tag2_level real DEFAULT NULL, spam_kill_level real DEFAULT NULL
);
CREATE TABLE users (
  id {serial}, priority integer NOT NULL DEFAULT 7,
  policy_id integer NOT NULL DEFAULT 1 CHECK (policy_id >= 0) REFERENCES policy (id),
  email {email} NOT NULL UNIQUE, fullname varchar(255) DEFAULT NULL
);
CREATE TABLE mailaddr (id {serial}, priority integer NOT NULL DEFAULT 9, email {email} NOT NULL UNIQUE);
CREATE TABLE wblist (
  rid integer NOT NULL REFERENCES users (id), sid integer NOT NULL REFERENCES mailaddr (id), wb varchar(10) NOT NULL,
  PRIMARY KEY (rid, sid)
);
INSERT INTO policy (policy_name, spam_tag2_level) VALUES ('the site''s', 5);
"""
KINDS = {
    "postgresql": {"serial": "serial PRIMARY KEY", "email": "bytea"},
    "postgresql, text": {"serial": "serial PRIMARY KEY", "email": "varchar(255)"},
    "sqlite": {"serial": "integer PRIMARY KEY AUTOINCREMENT", "email": "varchar(255)"},
}
TABLES = ("policy", "users", "mailaddr", "wblist", "safelist_mailaddr", "safelist_wblist")


def statements(kind: str, *, with_ours: bool = True) -> list[str]:
    """What makes the tables, safelist's own among them."""
    return _split(_TABLES.format(**KINDS[kind])) + (set_up() if with_ours else [])


def set_up() -> list[str]:
    """What makes safelist's own."""
    return _split(SET_UP)


def _split(script: str) -> list[str]:
    return [each for each in script.split(";\n") if each.strip()]


def run(url: str, statements_: Sequence[str]) -> None:
    """Run them as the site would."""
    with wblist_tables.connected(wblist_tables.parse(url), writes=True) as connection:
        for each in statements_:
            connection.execute(text(each))
        connection.commit()


def rows(url: str, table: str) -> list[tuple[Any, ...]]:
    """Every row of it, sorted."""
    return sorted(asked(url, f"SELECT * FROM {table}"))


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    """The rows that it finds."""
    with wblist_tables.connected(wblist_tables.parse(url), writes=False) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table: what "nothing was written" compares."""
    return {name: rows(url, name) for name in TABLES}
