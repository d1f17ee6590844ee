"""The resolver against a nameserver on loopback that misbehaves to order, and against a real rbldnsd."""

import asyncio
import os
import shutil
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path
from typing import Any

import dns.exception
import dns.name
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from safelist.errors import ConfigError
from safelist.filter import dnsbl, resolver
from safelist.filter.resolver import Answer, Resolver, Status
from tests.filter import dns_server
from tests.filter.dns_server import Fault, Nameserver, answering, nameserver, once, record, silent, spoofed_before
from tests.postfix.servers import CLEAN, LISTED, rbldnsd

A, MX, PTR, TXT, AAAA, CNAME, SOA, NS = 1, 15, 12, 16, 28, 5, 6, 2
ADDRESS = bytes((192, 0, 2, 1))
ONE = {"one.example": {"A": ["192.0.2.1"]}}
FOUND = (Status.FOUND, ("192.0.2.1",))


def run(use: Callable[[Resolver], Awaitable[Any]], *servers: tuple[str, int], **options: Any) -> Any:
    """What ``use`` returns for a resolver of its own, in a loop of its own."""

    async def main() -> Any:
        resolver = Resolver(servers, **{"timeout": 2.0} | options)
        try:
            return await use(resolver)
        finally:
            resolver.close()

    return asyncio.run(main())


def ask(server: Nameserver, name: str, kind: str = "A", **options: Any) -> Answer:
    answer: Answer = run(lambda resolver: resolver.query(name, kind), server.address, **options)
    return answer


def answer_to(fault: Fault, name: str = "one.example", kind: str = "A", **options: Any) -> Answer:
    """What becomes of an answer like this."""
    with nameserver(ONE, {name: fault}) as server:
        return ask(server, name, kind, **{"timeout": 0.3} | options)


ZONE = {
    "one.example": {"A": ["192.0.2.1"], "TXT": ["first", "second \xff\x00"], "MX": ["10 mx.one.example.", "0 ."]},
    "two.example": {"A": ["192.0.2.1", "192.0.2.2", "192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["Host.One.example.", r"od\.d.example.", r"a\032b.example.", "a:/b.example."]},
    "alias.example": {"CNAME": ["alias2.example."]},
    "alias2.example": {"CNAME": ["one.example."]},
    "dangling.example": {"CNAME": ["nowhere.example."]},
    "loop.example": {"CNAME": ["loop2.example."]},
    "loop2.example": {"CNAME": ["loop.example."]},
    "self.example": {"CNAME": ["self.example."]},
    "_under_score.example": {"A": ["127.0.0.2"]},
    "long.example": {"TXT": ["x" * 700]},
}


@pytest.mark.parametrize(
    ("name", "kind", "status", "values"),
    [
        ("one.example", "A", Status.FOUND, ("192.0.2.1",)),
        ("ONE.Example.", "A", Status.FOUND, ("192.0.2.1",)),
        ("one.example", "TXT", Status.FOUND, ("first", "second \xff\x00")),
        ("long.example", "TXT", Status.FOUND, ("x" * 700,)),
        ("one.example", "MX", Status.FOUND, ("10 mx.one.example", "0 .")),
        ("one.example", "AAAA", Status.NO_DATA, ()),
        ("two.example", "A", Status.FOUND, ("192.0.2.1", "192.0.2.2")),
        ("two.example", "AAAA", Status.FOUND, ("2001:db8::1",)),
        ("1.2.0.192.in-addr.arpa", "PTR", Status.FOUND, ("host.one.example", "a:/b.example")),
        ("alias.example", "A", Status.FOUND, ("192.0.2.1",)),
        ("alias.example", "AAAA", Status.NO_DATA, ()),
        ("dangling.example", "A", Status.NO_NAME, ()),
        ("nowhere.example", "A", Status.NO_NAME, ()),
        ("loop.example", "A", Status.FAILED, ()),
        ("self.example", "A", Status.FAILED, ()),
        ("_under_score.example", "A", Status.FOUND, ("127.0.0.2",)),
    ],
)
def test_every_kind_of_answer(name: str, kind: str, status: Status, values: Sequence[str]) -> None:
    with nameserver(ZONE) as server:
        answer = ask(server, name, kind)
    assert answer.status is status
    assert sorted(answer.values) == sorted(values)
    assert bool(answer.why) is (status is Status.FAILED)


@pytest.mark.parametrize(
    "name", ["", ".", "a..example", "x" * 64 + ".example", "x." * 126 + "xx", "ö.example", "\ud800.example", "\0é"]
)
def test_what_is_no_name_is_not_asked(name: str) -> None:
    with nameserver(ONE) as server:
        assert ask(server, name).status is Status.FAILED
        assert not server.queries


@pytest.mark.parametrize("name", ["a b.example", 'q"\\.example', "\0.example", "%{i}.example", "a@b.example"])
def test_odd_octets_are_asked_as_they_are(name: str) -> None:
    with nameserver(ONE) as server:
        assert ask(server, name).status is Status.NO_NAME
        assert len(server.queries) == 1


def test_the_longest_name_is_asked() -> None:
    with nameserver(ONE) as server:
        assert ask(server, "x." * 126 + "x").status is Status.NO_NAME


def test_another_kind_is_the_callers_error() -> None:
    with nameserver(ONE) as server, pytest.raises(ValueError, match="no such kind"):
        ask(server, "one.example", "ANY")


def test_answers_are_remembered_for_their_ttl() -> None:
    async def twice(resolver: Resolver) -> tuple[Answer | None, Answer, Answer | None]:
        return resolver.peek("one.example"), await resolver.query("one.example"), resolver.peek("ONE.example.")

    with nameserver(ONE, ttl=300) as server:
        before, answer, after = run(twice, server.address)
    assert before is None
    assert after == answer
    assert 299 < answer.expires - time.monotonic() <= 300


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(0, 0), (1, 1), (86_400, 86_400), (86_401, 86_400), ((1 << 31) - 1, 86_400), (1 << 31, 0),
                         ((1 << 32) - 1, 0)],
)  # fmt: skip
def test_absurd_ttls_are_bounded(ttl: int, seconds: int) -> None:
    answer = answer_to(answering(record(A, ADDRESS, ttl=ttl)))
    assert answer[:2] == FOUND
    assert seconds - 1 < answer.expires - time.monotonic() <= seconds


