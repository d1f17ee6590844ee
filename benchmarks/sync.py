"""A whole run of the collector: fetch, decode, normalise, record into SQLite. What it costs, and that memory is flat.

python benchmarks/sync.py [--mailboxes 1000 20000] [--senders 230]
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from machine import machine
from pydantic import SecretStr

from safelist import store
from safelist.collector.collect import Options, collect
from safelist.collector.sources.ews.settings import EwsSettings
from safelist.collector.sources.ews.source import EwsSource
from safelist.config import Exchange
from safelist.demo import ServiceAccount
from safelist.entry import ALL_LISTS
from safelist.store import Outcome

ROOT = Path(__file__).parents[1]


@contextmanager
def endpoint(mailboxes: int, senders: int) -> Iterator[str]:
    """The tests' Exchange in a process of its own."""
    command = [sys.executable, "-m", "tests.exchange", "--mailboxes", str(mailboxes), "--senders", str(senders)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http\S+", process.stdout.readline())
        assert found is not None
        try:
            yield found[0]
        finally:
            process.terminate()


def measure(url: str, mailboxes: int, directory: Path) -> list[dict[str, float]]:
    """Two runs, the first and one in which nothing changed; figures for each mailbox, and the peak of memory."""
    database = f"sqlite:///{directory}/safelist.db"
    store.upgrade(database)
    account = ServiceAccount()
    exchange = Exchange(
        endpoint=url, authentication="basic", username=account.principal, secret=SecretStr(account.password)
    )
    settings = EwsSettings(exchange=exchange)
    figures = []
    for _ in range(2):
        addresses = (f"user{number:06}@corp.example" for number in range(mailboxes))
        wall, cpu = time.monotonic(), time.process_time()
        with store.open_store(database) as opened, EwsSource("exchange", settings, account.password) as source:
            options = Options(lists=ALL_LISTS)
            summary = collect(opened, source, addresses, options, lambda: datetime.now(UTC), lambda _: None, "bench")
        assert summary.problem is None
        assert sum(summary.outcomes.values()) == mailboxes
        assert not summary.outcomes[Outcome.FAILED]
        figures.append({
            "wall": (time.monotonic() - wall) * 1000 / mailboxes,
            "cpu": (time.process_time() - cpu) * 1000 / mailboxes,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        })  # fmt: skip
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mailboxes", type=int, nargs="+", default=[1000, 20000])
    parser.add_argument("--senders", type=int, default=230, help="230 make an answer of 20 KB")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        url, count, directory = options.child
        print(json.dumps(measure(url, int(count), Path(directory))))
        return
    print(f"{machine()}\n{options.senders} senders a mailbox, 16 workers, no latency\n")
    print("| mailboxes | run | CPU ms a mailbox | wall ms a mailbox | peak memory MiB |\n|--:|---|--:|--:|--:|")
    for count in options.mailboxes:
        with endpoint(count, options.senders) as url, tempfile.TemporaryDirectory() as directory:
            child = [sys.executable, __file__, "--child", url, str(count), directory]
            figures = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
        for name, row in zip(("first", "nothing changed"), figures, strict=True):
            print(f"| {count:,} | {name} | {row['cpu']:.2f} | {row['wall']:.2f} | {row['peak']:.0f} |")


if __name__ == "__main__":
    main()
