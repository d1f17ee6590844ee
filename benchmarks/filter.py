"""The filter beside the least that asyncio can do, in the same run, and its look-ups; and a large snapshot.

    python benchmarks/filter.py [--rounds 3] [--seconds 1.5] [--pairs 10000000]

The filter runs as its users run it: every verdict is a JSON line, here to /dev/null. DNS answers are in its cache, as
they are for a client that comes again; the SPF record is evaluated anew for every mail.
"""

import argparse
import multiprocessing
import os
import random
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset
from machine import machine
from policy_load import Load, cpu, measure, null, request, serving

from safelist import sender, snapshot
from safelist.cli.filter.run import log_to
from safelist.entry import Holding, UserList
from safelist.filter.authentication import Authenticator
from safelist.filter.current_snapshot import CurrentSnapshot
from safelist.filter.dnsbl import Provider
from safelist.filter.lookup_service import LookupService, lookup_endpoint
from safelist.filter.policy_service import Service
from safelist.filter.providers import Providers
from safelist.filter.resolver import Resolver
from safelist.filter.server import Server
from safelist.filter.settings import Filter
from safelist.override import days
from safelist.policy import Settings, Tally, decide
from safelist.used import UseBuffer

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ZONE = "dnsbl.example.net"
SAFE = "someone@mail.example.com"


def answer_dns(ready: socket.socket) -> None:
    """Lists every client in 198.51.0.0/17; the SPF record of every domain permits 198.51.0.0/16."""
    while True:
        data, where = ready.recvfrom(4096)
        query = dns.message.from_wire(data)
        name, kind = query.question[0].name, query.question[0].rdtype
        reply = dns.message.make_response(query)
        labels = str(name).split(".")
        if str(name).endswith(f"{ZONE}."):
            if int(labels[1]) < 128:
                reply.answer.append(dns.rrset.from_text(name, 3600, "IN", "A", "127.0.0.2"))
            else:
                reply.set_rcode(dns.rcode.NXDOMAIN)
        elif kind == 16:
            reply.answer.append(dns.rrset.from_text(name, 3600, "IN", "TXT", '"v=spf1 ip4:198.51.0.0/16 -all"'))
        ready.sendto(reply.to_wire(), where)


@contextmanager
def nameserver() -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        process = multiprocessing.get_context("fork").Process(target=answer_dns, args=(opened,), daemon=True)
        process.start()
        try:
            yield f"127.0.0.1:{opened.getsockname()[1]}"
        finally:
            process.kill()
            process.join()


async def filter_at(path: str, directory: Path, dns_at: str) -> None:
    """The service, as ``safelist filter run`` puts it together."""
    chosen = Filter(
        snapshot=directory / "snapshot", listen=(f"unix:{path}",), trusted_networks=("10.0.0.0/8",),
        providers=(Provider(name="Test", lookup_domain=ZONE, any_match=True),),
    )  # fmt: skip
    log_to(open("/dev/null", "w"))  # noqa: SIM115, PTH123 (open as long as the process)
    host, _, port = dns_at.partition(":")
    resolver = Resolver([(host, int(port))], timeout=chosen.timeout, max_cached=chosen.cache_entries)
    current = CurrentSnapshot(chosen.snapshot, days(chosen.max_age))
    await current.refresh()
    lists = Providers(resolver, chosen.providers, (), chosen.timeout)
    service = Service(chosen, lists, current, Authenticator(resolver, 3), UseBuffer(), lambda: datetime.now(UTC))
    await Server(service.answer, chosen.listen).run()


def mail(second: str, from_: str) -> Callable[[int], bytes]:
    """Requests about mail from one of fifty clients of a network."""
    base = request(1)
    lines = dict(line.split("=", 1) for line in base.decode().strip().split("\n"))

    def make(number: int) -> bytes:
        lines["client_address"] = f"198.51.{second}.{number % 50 + 1}"
        lines["sender"] = from_
        lines["recipient"] = f"user{number % 50:06}@corp.example"
        return ("".join(f"{name}={value}\n" for name, value in lines.items()) + "\n").encode()

    return make


def lookup(sender_: str) -> Callable[[int], bytes]:
    """The look-ups that rspamd sends about one of fifty recipients."""

    def make(number: int) -> bytes:
        lines = [
            "GET /lookup?proven=spf HTTP/1.1", "Connection: keep-alive", "Host: 127.0.0.1:10046", "Content-Length: 0",
            "User-Agent: rspamd-3.12.1", f"key: user{number % 50:06}@corp.example|{sender_}", "", "",
        ]  # fmt: skip
        return "\r\n".join(lines).encode()

    return make


async def lookup_at(path: str, directory: Path) -> None:
    """Look-ups alone, as ``safelist filter run`` answers them."""
    log_to(open("/dev/null", "w"))  # noqa: SIM115, PTH123 (open as long as the process)
    current = CurrentSnapshot(directory / "snapshot", days("7d"))
    await current.refresh()
    service = LookupService(current, "", lambda: datetime.now(UTC))
    await Server(lambda _: "DUNNO", others=[lookup_endpoint(service.answer, [f"unix:{path}"])]).run()