def test_the_shortest_ttl_of_a_chain_counts() -> None:
    alias = record(CNAME, b"\1b\xc0\x10", ttl=7)
    address = record(A, ADDRESS, owner=b"\1b\xc0\x10", ttl=300)
    other = record(A, bytes(4), owner=b"\1c\xc0\x10", ttl=1)
    answer = answer_to(answering(address, other, alias))
    assert answer[:2] == FOUND
    assert 6 < answer.expires - time.monotonic() <= 7


def test_an_answer_without_ttl_is_shared_but_not_kept() -> None:
    async def use(resolver: Resolver) -> list[Answer]:
        answers = await asyncio.gather(*(resolver.query("one.example") for _ in range(9)))
        return [*answers, await resolver.query("one.example")]

    with nameserver(ONE, ttl=0) as server:
        answers = run(use, server.address)
        assert server.queries["one.example", "A"] == 2
    assert all(answer[:2] == FOUND for answer in answers)


@pytest.mark.parametrize(
    ("negative_ttl", "seconds"), [(7, 7), (0, 0), (10_800, 10_800), (86_400, 10_800), (1 << 31, 0), (None, 60)]
)
def test_absence_is_remembered_as_the_soa_says(negative_ttl: int | None, seconds: int) -> None:
    with nameserver(ONE, negative_ttl=negative_ttl) as server:
        for name, kind, status in (("no.example", "A", Status.NO_NAME), ("one.example", "TXT", Status.NO_DATA)):
            answer = ask(server, name, kind)
            assert answer.status is status
            assert seconds - 1 < answer.expires - time.monotonic() <= seconds


def test_a_failure_is_remembered_for_seconds_only() -> None:
    async def use(resolver: Resolver) -> list[Answer]:
        first = [await resolver.query("one.example") for _ in range(5)]
        await asyncio.sleep(resolver_failed_ttl + 0.1)
        return [*first, await resolver.query("one.example")]

    resolver_failed_ttl = resolver.FAILED_TTL
    with nameserver(ONE, {"one.example": once(dns_server.servfail)}) as server:
        answers = run(use, server.address)
        assert server.queries["one.example", "A"] == 2
    assert [answer.status for answer in answers] == [Status.FAILED] * 5 + [Status.FOUND]
    assert "SERVFAIL" in (answers[0].why or "")


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    async def use(resolver: Resolver) -> list[bool]:
        names = [f"{number}.example" for number in range(4)]
        for name in names[:3]:
            await resolver.query(name)
        resolver.peek(names[0])
        await resolver.query(names[3])
        return [resolver.peek(name) is not None for name in names]

    with nameserver({}) as server:
        assert run(use, server.address, max_cached=3) == [True, False, True, True]


