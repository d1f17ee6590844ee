"""An auditor's questions to a large aggregate, beside one look-up by primary key in the same file; with query plans.

    python benchmarks/audit.py [--mailboxes 100000] [--entries 100] [--rounds 20] [--verify]

``--verify`` also seals and walks the whole chain of change sets (minutes).
"""

import argparse
import itertools
import random
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import machine
from sqlalchemy import Engine, event

from safelist import audit, store
from safelist.policy import Settings
from safelist.store import AnswerPage, Window, chain
from safelist.store.database import make_engine, parse_url

NOW = datetime(2026, 11, 25, tzinfo=UTC)
SENDERS = 300_000
MIDDLE = datetime.fromtimestamp(1_700_000_000 + 5000, UTC)
CHANGED = 10
"""Every tenth mailbox has had a second change set, which ended an entry."""


def sender(number: int) -> str:
    return f"someone{number:06}@mail{number % 97}.example.com"


def fill(path: Path, mailboxes: int, entries: int) -> int:
    """An aggregate as years of runs leave it: few senders are popular, most are not (Zipf). The number of intervals."""
    chance = random.Random(1)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, SENDERS + 1)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("INSERT INTO run VALUES (1, 1, 1, 'sync', 'root', '{}', NULL, 'exchange')")
        patterns = ((n + 1, sender(n), 1) for n in range(SENDERS))
        connection.executemany(
            "INSERT INTO pattern (id, text, form, trusted_by, contact_of) VALUES (?, ?, ?, 0, 0)", patterns
        )
        connection.executemany(
            "INSERT INTO mailbox (id, address, domain, lists, entries, refused, run_id, outcome, checked, doubt_runs) "
            "VALUES (?, ?, 'corp.example', 254, 0, 0, 1, 'collected', 1, 0)",
            ((n, f"user{n:06}@corp.example") for n in range(1, mailboxes + 1)),
        )
        connection.executemany(
            "INSERT INTO change_set (id, run_id, mailbox_id, at, kind, digest) VALUES (?, 1, ?, ?, 'entries', x'00')",
            ((n, (n - 1) % mailboxes + 1, 1_700_000_000 + n) for n in range(1, mailboxes + mailboxes // CHANGED + 1)),
        )
        rows = intervals(mailboxes, entries, chance, weights)
        connection.executemany("INSERT OR IGNORE INTO entry VALUES (?, 3, ?, ?, ?)", rows)
        connection.execute(
            "UPDATE pattern SET trusted_by = coalesce((SELECT count(*) FROM entry e "
            "WHERE e.pattern_id = pattern.id AND e.removed IS NULL), 0)"
        )
        (count,) = connection.execute("SELECT count(*) FROM entry").fetchone()
    return int(count)


def intervals(
    mailboxes: int, entries: int, chance: random.Random, weights: list[float]
) -> Iterator[tuple[int, int, int, int | None]]:
    for number in range(1, mailboxes + 1):
        drawn: set[int] = set()
        while len(drawn) < entries:
            drawn.update(chance.choices(range(1, SENDERS + 1), cum_weights=weights, k=entries))
        ended = mailboxes + number if number <= mailboxes // CHANGED else None
        for place, pattern in enumerate(itertools.islice(drawn, entries)):
            yield number, pattern, number, ended if place == 0 else None


def questions(opened: store.Store) -> dict[str, Callable[[int], object]]:
    """Of a sender that few trust, of one that many trust, of mailboxes; each round asks about another one."""
    settings = Settings(own_domains=opened.own_domains())
    moment = opened.moment_at(NOW)

    def of(number: int) -> str:
        return f"user{number:06}@corp.example"

    return {
        "who, a rare sender": lambda n: audit.who(opened, sender(200_000 + n), settings, NOW),
        "who --at, a rare sender": lambda n: audit.who(opened, sender(200_000 + n), settings, NOW, moment),
        "why, a rare sender": lambda n: audit.why(opened, sender(200_000 + n), None, settings, moment),
        "why --recipient, a rare sender": lambda n: audit.why(opened, sender(200_000 + n), of(n + 1), settings, moment),
        "mailbox": lambda n: audit.mailbox(opened, of(n + 1), settings, NOW),
        "history --mailbox": lambda n: list(opened.events(Window(mailbox=of(n + 1)))),
        "history --sender, a rare one": lambda n: list(opened.events(Window(senders=(sender(200_000 + n),)))),
        "history, the first page": lambda n: list(opened.events(Window(limit=100))),
        "history, a page from a day on": lambda n: list(opened.events(Window(limit=100, since=MIDDLE))),
        "who, a page of the most trusted": lambda n: opened.who_page([sender(0)], None, AnswerPage(100)),
        "search, a part of few senders": lambda n: opened.search([f"{777 + n:05}@"], AnswerPage(50)),
        "own domains": lambda n: opened.own_domains(),
        "why, the most trusted sender": lambda n: audit.why(opened, sender(0), None, settings, moment),
    }


def measure(work: Callable[[int], object], rounds: int) -> float:
    took = []
    for number in range(rounds):
        began = time.perf_counter()
        work(number)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def show_plans(path: Path, asked: dict[str, Callable[[int], object]]) -> None:
    """What SQLite does for each statement of each question, once."""
    sent: list[tuple[str, Any]] = []
    event.listen(Engine, "before_cursor_execute", lambda _c, _k, s, p, _x, _m: sent.append((s, p)))
    seen: set[str] = set()
    with closing(sqlite3.connect(path)) as connection:
        for name, ask in asked.items():
            sent.clear()
            ask(7)
            for statement, values in [one for one in sent if one[0].startswith("SELECT") and one[0] not in seen]:
                seen.add(statement)
                print(f"\n{name}:")
                for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values):
                    print(f"  {row[3]}")


def walk(url: str) -> None:
    engine = make_engine(parse_url(url), is_upgrade=True)
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("DELETE FROM chain")
        chain.seal(connection)
    engine.dispose()
    with store.open_store(url) as opened:
        began = time.perf_counter()
        found = opened.verify_chain()
        took = time.perf_counter() - began
    print(f"\nverify: {found.change_sets} change sets in {took:.0f} s ({found.problem or 'holds'})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--verify", action="store_true")
    chosen = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        path = Path(directory) / "safelist.db"
        url = f"sqlite:///{path}"
        store.upgrade(url)
        count = fill(path, chosen.mailboxes, chosen.entries)
        print(f"{count:,} intervals of {chosen.mailboxes:,} mailboxes, {path.stat().st_size / 2**20:,.0f} MiB")
        with store.open_store(url) as opened:
            asked = questions(opened)
            floor = measure(lambda n: opened.mailbox(f"user{n + 1:06}@corp.example"), chosen.rounds)
            print(f"{'one look-up of a mailbox (floor)':36} {floor:8.2f} ms")
            for name, ask in asked.items():
                took = measure(ask, chosen.rounds if "most" not in name else 3)
                print(f"{name:36} {took:8.2f} ms  {took / floor:7.1f} x")
            show_plans(path, asked)
        if chosen.verify:
            walk(url)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
