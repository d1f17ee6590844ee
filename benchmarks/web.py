"""Every page of `safelist web` over a large aggregate, beside the question of the command line that it answers.

    python benchmarks/web.py [--mailboxes 100000] [--entries 100] [--rounds 20] [--database FILE]

The real command serves on a UNIX socket; a page is asked as the web server asks it. ``--database`` keeps the aggregate
for the next time. Each round asks about another sender or mailbox. The ratio is of processor time, which a machine that
does something else leaves as it is; what a browser waits for, the median, it does not.
"""

import argparse
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from audit import NOW, fill, measure, sender
from machine import machine

from safelist import audit, store
from safelist.config import toml
from safelist.policy import Settings

ANNA, OTTO = "user000001@corp.example", "user000002@corp.example"


def mailbox(number: int) -> str:
    return f"user{number:06}@corp.example"


class Page(http.client.HTTPConnection):
    """One connection that stays, as nginx keeps one."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__("safelist", timeout=600)
        self._path = path
        self._tasks = Path(f"/proc/{pid}/task")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))

    def cpu(self) -> float:
        """Seconds that the server's threads have run: the first field of schedstat, in nanoseconds."""
        return sum(int((task / "schedstat").read_text().split()[0]) for task in self._tasks.iterdir()) / 1e9

    def ask(self, path: str, user: str) -> int:
        self.request("GET", path, headers={"X-Remote-User": user})
        answer = self.getresponse()
        text = answer.read()
        assert answer.status == 200, (path, answer.status, text[-300:])
        return len(text)


@contextmanager
def serving(directory: Path, url: str) -> Iterator[Page]:
    """The command, and a connection to it that knows what processor time it took."""
    config, path = directory / "safelist.toml", directory / "socket"
    config.write_text(
        f"[database]\nurl = {toml(url)}\n[web]\nsocket = {toml(str(path))}\nproxy_users = [{toml(str(os.getuid()))}]\n"
        f"helpdesk = [{toml(ANNA)}]\nauditors = [{toml(OTTO)}]\n"
    )
    process = subprocess.Popen([sys.executable, "-m", "safelist", "web", "--config", str(config)])
    try:
        while not path.exists():
            assert process.poll() is None
            time.sleep(0.1)
        yield Page(path, process.pid)
    finally:
        process.terminate()
        process.wait(60)


Ask = Callable[[int], object]


def processor_time(work: Ask, rounds: int, clock: Callable[[], float]) -> float:
    """Milliseconds of a round, by that clock."""
    began = clock()
    for number in range(rounds):
        work(number)
    return (clock() - began) / rounds * 1000


def pairs(page: Page, opened: store.Store, settings: Settings) -> dict[str, tuple[Ask, Ask | None]]:
    """Each page, and the question that a command would ask for it; None where no command asks the same."""

    def rare(number: int) -> str:
        return sender(200_000 + number)

    def web(path: str, user: str = ANNA) -> int:
        return page.ask(path, user)

    popular = sender(0)
    return {
        "my safe senders": (
            lambda n: web("/", mailbox(n + 10)), lambda n: audit.mailbox(opened, mailbox(n + 10), settings, NOW)
        ),
        "mailbox (recorded)": (
            lambda n: web(f"/mailbox?address={mailbox(n + 10)}"),
            lambda n: audit.mailbox(opened, mailbox(n + 10), settings, NOW),
        ),
        "why, a rare sender": (
            lambda n: web(f"/sender?sender={rare(n)}"),
            lambda n: audit.why(opened, rare(n), None, settings, opened.newest(NOW)),
        ),
        "why, for one recipient (recorded)": (
            lambda n: web(f"/sender?sender={rare(n)}&recipient={mailbox(n + 10)}"),
            lambda n: audit.why(opened, rare(n), mailbox(n + 10), settings, opened.newest(NOW)),
        ),
        "why, the most trusted sender": (
            lambda _: web(f"/sender?sender={popular}"),
            lambda _: audit.why(opened, popular, None, settings, opened.newest(NOW)),
        ),
        "names of a rare sender (recorded)": (
            lambda n: web(f"/names?entry={rare(n)}"),
            lambda n: audit.who(opened, rare(n), settings, NOW),
        ),
        "names of the most trusted (recorded)": (
            lambda _: web(f"/names?entry={popular}"),
            lambda _: audit.who(opened, popular, settings, NOW),
        ),
        "search, many match": (
            lambda _: web("/search?q=someone"), lambda _: opened.search(["someone"], store.AnswerPage(50))
        ),
        "search, few match": (
            lambda n: web(f"/search?q={quote(rare(n)[:13])}"),
            lambda n: opened.search([rare(n)[:13]], store.AnswerPage(50)),
        ),
        "search, none matches": (
            lambda _: web("/search?q=nobody.at.all"), lambda _: opened.search(["nobody.at.all"], store.AnswerPage(50))
        ),
        "overrides": (lambda _: web("/overrides", OTTO), lambda _: opened.overrides()),
        "who looked": (lambda _: web("/looks", OTTO), lambda _: list(opened.looks(store.Window()))),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mailboxes", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--database", type=Path)
    chosen = parser.parse_args()
    print(machine(), f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        path = chosen.database or Path(name) / "safelist.db"
        url, is_new = f"sqlite:///{path.absolute()}", not path.exists()
        store.upgrade(url)
        if is_new:
            print(f"{fill(path, chosen.mailboxes, chosen.entries):,} intervals")
        with serving(Path(name), url) as page, store.open_store(url) as opened:
            settings = Settings(own_domains=opened.own_domains())
            print(f"{opened.totals().patterns:,} patterns, {path.stat().st_size / 2**20:,.0f} MiB")
            print(f"{'page':38} {'waited':>11} {'cpu':>11} {'command':>12} {'ratio':>9}")
            for what, (ask, command) in pairs(page, opened, settings).items():
                page.close()  # the server has, where the command before took longer than it waits
                rounds = 3 if "most" in what else chosen.rounds
                ask(chosen.rounds)
                ours, waited = processor_time(ask, rounds, page.cpu), measure(ask, rounds)
                theirs = processor_time(command, rounds, time.process_time) if command else 0.0
                beside = f"{theirs:9.1f} ms  {ours / theirs:6.2f} x" if theirs else ""
                print(f"{what:38} {waited:8.1f} ms {ours:8.1f} ms {beside}", flush=True)


if __name__ == "__main__":
    main()
