"""Holds the rejections of all logs, each mail once, in a database of its own that ends with the process.

SQLite keeps it in memory and, where that grows, in a file that nobody else can name: a log has more mails than memory
should have to hold, and nothing of them is to stay behind.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from itertools import islice
from typing import Any, NamedTuple, Self

from safelist.rejections.mail_row import COLUMNS, MailRow, MailRows, rejection_of
from safelist.rejections.providers import UNNAMED
from safelist.rejections.rejection import Rejection

_AT_ONCE = 2000
_TABLE = f"""
CREATE TABLE mail (
    id INTEGER PRIMARY KEY, mark TEXT UNIQUE NOT NULL, day TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 1,
    domain TEXT, rescue TEXT, reason TEXT, authentication TEXT, proof TEXT, {", ".join(COLUMNS)}
)
"""
_BETTER = (
    "(kind = 'warned' AND excluded.kind <> 'warned') "
    f"OR ((provider IS NULL AND excluded.provider IS NOT NULL OR provider = '{UNNAMED}' "
    f"AND excluded.provider <> '{UNNAMED}') AND (kind = 'warned' OR excluded.kind <> 'warned'))"
)
_BY_LIST = f"CASE WHEN {_BETTER} THEN excluded.{{0}} ELSE {{0}} END"
_ADD = f"""
INSERT INTO mail (mark, day, domain, {", ".join(COLUMNS)}) VALUES (?, ?, ?, {", ".join("?" for _ in COLUMNS)})
ON CONFLICT (mark) DO UPDATE SET attempts = attempts + 1,
    {", ".join(f"{each} = {_BY_LIST.format(each)}" for each in COLUMNS)}
"""  # noqa: S608 (names of columns)
_ALL = f"SELECT id, day, attempts, rescue, reason, proof, {', '.join(COLUMNS)} FROM mail"  # noqa: S608 (names of columns)
_FORGET_DOUBLES = """
DELETE FROM mail WHERE recipient IS NULL AND stage = 'message' AND EXISTS (
    SELECT * FROM mail AS other
    WHERE other.mark > substr(mail.mark, 1, length(mail.mark) - 1)
        AND other.mark < substr(mail.mark, 1, length(mail.mark) - 1) || char(1114111)
        AND other.at = mail.at AND other.recipient IS NOT NULL AND other.stage = 'message'
        AND other.reply = mail.reply
)
"""
"""A mark ends with the recipient: others of the same day, client and sender begin like it."""


class RefusedMail(NamedTuple):
    """One mail: the refusal that is told of it, the day in the zone of the logs, and how often it was refused then.

    ``rescue`` and ``reason`` are what :meth:`CollectedMails.judge` noted, ``spf_today`` is the result of SPF that
    :meth:`CollectedMails.prove` noted.
    """

    id: int
    day: str
    attempts: int
    rescue: str | None
    reason: str | None
    spf_today: str | None
    rejection: Rejection


class CollectedMails:
    """Every mail once: retries of a client for one sender and one recipient on one day are one.

    Where a mail was refused for several reasons, the DNS blocklist is the one that is told, one with a name before
    one without (of Exchange's logs only that of the agents names it); and where it was refused,
    nothing is told of what a server only warned of.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._rows = MailRows(zone)
        self._connection = sqlite3.connect("", isolation_level=None)
        for setting in ("temp_store = FILE", "synchronous = OFF", "journal_mode = OFF"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.execute(_TABLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add(self, rejections: Iterable[Rejection]) -> None:
        """Take them in."""
        self.add_rows(map(self.row_of, rejections))

    def row_of(self, rejection: Rejection) -> MailRow:
        """What :meth:`add_rows` takes; another process may make it."""
        return self._rows.row_of(rejection)

    def add_rows(self, rows: Iterable[MailRow]) -> None:
        """Take them in."""
        left = iter(rows)
        while some := list(islice(left, _AT_ONCE)):
            self._write(_ADD, some)

    def _write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany(statement, rows)
        self._connection.execute("COMMIT")

    def day_of(self, at: datetime) -> str:
        """The day of a moment in the zone of the logs, as it is in :class:`RefusedMail`."""
        return self._rows.day_of(at)

    def mails(self, where: str = "TRUE") -> Iterator[RefusedMail]:
        """Those for which the condition ``where`` of SQL holds, by time."""
        for row in self._connection.execute(f"{_ALL} WHERE {where} ORDER BY at, id"):
            yield _mail(*row)

    def portions(self, where: str, size: int) -> Iterator[list[RefusedMail]]:
        """Those for which ``where`` holds, in portions; what becomes of a portion changes none that is to come."""
        last = 0
        while rows := self._connection.execute(
            f"{_ALL} WHERE id > ?1 AND {where} ORDER BY id LIMIT ?2", (last, size)
        ).fetchall():
            yield [_mail(*row) for row in rows]
            last = rows[-1][0]

    def count(self, columns: str, where: str = "TRUE", most: int = -1) -> list[tuple[Any, ...]]:
        """How many mails have the same values of ``columns``, and in how many attempts: (*values, mails, attempts)."""
        statement = (
            f"SELECT {columns}, count(*), sum(attempts) FROM mail WHERE {where} "  # noqa: S608 (names of columns)
            f"GROUP BY {columns} ORDER BY count(*) DESC, {columns} LIMIT {most}"
        )
        return list(self._connection.execute(statement))

    def most(self, column: str, where: str, first: str, count: int) -> list[tuple[Any, ...]]:
        """The ``count`` values of ``column`` with the most mails for which ``first`` holds, then with the most mails.

        Each is (value, mails, attempts, mails for which ``first`` holds). SQLite puts them in order: who sends mail can
        make up as many values as mails.
        """
        statement = (
            f"SELECT {column}, count(*), sum(attempts), total({first}) AS found "  # noqa: S608 (names of columns)
            f"FROM mail WHERE {where} GROUP BY {column} "
            f"ORDER BY found DESC, count(*) DESC, {column} IS NULL, {column} LIMIT {count}"
        )
        return [(*row, int(found)) for *row, found in self._connection.execute(statement)]

    def total(self, of: str, where: str = "TRUE") -> tuple[Any, ...]:
        """Aggregates of SQL over the mails for which ``where`` holds."""
        found: tuple[Any, ...] = self._connection.execute(f"SELECT {of} FROM mail WHERE {where}").fetchone()  # noqa: S608
        return found

    def forget_doubles(self) -> None:
        """Forget mails without a recipient of which another log names the recipients: Exim's two logs hold both."""
        self._connection.execute(_FORGET_DOUBLES)

    def judge(self, judgements: Iterable[tuple[int, str, str | None, str | None]]) -> None:
        """Note what is made of mails: id, rescue, reason, the authentication that would be asked for."""
        self._write("UPDATE mail SET rescue = ?2, reason = ?3, authentication = ?4 WHERE id = ?1", judgements)

    def prove(self, proofs: Iterable[tuple[int, str]]) -> None:
        """Note what SPF says of mails: id, result."""
        self._write("UPDATE mail SET proof = ?2 WHERE id = ?1", proofs)


def _mail(
    id_: int, day: str, attempts: int, rescue: str | None, reason: str | None, proof: str | None, *values: Any
) -> RefusedMail:
    return RefusedMail(id_, day, attempts, rescue, reason, proof, rejection_of(values))
