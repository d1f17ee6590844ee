"""The store against raw sqlite3 and against an ORM, in the same run, interleaved: ratios, not absolute times.

    python benchmarks/store.py [--rows 1000000] [--mailboxes 200] [--rounds 3]

``--rows`` is the size of the aggregate that the publishing query reads.
"""

import argparse
import itertools
import os
import platform
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import ForeignKey, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from safelist import store
from safelist.entry import Entry, UserList
from safelist.policy import Settings
from safelist.sender import Form, Pattern
from safelist.store import RuleVersion

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SEEN = RuleVersion("guid", "AAMk" * 40, "EQAAABYA", b"d" * 16, 1, True)
SAFE = frozenset({UserList.SAFE_SENDERS})
SENDERS = 30_000
ENTRIES = 230


def lists(mailboxes: int) -> list[list[int]]:
    """The senders of each mailbox; few are popular, most are not (Zipf)."""
    chance = random.Random(1)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, SENDERS + 1)))
    found = []
    for _ in range(mailboxes):
        drawn: set[int] = set()
        while len(drawn) < ENTRIES:
            drawn.update(chance.choices(range(SENDERS), cum_weights=weights, k=ENTRIES))
        found.append(sorted(drawn)[:ENTRIES])
    return found


def sender(number: int) -> str:
    """A sender of usual length."""
    return f"someone{number:05}@mail{number % 97}.example.com"


def entries(numbers: list[int]) -> frozenset[Entry]:
    """The same as the collector hands them to the store."""
    return frozenset(Entry(UserList.SAFE_SENDERS, Pattern(sender(n), Form.ADDRESS)) for n in numbers)


class Base(DeclarativeBase):
    """The usual mapped classes."""


class Sender(Base):
    """One sender."""

    __tablename__ = "sender"
    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(unique=True)


class Trust(Base):
    """One mailbox trusts one sender."""

    __tablename__ = "trust"
    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailbox.id"), index=True)
    sender_id: Mapped[int] = mapped_column(ForeignKey("sender.id"), index=True)
    added: Mapped[datetime]
    removed: Mapped[datetime | None]
    sender: Mapped[Sender] = relationship()


class Mailbox(Base):
    """One mailbox with its trusts."""

    __tablename__ = "mailbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(unique=True)
    trusts: Mapped[list[Trust]] = relationship()


class WithOrm:
    """The natural way: objects and a relationship."""

    def __init__(self, path: Path) -> None:
        self.engine = create_engine(f"sqlite:///{path}")
        event.listen(self.engine, "connect", lambda c, _: c.executescript(PRAGMAS))
        Base.metadata.create_all(self.engine)

    def record(self, mailbox: int, numbers: list[int]) -> None:
        """Make the list of the mailbox what ``numbers`` say."""
        with Session(self.engine) as session:
            row = session.scalar(select(Mailbox).where(Mailbox.address == f"m{mailbox}@x"))
            if row is None:
                row = Mailbox(address=f"m{mailbox}@x")
                session.add(row)
            wanted = {sender(n) for n in numbers}
            have = {t.sender.address: t for t in row.trusts if t.removed is None}
            for gone in have.keys() - wanted:
                have[gone].removed = NOW
            for new in wanted - have.keys():
                found = session.scalar(select(Sender).where(Sender.address == new)) or Sender(address=new)
                row.trusts.append(Trust(sender=found, added=NOW))
            session.commit()


PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-32768;"
RAW = """
CREATE TABLE pattern (id INTEGER PRIMARY KEY, text TEXT UNIQUE, form INTEGER, refusal TEXT, trusted_by INTEGER);
CREATE TABLE entry (mailbox_id INTEGER, list INTEGER, pattern_id INTEGER, added INTEGER, removed INTEGER,
  PRIMARY KEY (mailbox_id, list, pattern_id, added)) WITHOUT ROWID;
"""
RAW_INDEX = "CREATE INDEX entry_pattern ON entry (pattern_id);"