LOOKUPS = {"look-up, not safe": lookup("stranger@else.example.com"), "look-up, safe": lookup(SAFE)}
CASES = {
    "not listed": mail("200", SAFE),
    "listed, unknown sender": mail("7", "stranger@else.example.com"),
    "listed, safe, SPF": mail("7", SAFE),
}


def small_snapshot(path: Path) -> None:
    held = [Holding("", UserList.SAFE_SENDERS, sender.parse(SAFE), NOW, None)]
    mailboxes = [(f"user{n:06}@corp.example", held) for n in range(1000)]
    snapshot.write(path, snapshot.Contents("bench", Settings(), (), (), mailboxes))


def load(rounds: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name, nameserver() as dns_at:
        directory = Path(name)
        small_snapshot(directory / "snapshot")
        seen: dict[str, list[tuple[Load, float]]] = {}
        for number in range(rounds):
            cases: dict[str, tuple[Callable[[str], object], Callable[[int], bytes]]]
            cases = {"null server (floor)": (null, request)}
            served = partial(filter_at, directory=directory, dns_at=dns_at)
            cases.update((case, (served, make)) for case, make in CASES.items())
            cases.update((case, (partial(lookup_at, directory=directory), make)) for case, make in LOOKUPS.items())
            for case, (server, make) in cases.items():
                path, end = directory / f"socket-{number}-{len(case)}", b"\n" if case in LOOKUPS else b"\n\n"
                with serving(server, path, 0) as process:
                    asked = partial(measure, f"unix:{path}", connections=20, make=make, different=50, core=1, end=end)
                    asked(seconds=0.3)
                    before = cpu(process)
                    found = asked(seconds=seconds)
                    seen.setdefault(case, []).append((found, (cpu(process) - before) / (found.rate * seconds) * 1e6))
        floor = statistics.median(cost for _, cost in seen["null server (floor)"])
        print(f"{'':26}{'requests/s':>12}{'p50 us':>9}{'p99 us':>9}{'cpu us':>9}{'null / this':>13}  answers")
        for case, runs in seen.items():
            figures = ((run.rate, run.p50, run.p99) for run, _ in runs)
            rate, p50, p99 = map(statistics.median, zip(*figures, strict=True))
            cost = statistics.median(cost for _, cost in runs)
            answers = ", ".join({answer.splitlines()[0][:40] for answer in runs[0][0].answers})
            print(f"{case:26}{rate:12,.0f}{p50:9.0f}{p99:9.0f}{cost:9.1f}{cost / floor:13.1f}  {answers}")


def large(pairs: int, directory: Path) -> None:
    """A hundred entries a mailbox, of 300,000 senders."""
    path = directory / "large"
    chance = random.Random(1)
    patterns = [sender.parse(f"someone{n:06}@mail{n % 97}.example.com") for n in range(300_000)]

    def mailboxes() -> Iterator[tuple[str, Sequence[Holding]]]:
        for number in range(pairs // 100):
            held = [Holding("", UserList.SAFE_SENDERS, each, NOW, None) for each in chance.sample(patterns, 100)]
            yield f"user{number:06}@corp.example", held

    began = time.perf_counter()
    made = snapshot.write(
        path, snapshot.Contents("x", Settings(), (), (Tally(each, 2) for each in patterns), mailboxes())
    )
    took, size = time.perf_counter() - began, path.stat().st_size / 2**20
    print(f"\nsnapshot of {made.entries:,} pairs: {size:.0f} MiB, made in {took:.0f} s")
    reader = multiprocessing.get_context("spawn").Process(target=read_large, args=(path, pairs // 100))
    reader.start()
    reader.join()


def read_large(path: Path, mailboxes: int) -> None:
    """In a process of its own, so that its memory is the reader's."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    with snapshot.Snapshot(path) as found:
        opened = time.perf_counter() - began
        senders = (sender.parse(f"someone{n * 7919 % 300_000:06}@mail1.example.com") for n in range(20_000))
        asked = [(each, f"user{n * 104_729 % mailboxes:06}@corp.example") for n, each in enumerate(senders)]
        began = time.perf_counter()
        for each, recipient in asked:
            decide(found.candidate(each, recipient), found.settings, NOW)
        took = (time.perf_counter() - began) / len(asked)
        mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"open, checksum and all: {opened * 1000:.0f} ms")
        print(f"look up and decide: {took * 1e6:.1f} us, {1 / took:,.0f}/s")
        print(f"memory after {len(asked):,} look-ups: {mine / 1024:.0f} MiB more, shared pages of the file")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--pairs", type=int, default=10_000_000)
    chosen = parser.parse_args()
    print(machine())
    load(chosen.rounds, chosen.seconds)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        large(chosen.pairs, Path(name))


if __name__ == "__main__":
    os.environ.pop("NOTIFY_SOCKET", None)
    main()
