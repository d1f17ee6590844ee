"""The client against nameservers on loopback that misbehave to order, and against none at all."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from safelist.filter import dns_message
from safelist.filter.dns_client import DnsClient
from safelist.filter.dns_message import DnsAnswer, Status
from tests.filter import dns_server
from tests.filter.dns_server import Fault, Nameserver, answering, nameserver, once, record, silent, spoofed_before

A = 1
ONE = {"one.example": {"A": ["192.0.2.1"]}}
FOUND = (Status.FOUND, ("192.0.2.1",))


def run(use: Callable[[DnsClient], Awaitable[Any]], *servers: tuple[str, int], **options: Any) -> Any:
    """What ``use`` returns for a client of its own, in a loop of its own."""

    async def main() -> Any:
        client = DnsClient(servers, **{"timeout": 2.0, "max_in_flight": 256, "resolv_conf": None} | options)
        try:
            return await use(client)
        finally:
            client.close()

    return asyncio.run(main())


async def look_up(client: DnsClient, name: str, kind: str = "A") -> DnsAnswer:
    question = dns_message.question(name, kind)
    assert question
    return await client.ask(question, kind)


def ask(server: Nameserver, name: str, kind: str = "A", **options: Any) -> DnsAnswer:
    answer: DnsAnswer = run(lambda client: look_up(client, name, kind), server.address, **options)
    return answer


def answer_to(fault: Fault, name: str = "one.example", kind: str = "A", **options: Any) -> DnsAnswer:
    """What becomes of an answer like this."""
    with nameserver(ONE, {name: fault}) as server:
        return ask(server, name, kind, **{"timeout": 0.3} | options)


@pytest.mark.parametrize("fault", [dns_server.drop, dns_server.garbage, dns_server.wrong_id, dns_server.wrong_question])
def test_no_right_answer_ends_in_time(fault: Fault) -> None:
    began = time.monotonic()
    answer = answer_to(fault, timeout=0.4)
    assert answer.status is Status.FAILED
    assert answer.why == "no answer in time"
    assert 0.3 < time.monotonic() - began < 10


@pytest.mark.parametrize("forged", [dns_server.garbage, dns_server.wrong_id, dns_server.wrong_question])
def test_forged_answers_are_ignored_and_waiting_goes_on(forged: Fault) -> None:
    assert answer_to(spoofed_before(*[forged] * 20), timeout=2)[:2] == FOUND


def test_an_answer_from_elsewhere_is_ignored() -> None:
    def from_elsewhere(query: bytes, reply: bytes) -> Sequence[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.sendto(reply, ("127.0.0.1", server.ports[-1]))
        return ()

    faults = {"one.example": from_elsewhere}
    with nameserver(ONE, faults) as server:
        assert ask(server, "one.example", timeout=0.3).why == "no answer in time"


@pytest.mark.parametrize(("fault", "why"), [(dns_server.servfail, "SERVFAIL"), (dns_server.refused, "REFUSED")])
def test_an_error_is_told_at_once(fault: Fault, why: str) -> None:
    began = time.monotonic()
    answer = answer_to(fault, timeout=5)
    assert answer.status is Status.FAILED
    assert answer.why == f"the nameserver answers {why}"
    assert time.monotonic() - began < 10


def bare(code: int) -> Fault:
    """An error from a server that could not read the question: the header alone."""
    return lambda query, reply: [query[:2] + bytes((0x80, code)) + bytes(8)]


def without_edns(fault: Fault) -> Fault:
    """Faulty as long as the question comes with EDNS: its last count is that of the OPT record."""
    return lambda query, reply: fault(query, reply) if query[10:12] != b"\0\0" else [reply]


def coded(code: int) -> Fault:
    return lambda query, reply: [dns_server.answering(flags=0x8180 | code)(query, reply)[0]]


@pytest.mark.parametrize(
    "fault", [bare(1), bare(4), coded(1), coded(4), dns_server.drop], ids=["bare-1", "bare-4", "1", "4", "drop"]
)
def test_a_server_that_does_not_know_edns_is_asked_without(fault: Fault) -> None:
    zone = {f"{number}.example": {"TXT": [f"text {number}"]} for number in range(4)}
    faults = dict.fromkeys(zone, without_edns(fault))

    async def use(client: DnsClient) -> list[DnsAnswer]:
        return [await look_up(client, name, "TXT") for name in zone]

    with nameserver(zone, faults) as server:
        answers = run(use, server.address, timeout=6)
    assert [answer.values for answer in answers] == [(f"text {number}",) for number in range(4)]
    first, *later = [server.queries[name, "TXT"] for name in zone]
    assert (first, later) == (2, [1, 1, 1]), "it is remembered"


@pytest.mark.parametrize("code", [1, 4])
def test_who_answers_an_error_to_a_plain_question_is_believed(code: int) -> None:
    name = {1: "FORMERR", 4: "NOTIMP"}[code]
    for kind in ("A", "TXT"):
        assert answer_to(coded(code), kind=kind).why == f"the nameserver answers {name}"
    assert answer_to(bare(code), kind="A").why == "no answer in time"


def test_a_truncated_answer_without_edns_comes_over_tcp_without_it() -> None:
    zone = {"long.example": {"TXT": ["x" * 700]}}
    refusing = without_edns(bare(1))

    def fault(query: bytes, reply: bytes) -> Sequence[bytes]:
        return refusing(query, dns_server.truncated(query, reply)[0])

    with nameserver(zone, {"long.example": fault}, {"long.example": refusing}) as server:
        assert ask(server, "long.example", "TXT", timeout=5).values == ("x" * 700,)
        assert server.over_tcp == {("long.example", "TXT"): 1}


def test_a_truncated_answer_comes_over_tcp() -> None:
    with nameserver(ONE, {"one.example": dns_server.truncated}) as server:
        assert ask(server, "one.example")[:2] == FOUND
        assert server.over_tcp["one.example", "A"] == 1


@pytest.mark.parametrize(
    "over_tcp",
    [
        dns_server.drop,
        dns_server.garbage,
        dns_server.wrong_id,
        dns_server.wrong_question,
        dns_server.delayed(1),
        lambda query, reply: [b""],
        lambda query, reply: [bytes(65_535)],
    ],
)
def test_a_truncated_answer_without_a_right_one_over_tcp_fails_in_time(over_tcp: Fault) -> None:
    name = "one.example"
    with nameserver(ONE, {name: dns_server.truncated}, {name: over_tcp}) as server:
        began = time.monotonic()
        assert ask(server, name, timeout=0.4).why == "a truncated answer, and none over TCP"
        assert time.monotonic() - began < 10


def test_ten_thousand_answers_fail_quickly() -> None:
    many = answering(*(record(A, bytes((10, 0, n >> 8, n & 255))) for n in range(4000)), counts=(10_000, 0))
    with nameserver(ONE, {"one.example": dns_server.truncated}, {"one.example": many}) as server:
        began = time.monotonic()
        answer = ask(server, "one.example")
    assert answer.why == "10000 records in an answer, at most 256 are read"
    assert time.monotonic() - began < 10


def test_the_next_server_is_asked_after_a_share_of_the_time() -> None:
    async def use(client: DnsClient) -> tuple[list[DnsAnswer], float, float]:
        began = time.monotonic()
        answers = [await look_up(client, "one.example")]
        first = time.monotonic()
        answers += [await look_up(client, f"{number}.example") for number in range(20)]
        return answers, first - began, time.monotonic() - first

    with silent() as dead, nameserver(ONE) as server:
        answers, first, later = run(use, dead, server.address, timeout=2)
    assert [answer.status for answer in answers] == [Status.FOUND] + [Status.NO_NAME] * 20
    assert 0.4 < first < 10
    assert later < 2, "the server that answered is asked first from then on"


@pytest.mark.parametrize("fault", [dns_server.servfail, dns_server.refused, dns_server.broken_off])
def test_the_next_server_is_asked_at_once_after_an_error(fault: Fault) -> None:
    with nameserver(ONE, {"one.example": fault}) as bad, nameserver(ONE) as good:
        began = time.monotonic()
        assert run(lambda client: look_up(client, "one.example"), bad.address, good.address, timeout=8)[:2] == FOUND
        assert time.monotonic() - began < 10


def test_a_server_that_is_not_there_is_passed_over() -> None:
    with nameserver(ONE) as server:
        gone = dns_server.unused_address()
        began = time.monotonic()
        assert run(lambda client: look_up(client, "one.example"), gone, server.address, timeout=8)[:2] == FOUND
        assert time.monotonic() - began < 10


def test_without_any_server_the_end_comes_at_once() -> None:
    began = time.monotonic()
    nowhere = dns_server.unused_address(), ("::1", 1)
    answer = run(lambda client: look_up(client, "one.example"), *nowhere, timeout=8)
    assert (answer.status, answer.why) == (Status.FAILED, "cannot be reached")
    assert time.monotonic() - began < 10


def test_a_late_answer_of_the_first_server_counts() -> None:
    with nameserver(ONE, {"one.example": dns_server.delayed(0.9)}) as slow, silent() as dead:
        answer = run(lambda client: look_up(client, "one.example"), slow.address, dead, timeout=2)
    assert answer[:2] == FOUND


def test_a_lost_datagram_is_sent_again() -> None:
    with nameserver(ONE, {"one.example": once(dns_server.drop)}) as server:
        assert ask(server, "one.example", timeout=0.6)[:2] == FOUND
        assert server.queries["one.example", "A"] == 2


def test_queries_in_flight_are_bounded_and_the_others_wait() -> None:
    async def use(client: DnsClient) -> list[DnsAnswer]:
        return await asyncio.gather(*(look_up(client, f"{number}.example") for number in range(30)))

    at_once: list[int] = []
    under_way = 0

    def slow(query: bytes, reply: bytes) -> Sequence[bytes]:
        nonlocal under_way
        under_way += 1
        at_once.append(under_way)
        time.sleep(0.03)
        under_way -= 1
        return [reply]

    with nameserver({}, {f"{number}.example": slow for number in range(30)}) as server:
        answers = run(use, server.address, max_in_flight=4, timeout=5)
    assert {answer.status for answer in answers} == {Status.NO_NAME}
    assert max(at_once) <= 5, "4, and one whose reply is on its way back"


def test_who_waits_too_long_for_a_place_fails_in_time() -> None:
    async def use(client: DnsClient) -> list[DnsAnswer]:
        return await asyncio.gather(*(look_up(client, f"{number}.example") for number in range(50)))

    with silent() as address:
        began = time.monotonic()
        answers = run(use, address, max_in_flight=2, timeout=0.4)
    assert {answer.why for answer in answers} == {"no answer in time"}
    assert time.monotonic() - began < 10


def test_ids_and_ports_are_not_predictable() -> None:
    async def use(client: DnsClient) -> None:
        for number in range(600):
            await look_up(client, f"{number}.example")

    with nameserver({}) as server:
        run(use, server.address)
    assert len(set(server.ports)) == 3, "a port is given up after 256 questions"
    assert len(set(server.ids)) > 550
    steps = {(after - before) % 65536 for before, after in pairwise(server.ids)}
    assert len(steps) > 500


def test_a_port_that_forgers_aim_at_is_given_up() -> None:
    async def use(client: DnsClient) -> None:
        for number in range(3):
            await look_up(client, f"{number}.example")

    forged = spoofed_before(*[dns_server.wrong_id] * 20)
    with nameserver({}, {f"{number}.example": forged for number in range(3)}) as server:
        run(use, server.address)
    assert len(set(server.ports)) == 3


def test_an_ipv6_nameserver_may_have_a_zone() -> None:
    answer = run(lambda client: look_up(client, "one.example"), ("fe80::1%lo", 53), timeout=0.3)
    assert answer.status is Status.FAILED
