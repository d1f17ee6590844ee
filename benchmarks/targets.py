"""Publishing to each target: CPU as a multiple of writing the same senders as plain text, and memory.

python benchmarks/targets.py [--everybody N] [--pairs N] [TARGET ...]

What is published is made up in memory, so that no database is measured: senders that two mailboxes trust, and pairs of
a recipient and a sender of its own list. Each target, and the plain text, is measured in a process of its own, indexes
that a program makes included: first written, then published again unchanged.
"""

import argparse
import atexit
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import machine

from safelist.entry import Holding, UserList
from safelist.policy import Candidate, Settings, Tally
from safelist.publisher.publish import publish
from safelist.publisher.target import Nothing, Scope
from safelist.publisher.targets import TARGETS
from safelist.publisher.wblist_tables import SET_UP
from safelist.sender import Form, Pattern

NOW = datetime(2026, 11, 23, tzinfo=UTC)
HELD = 100
"""Entries of a mailbox."""


def _tables(directory: Path) -> dict[str, Any]:
    """amavisd's tables in an SQLite file; of another database the server's CPU is not this process's."""
    with closing(sqlite3.connect(directory / "amavis.db")) as made:
        made.executescript(
            "CREATE TABLE policy (id integer PRIMARY KEY, policy_name varchar(32));"
            "CREATE TABLE users (id integer PRIMARY KEY, priority int, policy_id int, email varchar(255) UNIQUE);"
            "CREATE TABLE mailaddr (id integer PRIMARY KEY, priority int, email varchar(255) UNIQUE);"
            "CREATE TABLE wblist (rid integer, sid integer, wb varchar(10), PRIMARY KEY (rid, sid));" + SET_UP
        )
    return {"url": f"sqlite:///{directory}/amavis.db", "lock": directory / "lock", "unauthenticated": True}


def _redis(directory: Path) -> dict[str, Any]:
    """A Redis on a socket, which ends with this process; its CPU is not this process's."""
    socket = directory / "socket"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(directory)]
    server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    atexit.register(server.kill)
    while not socket.exists():
        time.sleep(0.1)
    return {"redis": f"unix://{socket}", "lock": directory / "lock"}


SECTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {"amavis": _tables, "rspamd-redis": _redis}
"""What a target's section says below a directory, where that is not a ``path`` alone."""


def _section(name: str, directory: Path) -> dict[str, Any]:
    return SECTIONS[name](directory) if name in SECTIONS else {"path": directory / "safelist"}


class MadeUp(Nothing):
    """An aggregate of so many senders for everybody, and so many pairs."""

    def __init__(self, everybody: int, pairs: int) -> None:
        self._everybody, self._pairs = everybody, pairs

    def candidates(self, settings: Settings, now: datetime, at_least: int) -> Iterator[Candidate]:
        """Each is trusted by two mailboxes."""
        for number in range(self._everybody):
            yield Candidate(pattern := _sender(number), (Tally(pattern, 2),))

    def recipients_candidates(self, now: datetime) -> Iterator[Candidate]:
        """Each recipient with the senders of its own list."""
        for address, held in self.by_mailbox():
            for holding in held:
                yield Candidate(holding.pattern, recipient=address, entries=(holding,))

    def by_mailbox(self) -> Iterator[tuple[str, list[Holding]]]:
        """The lists."""
        for mailbox in range(self._pairs // HELD):
            address = f"user{mailbox:07}@corp.example"
            numbers = range(mailbox * HELD, (mailbox + 1) * HELD)
            yield address, [Holding(address, UserList.SAFE_SENDERS, _sender(each), NOW, None) for each in numbers]


def _text(number: int) -> str:
    return f"sender{number:08}@partner{number % 997:03}.test"


def _sender(number: int) -> Pattern:
    return Pattern(_text(number), Form.ADDRESS)


def plain(path: Path, everybody: int, pairs: int) -> None:
    """Write the same as lines, flushed to the disk."""
    with path.open("wb") as file:
        file.writelines(b"%s\n" % _text(number).encode() for number in range(everybody))
        file.writelines(b"user%07d@corp.example %s\n" % (n // HELD, _text(n).encode()) for n in range(pairs))
        file.flush()
        os.fsync(file.fileno())


def seconds(work: Callable[[], object]) -> float:
    """CPU of this process and of those that it started."""
    began = os.times()
    work()
    ended = os.times()
    return sum(ended[:4]) - sum(began[:4])


def one(name: str, everybody: int, pairs: int) -> None:
    """Print the seconds written, the seconds unchanged, the floor's, and MiB at most."""
    target = TARGETS[name]
    pairs = pairs if target.scope is Scope.RECIPIENT else 0
    aggregate = MadeUp(everybody, pairs)
    with tempfile.TemporaryDirectory() as directory:
        chosen = target.settings.model_validate(_section(name, Path(directory)))
        took = [
            seconds(lambda: publish(aggregate, Settings(quorum=2), target, chosen, lambda: NOW, allow_shrink=True))
            for _ in range(2)
        ]
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        floor = seconds(lambda: plain(Path(directory, "plain"), everybody, pairs))
    print(*took, floor, most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", default=list(TARGETS))
    parser.add_argument("--everybody", type=int, default=300_000)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        one(chosen.targets[0], chosen.everybody, chosen.pairs)
        return
    print(f"{machine()}\n\n{chosen.everybody:,} senders for everybody, {chosen.pairs:,} pairs where it holds pairs\n")
    print("| target | written, × plain text | unchanged, × plain text | plain text, s | MiB at most |")
    print("|---|--:|--:|--:|--:|", flush=True)
    for name in chosen.targets:
        sizes = ["--everybody", str(chosen.everybody), "--pairs", str(chosen.pairs)]
        line = [sys.executable, __file__, "--one", *sizes, name]
        out = subprocess.run(line, check=True, capture_output=True, text=True).stdout
        written, unchanged, floor, most = map(float, out.split())
        print(f"| {name} | {written / floor:.1f} | {unchanged / floor:.1f} | {floor:.2f} | {most:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
