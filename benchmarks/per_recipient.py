"""Publishing what counts for each recipient from a store: pairs a second of CPU, and memory at N and at four times N.

python benchmarks/per_recipient.py [--pairs N] [--held N] [--url URL]

Each size is measured in a process of its own: filled, published, and published again unchanged. ``--url`` names an
empty PostgreSQL database, which is used for the smaller size only; else it is SQLite in a temporary directory.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from machine import machine
from pydantic import BaseModel

from safelist import store
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.policy import Settings
from safelist.publisher.publish import publish
from safelist.publisher.target import RecipientRuling, Ruling, Scope
from safelist.publisher.text_target import Rendering, TextFile, text_target, whole_line
from safelist.sender import Form, Pattern
from safelist.store import RuleVersion, Store

NOW = datetime(2026, 11, 23, tzinfo=UTC)
HEADER = b"# pairs\n"


class Chosen(BaseModel):
    """Where the list lies."""

    path: Path


def render(_: Sequence[Ruling], each: Iterable[RecipientRuling], chosen: Chosen) -> Rendering:
    """One line a pair."""
    lines = (b"%s %s\n" % (ruling.recipient.encode(), ruling.pattern.text.encode()) for ruling in each)
    return Rendering([TextFile(chosen.path, HEADER, lines, key=whole_line)])


TARGET = text_target(
    name="pairs", settings=Chosen, demands=lambda _: "", use=lambda _: "", scope=Scope.RECIPIENT,
    render=render,
)  # fmt: skip


def fill(opened: Store, pairs: int, held: int) -> None:
    """So many entries, ``held`` in each mailbox, of senders of whom half are known to one mailbox only."""
    run = opened.begin_run(NOW, "sync", "benchmark")
    for mailbox in range(pairs // held):
        senders = (number % 500 if number % 2 else mailbox * held + number for number in range(held))
        entries = frozenset(
            Entry(UserList.SAFE_SENDERS, Pattern(f"sender{number:08}@partner{number % 997:03}.test", Form.ADDRESS))
            for number in senders
        )
        address = f"user{mailbox:07}@corp.example"
        seen = RuleVersion(address, "AAMk=", "EQAAABYA", b"\x00", 1, True)
        opened.record(run, address, seen, entries, ALL_LISTS, NOW)


def peak() -> int:
    """MiB of this process, at most, up to now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(url: str, path: Path, settings: Settings) -> list[str]:
    """The cells of a row: pairs, pairs a second of CPU written and unchanged, and the memory before and after."""
    with store.open_store(url) as opened:
        before, took = peak(), list[float]()
        for _ in range(2):
            began = time.process_time()
            done = publish(opened, settings, TARGET, Chosen(path=path), lambda: NOW)
            took.append(time.process_time() - began)
    rates = [f"{done.entries / seconds:,.0f}" for seconds in took]
    return [f"{done.entries:,}", *rates, f"{path.stat().st_size >> 20}", str(before), str(peak())]


def one(pairs: int, held: int, url: str | None) -> None:
    """Fill in a process, so that what filling takes is not measured, and print the row."""
    with tempfile.TemporaryDirectory() as directory:
        url = url or f"sqlite:///{directory}/safelist.db"
        filling = [sys.executable, __file__, "--fill", str(pairs), "--held", str(held), "--url", url]
        subprocess.run(filling, check=True)
        print("| " + " | ".join(measure(url, Path(directory, "list"), Settings())) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=250_000)
    parser.add_argument("--held", type=int, default=100, help="entries of a mailbox")
    parser.add_argument("--url")
    parser.add_argument("--fill", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.fill:
        store.upgrade(chosen.url)
        with store.open_store(chosen.url) as opened:
            fill(opened, chosen.fill, chosen.held)
    elif chosen.one:
        one(chosen.one, chosen.held, chosen.url)
    else:
        print(f"{machine()}\n\n| pairs | written /s CPU | unchanged /s CPU | MiB of list | MiB before | MiB at most |")
        print("|--:|--:|--:|--:|--:|--:|", flush=True)
        for size in (chosen.pairs,) if chosen.url else (chosen.pairs, 4 * chosen.pairs):
            more = ["--url", chosen.url] if chosen.url else []
            line = [sys.executable, __file__, "--one", str(size), "--held", str(chosen.held), *more]
            subprocess.run(line, check=True)


if __name__ == "__main__":
    main()