def load_raw(path: Path, every: list[list[int]], *, is_indexed: bool) -> None:
    """The floor: integer rows that are known beforehand, executemany, a transaction per mailbox."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(PRAGMAS + RAW + (RAW_INDEX if is_indexed else ""))
        for mailbox, numbers in enumerate(every):
            connection.execute("BEGIN")
            rows = [(mailbox, 3, number, mailbox) for number in numbers]
            connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, NULL)", rows)
            connection.execute("COMMIT")


def load_store(path: Path, every: list[frozenset[Entry]]) -> None:
    """The real thing: texts in, patterns identified, counts kept, foreign keys checked, history begun."""
    url = f"sqlite:///{path}"
    store.upgrade(url)
    with store.open_store(url) as opened:
        run = opened.begin_run(NOW, "sync", "benchmark")
        for mailbox, wanted in enumerate(every):
            opened.record(run, f"m{mailbox}@x", SEEN, wanted, SAFE, NOW)
        opened.end_run(run, NOW, {}, None)


def cpu(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def wall(work: Callable[[], object]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def interleave(rounds: int, work: dict[str, Callable[[int], object]], clock: Callable[..., float]) -> dict[str, float]:
    """The median of each variant; every round runs each of them once."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds):
        for name, variant in work.items():
            times[name].append(clock(lambda variant=variant, number=number: variant(number)))
    return {name: statistics.median(found) for name, found in times.items()}


def first_load(home: Path, mailboxes: int, rounds: int) -> None:
    """Rows per second of an empty aggregate's first run."""
    every = lists(mailboxes)
    wanted = [entries(numbers) for numbers in every]
    numbers = itertools.count()

    def new() -> Path:
        return home / f"load{next(numbers)}.db"

    found = interleave(
        rounds,
        {
            "raw executemany, no index": lambda _: load_raw(new(), every, is_indexed=False),
            "raw executemany, index for `who`": lambda _: load_raw(new(), every, is_indexed=True),
            "store": lambda _: load_store(new(), wanted),
        },
        wall,
    )
    rows = mailboxes * ENTRIES
    print(f"\nfirst load: {mailboxes} mailboxes of {ENTRIES} entries (raw: integers known beforehand, nothing checked)")
    for name, seconds in found.items():
        share = found["raw executemany, no index"] / seconds
        print(
            f"  {name:<34} {rows / seconds:>10,.0f} rows/s  {seconds / mailboxes * 1e3:6.2f} ms/mailbox  x{share:.2f}"
        )