def test_a_large_answer_is_not_kept() -> None:
    async def use(resolver: Resolver) -> tuple[Answer, Answer | None]:
        return await resolver.query("large.example", "TXT"), resolver.peek("large.example", "TXT")

    with nameserver({"large.example": {"TXT": ["x" * 60_000]}}) as server:
        answer, known = run(use, server.address, timeout=30)
        assert server.over_tcp["large.example", "TXT"] == 1
    assert answer.values == ("x" * 60_000,)
    assert known is None


def test_callers_at_the_same_time_share_a_query() -> None:
    async def use(resolver: Resolver) -> list[Answer]:
        return await asyncio.gather(*(resolver.query(name) for name in ["one.example", "One.example."] * 50))

    with nameserver(ONE, {"one.example": dns_server.delayed(0.1)}) as server:
        assert {answer[:2] for answer in run(use, server.address)} == {FOUND}
        assert server.queries["one.example", "A"] == 1


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_one_callers_cancellation_does_not_touch_the_others(cancelled: int) -> None:
    async def use(resolver: Resolver) -> list[Any]:
        callers = [asyncio.create_task(resolver.query("one.example")) for _ in range(3)]
        await asyncio.sleep(0.05)
        callers[cancelled].cancel()
        return await asyncio.gather(*callers, return_exceptions=True)

    with nameserver(ONE, {"one.example": dns_server.delayed(0.2)}) as server:
        results = run(use, server.address)
        assert server.queries["one.example", "A"] == 1
    assert isinstance(results.pop(cancelled), asyncio.CancelledError)
    assert [answer[:2] for answer in results] == [FOUND] * 2


def test_a_look_up_that_all_have_given_up_is_still_remembered() -> None:
    async def use(resolver: Resolver) -> Answer | None:
        caller = asyncio.create_task(resolver.query("one.example"))
        await asyncio.sleep(0.05)
        caller.cancel()
        await asyncio.sleep(0.3)
        return resolver.peek("one.example")

    with nameserver(ONE, {"one.example": dns_server.delayed(0.1)}) as server:
        assert run(use, server.address)[:2] == FOUND


def test_close_ends_what_is_under_way() -> None:
    async def use(resolver: Resolver) -> list[Answer]:
        callers = [asyncio.create_task(resolver.query(f"{number}.example")) for number in range(5)]
        await asyncio.sleep(0.05)
        late = asyncio.create_task(resolver.query("late.example"))
        await asyncio.sleep(0)
        resolver.close()
        return [*await asyncio.gather(*callers, late), await resolver.query("after.example")]

    with silent() as address:
        answers = run(use, address, max_in_flight=3)
    assert [answer.status for answer in answers] == [Status.FAILED] * 7
    assert all("closed" in (answer.why or "") for answer in answers)


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

    async def use(resolver: Resolver) -> list[Answer]:
        return [await resolver.query(name, "TXT") for name in zone]

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


POINTER_LOOP = b"\xc0\x1d"
"""At 29, where the first record of an answer for one.example begins, this points to itself."""


def chain(length: int) -> Fault:
    """That many aliases, one after the other, and an address at the end."""
    names = [b"\xc0\x0c", *(b"\3%03d\xc0\x10" % number for number in range(length))]
    aliases = [record(CNAME, target, owner=owner) for owner, target in pairwise(names)]
    return answering(*aliases, record(A, ADDRESS, owner=names[-1]))


