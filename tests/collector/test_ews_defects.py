"""exchangelib 5.6.0's three defects stay outside: reading byte by byte, the pool that locks up, the sleep of all."""

import sys
import threading
from collections.abc import Callable

import pytest

from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.retry import RetryPolicy
from safelist.collector.sources.ews.soap import Rule
from safelist.collector.workers import answers
from tests.collector.ews_site import ALICE, BOB, exchange, organisation, rule_of
from tests.exchange import DemoServer, Fault, Trouble


def calls_of(work: Callable[[], object]) -> int:
    """How many functions, Python's and C's, ``work`` calls in this thread."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("compress", [False, True])
def test_answers_are_read_in_large_pieces(compress: bool) -> None:
    with DemoServer(organisation(), compress=compress) as server, exchange(server) as ews:
        ews.fetch(ALICE, None)
        costs = []
        for size in (15_000, 150_000):
            server.organisation.mailboxes[ALICE].set_rule(bytes(range(250)) * (size // 250))
            costs.append(calls_of(lambda: ews.fetch(ALICE, None)))
    assert costs[1] - costs[0] < 5_000, "180,000 bytes more may not cost thousands of calls more"


@pytest.mark.timeout(120)
def test_sixteen_workers_under_heavy_throttling_all_finish() -> None:
    addresses = [f"desk{number}@corp.example" for number in range(160)]
    with DemoServer(organisation(*addresses)) as server, exchange(server) as ews:
        for seed, trouble in enumerate((Trouble.SERVER_BUSY, Trouble.HTTP_503)):
            server.organisation.faults.append(Fault(trouble, times=None, share=0.1, seed=seed))
        found = sorted(answers(lambda address: rule_of(ews.fetch(address, None)).condition, iter(addresses), 16))
        assert found == sorted(address.encode() for address in addresses)
        assert server.connections <= 16
        assert len(server.requests) > 2 * len(addresses)


class Worker(threading.Thread):
    """Fetches mailboxes one after the other."""

    def __init__(self, ews: ExchangeServer, *addresses: str) -> None:
        super().__init__(name=addresses[0])
        self.ews = ews
        self.addresses = addresses
        self.found: list[object] = []
        self.start()

    def run(self) -> None:
        self.found += [self.ews.fetch(address, None) for address in self.addresses]


def test_a_fault_of_one_request_puts_nobody_else_to_sleep() -> None:
    others = [f"desk{number}@corp.example" for number in range(10)]
    waits, others_done = threading.Event(), threading.Event()

    def pause(seconds: float) -> None:
        assert seconds > 0
        waits.set()
        assert others_done.wait(60)

    with DemoServer(organisation(ALICE, *others)) as server, exchange(server, pause=pause) as ews:
        server.organisation.mailboxes[ALICE].faults.append(Fault(Trouble.HTTP_503))
        struck = Worker(ews, ALICE)
        assert waits.wait(60)
        rest = Worker(ews, *others)
        rest.join()
        others_done.set()
        struck.join()
        order = [asked.mailbox for asked in server.requests]
    assert order == [ALICE, *(address for address in others for _ in range(2)), ALICE, ALICE]
    assert all(isinstance(rule, Rule) for rule in struck.found + rest.found)


class Paused(Exception):  # noqa: N818
    """Instead of waiting."""


def test_a_pause_that_the_server_asks_for_is_kept_by_everybody() -> None:
    def pause(seconds: float) -> None:
        assert 50 < seconds <= 60
        raise Paused

    with DemoServer(organisation()) as server, exchange(server, pause=pause, retry_policy=RetryPolicy()) as ews:
        fault = Fault(Trouble.SERVER_BUSY, back_off_ms=60_000)
        server.organisation.mailboxes[ALICE].faults.append(fault)
        for address in (ALICE, BOB, BOB):
            with pytest.raises(Paused):
                ews.fetch(address, None)
        assert [asked.mailbox for asked in server.requests] == [ALICE]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("authentication", ["basic", "ntlm"])
def test_thirty_two_workers_on_thirty_two_lines(authentication: str) -> None:
    addresses = [f"desk{number}@corp.example" for number in range(128)]
    with DemoServer(organisation(*addresses), latency=0.005) as server:
        with exchange(server, authentication=authentication) as ews:
            found = sorted(answers(lambda address: rule_of(ews.fetch(address, None)).condition, iter(addresses), 32))
        assert found == sorted(address.encode() for address in addresses)
        assert server.connections <= 32
        assert len(server.requests) == 2 * len(addresses)