def later_runs(home: Path, mailboxes: int, rounds: int) -> None:
    """Processor time of an unchanged and of a changed mailbox."""
    every = lists(mailboxes)
    few = range(0, mailboxes, max(1, mailboxes // 40))
    url = f"sqlite:///{home / 'later.db'}"
    load_store(home / "later.db", [entries(numbers) for numbers in every])
    orm = WithOrm(home / "orm.db")
    for mailbox in few:
        orm.record(mailbox, every[mailbox])
    with store.open_store(url) as opened:
        run = opened.begin_run(NOW, "sync", "benchmark")
        for kind in ("unchanged", "one entry changed"):
            is_changed = kind != "unchanged"

            def changed(mailbox: int, number: int, is_changed: bool = is_changed) -> list[int]:
                return [*every[mailbox][1:], SENDERS + number] if is_changed else every[mailbox]

            def by_orm(number: int, changed: Callable[[int, int], list[int]] = changed) -> None:
                for mailbox in few:
                    orm.record(mailbox, changed(mailbox, number))

            ready = {(m, n): entries(changed(m, n)) for m in few for n in range(rounds)}

            def by_store(number: int, is_changed: bool = is_changed, ready: dict = ready) -> None:  # type: ignore[type-arg]
                for mailbox in few:
                    if is_changed:
                        opened.record(run, f"m{mailbox}@x", SEEN, ready[mailbox, number], SAFE, NOW)
                    else:
                        opened.note(run, f"m{mailbox}@x", NOW, "unchanged")

            by_orm(0)
            by_store(0)
            found = interleave(rounds, {"ORM relationship": by_orm, "store": by_store}, cpu)
            print(f"\n{kind} (CPU, {ENTRIES} entries)")
            for name, seconds in found.items():
                share = found["ORM relationship"] / seconds
                print(f"  {name:<34} {seconds / len(few) * 1e3:8.3f} ms/mailbox  1/{share:.0f}")
    orm.engine.dispose()


def size(home: Path) -> None:
    """Bytes of the file for each row of who trusts whom."""
    path = home / "later.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = connection.execute("SELECT count(*) FROM entry").fetchone()[0]
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP INDEX ix_entry_pattern_id; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
        without = path.stat().st_size
        connection.executescript(
            "CREATE INDEX ix_entry_pattern_id ON entry (pattern_id); PRAGMA wal_checkpoint(TRUNCATE)"
        )
        packed = path.stat().st_size
        connection.executescript("DROP TABLE entry; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
        base = path.stat().st_size
    print(f"\nfile: {rows:,} entries; mailboxes, patterns and change sets {base / 2**20:.1f} MiB")
    print(f"  entries, packed                    {(without - base) / rows:6.1f} bytes/row")
    print(f"  with the index for `who`, packed   {(packed - base) / rows:6.1f} bytes/row")


def grown(home: Path, mailboxes: int) -> None:
    """The same as it grows, not packed."""
    path = home / "grown.db"
    load_store(path, [entries(numbers) for numbers in lists(mailboxes)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        full = path.stat().st_size
        connection.executescript(
            "DROP INDEX ix_entry_pattern_id; DROP TABLE entry; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"
        )
    each = (full - path.stat().st_size) / (mailboxes * ENTRIES)
    print(f"  as it grew, with that index        {each:6.1f} bytes/row")


def filled(path: Path, rows: int) -> str:
    """An aggregate with so many open entries, written by SQL, its counts by one query."""
    url = f"sqlite:///{path}"
    store.upgrade(url)
    senders, mailboxes = max(1000, rows // 33), rows // 100
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA synchronous=OFF; DROP INDEX ix_entry_pattern_id")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO run (id, started, what, actor) VALUES (1, 0, 'sync', 'benchmark')")
        connection.executemany(
            "INSERT INTO mailbox (id, address, lists, entries, refused, run_id, outcome, checked, doubt_runs) "
            "VALUES (?, ?, 8, 100, 0, 1, 'collected', 0, 0)",
            ((n, f"m{n}@x") for n in range(1, mailboxes + 1)),
        )
        connection.executemany("INSERT INTO change_set VALUES (?, 1, ?, 0)", ((n, n) for n in range(1, mailboxes + 1)))
        connection.executemany(
            "INSERT INTO pattern VALUES (?, ?, 1, NULL, 0)", ((n, sender(n)) for n in range(1, senders + 1))
        )
        connection.executemany("INSERT INTO entry VALUES (?, 3, ?, ?, NULL)", _drawn(senders, mailboxes))
        connection.execute("CREATE TEMP TABLE votes (id INTEGER PRIMARY KEY, n INTEGER)")
        connection.execute("INSERT INTO votes SELECT pattern_id, count(*) FROM entry GROUP BY pattern_id")
        connection.execute("UPDATE pattern SET trusted_by = coalesce((SELECT n FROM votes WHERE id = pattern.id), 0)")
        connection.execute("COMMIT")
    return url


def _drawn(senders: int, mailboxes: int) -> Iterator[tuple[int, int, int]]:
    chance = random.Random(2)
    for mailbox in range(1, mailboxes + 1):
        # Squared: few senders are popular, most are not.
        drawn = {int(chance.random() ** 2 * senders) + 1 for _ in range(100)}
        yield from ((mailbox, number, mailbox) for number in sorted(drawn))


GROUP_BY = """SELECT p.text, count(*) FROM entry e JOIN pattern p ON p.id = e.pattern_id
WHERE e.removed IS NULL AND e.list IN (3, 4) GROUP BY e.pattern_id HAVING count(*) >= 2"""


def publishing(home: Path, rows: int, rounds: int) -> None:
    """The question behind every publication, with no index on the entries that would help the other side."""
    url = filled(home / "big.db", rows)
    counted = {}
    with store.open_store(url) as opened, closing(sqlite3.connect(home / "big.db")) as raw:

        def by_store(_: int) -> None:
            counted["store"] = sum(1 for _ in opened.candidates(Settings(), NOW, 2))

        def by_group(_: int) -> None:
            counted["raw"] = sum(1 for _ in raw.execute(GROUP_BY))

        found = interleave(rounds, {"GROUP BY without index": by_group, "store.candidates(2)": by_store}, wall)
        mailbox = opened.mailbox("m1@x")
    assert counted["store"] == counted["raw"]
    assert mailbox is not None
    print(f"\npublish query: {rows:,} entries, {counted['store']:,} senders out")
    for name, seconds in found.items():
        print(f"  {name:<34} {seconds:8.3f} s  1/{found['GROUP BY without index'] / seconds:.1f}")


def main() -> None:
    """Run all of it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--mailboxes", type=int, default=200)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    models = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().split("\n") if "model name" in line]
    print(f"{platform.platform()}, {os.cpu_count()} x {models[0] if models else platform.machine()}")
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="safelist-bench-") as name:
        home = Path(name)
        first_load(home, chosen.mailboxes, chosen.rounds)
        later_runs(home, chosen.mailboxes, chosen.rounds)
        size(home)
        grown(home, chosen.mailboxes)
        publishing(home, chosen.rows, chosen.rounds)


if __name__ == "__main__":
    main()