@pytest.mark.parametrize(
    "fault",
    [
        dns_server.broken_off,
        answering(record(A, b"\1\2\3")),
        answering(record(A, b"\1\2\3\4\5")),
        answering(record(A, ADDRESS), counts=(2, 0)),
        answering(record(A, ADDRESS), counts=(256, 65_535)),
        answering(record(A, ADDRESS, owner=POINTER_LOOP)),
        answering(record(A, ADDRESS, owner=b"\xc0\xff")),
        answering(record(A, ADDRESS, owner=b"\x80x\0")),
        answering(record(A, ADDRESS, owner=b"\x3fx")),
        answering(record(CNAME, b"\xc0\x29")),
        answering(record(CNAME, b"\xc0\x0c")),
        answering(record(CNAME, b"\xff\xff\xff")),
        answering(record(CNAME, b"\1b\xc0\x10"), record(CNAME, b"\xc0\x0c", owner=b"\1b\xc0\x10")),
        chain(16),
        chain(200),
    ],
)
def test_malformed_answers_fail(fault: Fault) -> None:
    assert answer_to(fault)[:3] == (Status.FAILED, (), "a malformed answer")


def test_a_chain_of_fifteen_aliases_is_followed() -> None:
    assert answer_to(chain(15))[:2] == FOUND


def test_authorities_are_not_read_where_there_is_an_answer() -> None:
    assert answer_to(answering(record(A, ADDRESS), counts=(1, 65_535)))[:2] == FOUND


@pytest.mark.parametrize(("flags", "status"), [(0x8180, Status.NO_DATA), (0x8183, Status.NO_NAME)])
def test_an_empty_answer_says_no(flags: int, status: Status) -> None:
    assert answer_to(answering(flags=flags)).status is status


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (TXT, b"\5abc"), (TXT, b"\3abc\xff"), (MX, b""), (MX, b"\0"), (MX, b"\0\x0a"), (MX, b"\0\x0a\1a"),
        (MX, b"\0\x0a\xc0\x0cx"), (PTR, b""), (PTR, b"\xc0\x29"), (PTR, b"\1a\0x"), (AAAA, ADDRESS),
    ],
)  # fmt: skip
def test_malformed_data_fails(kind: int, data: bytes) -> None:
    text = {TXT: "TXT", MX: "MX", PTR: "PTR", AAAA: "AAAA"}[kind]
    assert answer_to(answering(record(kind, data)), kind=text).why == "a malformed answer"


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0"])
def test_a_text_may_be_empty(data: bytes) -> None:
    assert answer_to(answering(record(TXT, data)), kind="TXT")[:2] == (Status.FOUND, ("",))


def test_records_of_other_names_are_not_the_answer() -> None:
    poison = record(A, bytes((6, 6, 6, 6)), owner=b"\4evil\xc0\x10")
    assert answer_to(answering(poison)).status is Status.NO_DATA
    assert answer_to(answering(poison, record(A, ADDRESS)))[:2] == FOUND


def test_the_owner_may_be_written_out_in_another_case() -> None:
    assert answer_to(answering(record(A, ADDRESS, owner=b"\3ONE\7eXample\0")))[:2] == FOUND


def test_an_answer_beside_nxdomain_does_not_count() -> None:
    assert answer_to(answering(record(A, ADDRESS), flags=0x8183)).status is Status.NO_NAME


def test_a_referral_is_a_failure() -> None:
    referral = answering(record(NS, b"\2ns\xc0\x0c"), flags=0x8100, counts=(0, 1))
    assert "does not recurse" in (answer_to(referral).why or "")


def test_ten_thousand_answers_fail_quickly() -> None:
    many = answering(*(record(A, bytes((10, 0, n >> 8, n & 255))) for n in range(4000)), counts=(10_000, 0))
    with nameserver(ONE, {"one.example": dns_server.truncated}, {"one.example": many}) as server:
        began = time.monotonic()
        answer = ask(server, "one.example")
    assert answer.why == "10000 records in an answer, at most 256 are read"
    assert time.monotonic() - began < 10


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.sampled_from([0x8180, 0x8183, 0x8400]), st.tuples(*[st.integers(0, 600)] * 2),
       st.sampled_from(["A", "AAAA", "MX", "PTR", "TXT"]))  # fmt: skip
def test_any_octets_are_read_without_harm(body: bytes, flags: int, counts: tuple[int, int], kind: str) -> None:
    question = resolver._question("one.example", kind)
    assert question
    header = flags.to_bytes(2, "big") + b"\0\1" + b"".join(count.to_bytes(2, "big") for count in counts) + b"\0\0"
    answer = resolver._read_answer(b"\0\0" + header + question + body, question, kind)
    assert (answer.status is Status.FOUND) is bool(answer.values)


