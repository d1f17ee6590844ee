"""Copying and backing up an aggregate at a size and at a quarter of it: seconds, and that the memory is flat.

    python benchmarks/copying.py [--mailboxes 40000] [--entries 100]

The copies go from SQLite to a PostgreSQL of its own, and back; `cp` of the same file is what a disk takes.
"""

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from audit import fill
from machine import machine

from safelist import store
from safelist.store import chain
from safelist.store.database import make_engine, parse_url

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.store import postgres


def make(path: Path, mailboxes: int, entries: int) -> int:
    """An aggregate whose chain holds; how many intervals it has."""
    url = f"sqlite:///{path}"
    store.upgrade(url)
    count = fill(path, mailboxes, entries)
    engine = make_engine(parse_url(url), is_upgrade=True)
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("DELETE FROM chain")
        chain.seal(connection)
    engine.dispose()
    return count


def _measured(work: Callable[..., object], arguments: tuple[object, ...]) -> tuple[float, float, float]:
    began = time.perf_counter()
    work(*arguments)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measure(name: str, work: Callable[..., object], *arguments: object) -> None:
    """In a process of its own: seconds, seconds of CPU of it alone, and its peak memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        took, cpu, memory = pool.submit(_measured, work, arguments).result()
    print(f"  {name:28} {took:8.1f} s  {cpu:8.1f} s CPU  {memory:6.0f} MiB")


def run(directory: Path, home: Path, mailboxes: int, entries: int) -> None:
    path = directory / f"{mailboxes}.db"
    count = make(path, mailboxes, entries)
    print(f"{count:,} entries of {mailboxes:,} mailboxes, {path.stat().st_size / 2**20:,.0f} MiB")
    here = f"sqlite:///{path}"
    measure("cp", shutil.copy, path, directory / "cp.db")
    measure("db backup of SQLite", store.backup, here, directory / f"{mailboxes}.backup")
    with postgres.database(home, f"bench{mailboxes}") as url:
        measure("db copy to PostgreSQL", store.copy, here, url)
        measure("db copy from PostgreSQL", store.copy, url, f"sqlite:///{directory}/{mailboxes}.back")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=40_000)
    parser.add_argument("--entries", type=int, default=100)
    chosen = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, postgres.cluster() as home:
        for mailboxes in (chosen.mailboxes // 4, chosen.mailboxes):
            run(Path(name), home, mailboxes, chosen.entries)


if __name__ == "__main__":
    main()