_OWNERS = st.sampled_from([b"\xc0\x0c", b"\1b\xc0\x10", b"\1c\xc0\x10", b"\0", b"\xc0\x1d"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.builds(record, st.sampled_from([A, AAAA, TXT, MX, PTR, CNAME, SOA, NS, 46]),
                          st.one_of(_OWNERS, st.binary(max_size=30)), _OWNERS, st.integers(0, 2**32 - 1)), max_size=12),
       st.sampled_from(["A", "AAAA", "MX", "PTR", "TXT"]), st.integers(0, 12))  # fmt: skip
def test_any_records_are_read_without_harm(records: list[bytes], kind: str, answers: int) -> None:
    question = resolver._question("one.example", kind)
    assert question
    counts = b"".join(count.to_bytes(2, "big") for count in (answers, max(0, len(records) - answers)))
    header = b"\0\0\x81\x80\0\1" + counts + b"\0\0"
    answer = resolver._read_answer(header + question + b"".join(records), question, kind)
    assert answer.expires - time.monotonic() <= resolver.MAX_TTL


@given(st.text(max_size=300))
def test_a_question_is_what_dnspython_makes_of_the_name(name: str) -> None:
    question = resolver._question(name, "A")
    if question is not None:
        labels = tuple(label.encode() for label in name.split("."))
        assert dns.name.from_wire(question, 0) == (dns.name.Name((*labels, b"")), len(question) - 4)


_FEW = [0, 1, 2, 3, 63, 64, 65, 97, 0xC0, 0xC1, 0xFF]
"""Octets of which pointers and labels come often."""


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(_FEW), max_size=40).map(bytes), st.integers(0, 40))
@example(b"\0" + b"".join(bytes([0xC0, max(2 * n - 1, 0)]) for n in range(17)), 33)
@example(b"\0" + b"".join(bytes([0xC0, max(2 * n - 1, 0)]) for n in range(16)), 31)
@example(b"\x01\xc0\x00", 1)  # leads to a label that holds the pointer itself
def test_names_are_read_as_dnspython_reads_them(message: bytes, at: int) -> None:
    try:
        expected = tuple(label.lower() for label in dns.name.from_wire(message, at)[0].labels[:-1])
    except (dns.exception.DNSException, ValueError):
        with pytest.raises((resolver._MalformedError, IndexError)):
            resolver._labels(message, at)
    else:
        assert resolver._labels(message, at) == expected


def test_the_next_server_is_asked_after_a_share_of_the_time() -> None:
    async def use(resolver: Resolver) -> tuple[list[Answer], float, float]:
        began = time.monotonic()
        answers = [await resolver.query("one.example")]
        first = time.monotonic()
        answers += [await resolver.query(f"{number}.example") for number in range(20)]
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
        assert run(lambda resolver: resolver.query("one.example"), bad.address, good.address, timeout=8)[:2] == FOUND
        assert time.monotonic() - began < 10


def test_a_server_that_is_not_there_is_passed_over() -> None:
    with nameserver(ONE) as server:
        gone = dns_server.unused_address()
        began = time.monotonic()
        assert run(lambda resolver: resolver.query("one.example"), gone, server.address, timeout=8)[:2] == FOUND
        assert time.monotonic() - began < 10


def test_without_any_server_the_end_comes_at_once() -> None:
    began = time.monotonic()
    nowhere = dns_server.unused_address(), ("::1", 1)
    answer = run(lambda resolver: resolver.query("one.example"), *nowhere, timeout=8)
    assert (answer.status, answer.why) == (Status.FAILED, "cannot be reached")
    assert time.monotonic() - began < 10


def test_a_late_answer_of_the_first_server_counts() -> None:
    with nameserver(ONE, {"one.example": dns_server.delayed(0.9)}) as slow, silent() as dead:
        answer = run(lambda resolver: resolver.query("one.example"), slow.address, dead, timeout=2)
    assert answer[:2] == FOUND


def test_a_lost_datagram_is_sent_again() -> None:
    with nameserver(ONE, {"one.example": once(dns_server.drop)}) as server:
        assert ask(server, "one.example", timeout=0.6)[:2] == FOUND
        assert server.queries["one.example", "A"] == 2


def test_queries_in_flight_are_bounded_and_the_others_wait() -> None:
    async def use(resolver: Resolver) -> list[Answer]:
        return await asyncio.gather(*(resolver.query(f"{number}.example") for number in range(30)))

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
    async def use(resolver: Resolver) -> list[Answer]:
        return await asyncio.gather(*(resolver.query(f"{number}.example") for number in range(50)))

    with silent() as address:
        began = time.monotonic()
        answers = run(use, address, max_in_flight=2, timeout=0.4)
    assert {answer.why for answer in answers} == {"no answer in time"}
    assert time.monotonic() - began < 10


def test_ids_and_ports_are_not_predictable() -> None:
    async def use(resolver: Resolver) -> None:
        for number in range(600):
            await resolver.query(f"{number}.example")

    with nameserver({}) as server:
        run(use, server.address)
    assert len(set(server.ports)) == 3, "a port is given up after 256 questions"
    assert len(set(server.ids)) > 550
    steps = {(after - before) % 65536 for before, after in pairwise(server.ids)}
    assert len(steps) > 500


def test_a_port_that_forgers_aim_at_is_given_up() -> None:
    async def use(resolver: Resolver) -> None:
        for number in range(3):
            await resolver.query(f"{number}.example")

    forged = spoofed_before(*[dns_server.wrong_id] * 20)
    with nameserver({}, {f"{number}.example": forged for number in range(3)}) as server:
        run(use, server.address)
    assert len(set(server.ports)) == 3


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_socket_stays_open() -> None:
    async def use(resolver: Resolver) -> None:
        before = _open_files()
        for number in range(30):
            await asyncio.gather(*(resolver.query(f"{number}.{other}.example") for other in range(20)))
        assert _open_files() - before <= 2

    with nameserver({}) as server:
        run(use, server.address)


@pytest.mark.parametrize(
    "servers", [[], [("resolver.example", 53)], [("127.0.0.1", -1)], [("127.0.0.1", 1 << 70)], [("127.0.0.300", 53)],
                [("\ud800", 53)], [("", 53)]]
)  # fmt: skip
def test_nameservers_are_ip_addresses(servers: list[tuple[str, int]]) -> None:
    with pytest.raises(ConfigError, match="write"):
        Resolver(servers)


def test_an_ipv6_nameserver_may_have_a_zone() -> None:
    answer = run(lambda resolver: resolver.query("one.example"), ("fe80::1%lo", 53), timeout=0.3)
    assert answer.status is Status.FAILED


def test_the_systems_nameservers_are_the_default() -> None:
    Resolver().close()


def test_no_text_holds_the_name() -> None:
    faults = {"key.example": dns_server.servfail, "key2.example": dns_server.broken_off}
    with nameserver({"key2.example": ONE["one.example"]}, faults) as server:
        for name in [*faults, "key..example", "kéy.example"]:
            assert "key" not in (ask(server, name).why or "")


@pytest.mark.skipif(
    not shutil.which("rbldnsd", path="/usr/sbin:/usr/bin"), reason="rbldnsd is missing: apt-get install rbldnsd"
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may open port 53: sudo make test")
def test_a_real_dnsbl_is_understood() -> None:
    zone = "bl.example"
    listed, clean = (dnsbl.query_name(IPv4Address(client), zone) for client in (LISTED, CLEAN))
    points = dnsbl.test_names(zone)

    async def use(resolver: Resolver) -> list[Answer]:
        names = [(listed, "A"), (listed, "TXT"), (clean, "A"), (points.not_listed, "A"), ("2.0.0.127.other", "A")]
        return [await resolver.query(*name) for name in names]

    with rbldnsd(zone) as address:
        answers = run(use, (address, 53))
    assert [answer[:2] for answer in answers] == [
        (Status.FOUND, ("127.0.0.2",)),
        (Status.FOUND, ("listed for a test",)),
        (Status.NO_NAME, ()),
        (Status.NO_NAME, ()),
        (Status.FAILED, ()),
    ]
    provider = dnsbl.Provider(name="Test", lookup_domain=zone, any_match=True)
    assert dnsbl.classify(provider, answers[0].values).kind is dnsbl.ListingKind.LISTED
    assert dnsbl.classify(provider, answers[2].values).kind is dnsbl.ListingKind.NOT_LISTED
