"""The resolver against a nameserver on loopback that misbehaves to order, and against a real rbldnsd."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from safelist.errors import ConfigError
from safelist.filter import dnsbl
from safelist.filter.dns_message import DnsAnswer, Status
from safelist.filter.resolver import Resolver
from tests.filter import dns_server
from tests.filter.dns_server import Fault, Nameserver, nameserver, once
from tests.filter.test_providers import holds
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


def ask(server: Nameserver, name: str, kind: str = "A", **options: Any) -> DnsAnswer:
    answer: DnsAnswer = run(lambda resolver: resolver.query(name, kind), server.address, **options)
    return answer


def answer_to(fault: Fault, name: str = "one.example", kind: str = "A", **options: Any) -> DnsAnswer:
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
    async def twice(resolver: Resolver) -> tuple[DnsAnswer | None, DnsAnswer, DnsAnswer | None]:
        return resolver.peek("one.example"), await resolver.query("one.example"), resolver.peek("ONE.example.")

    with nameserver(ONE, ttl=300) as server:
        before, answer, after = run(twice, server.address)
    assert before is None
    assert after == answer
    assert answer.ttl == 300


def test_an_answer_without_ttl_is_shared_but_not_kept() -> None:
    async def use(resolver: Resolver) -> list[DnsAnswer]:
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
            assert answer.ttl == seconds


def test_a_failure_is_remembered_for_seconds_only() -> None:
    async def use(resolver: Resolver) -> list[DnsAnswer]:
        first = [await resolver.query("one.example") for _ in range(5)]
        while resolver.peek("one.example") is not None:
            await asyncio.sleep(0.01)
        return [*first, await resolver.query("one.example")]

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
    async def use(resolver: Resolver) -> tuple[DnsAnswer, DnsAnswer | None]:
        return await resolver.query("large.example", "TXT"), resolver.peek("large.example", "TXT")

    with nameserver({"large.example": {"TXT": ["x" * 60_000]}}) as server:
        answer, known = run(use, server.address, timeout=30)
        assert server.over_tcp["large.example", "TXT"] == 1
    assert answer.values == ("x" * 60_000,)
    assert known is None


def test_callers_at_the_same_time_share_a_query() -> None:
    async def use(resolver: Resolver) -> list[DnsAnswer]:
        return await asyncio.gather(*(resolver.query(name) for name in ["one.example", "One.example."] * 50))

    with nameserver(ONE, {"one.example": dns_server.delayed(0.1)}) as server:
        assert {answer[:2] for answer in run(use, server.address)} == {FOUND}
        assert server.queries["one.example", "A"] == 1


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_one_callers_cancellation_does_not_touch_the_others(cancelled: int) -> None:
    async def use(resolver: Resolver) -> list[Any]:
        callers = [asyncio.create_task(resolver.query("one.example")) for _ in range(3)]
        assert await holds(lambda: bool(server.queries))
        callers[cancelled].cancel()
        return await asyncio.gather(*callers, return_exceptions=True)

    with nameserver(ONE, {"one.example": dns_server.delayed(0.2)}) as server:
        results = run(use, server.address)
        assert server.queries["one.example", "A"] == 1
    assert isinstance(results.pop(cancelled), asyncio.CancelledError)
    assert [answer[:2] for answer in results] == [FOUND] * 2


def test_a_look_up_that_all_have_given_up_is_still_remembered() -> None:
    async def use(resolver: Resolver) -> DnsAnswer | None:
        caller = asyncio.create_task(resolver.query("one.example"))
        assert await holds(lambda: bool(server.queries))
        caller.cancel()
        assert await holds(lambda: resolver.peek("one.example") is not None)
        return resolver.peek("one.example")

    with nameserver(ONE, {"one.example": dns_server.delayed(0.1)}) as server:
        assert run(use, server.address)[:2] == FOUND


def test_close_ends_what_is_under_way() -> None:
    async def use(resolver: Resolver) -> list[DnsAnswer]:
        callers = [asyncio.create_task(resolver.query(name)) for name in names]
        assert await holds(lambda: server.queries.total() == 3)
        late = asyncio.create_task(resolver.query("late.example"))
        await asyncio.sleep(0)
        resolver.close()
        return [*await asyncio.gather(*callers, late), await resolver.query("after.example")]

    names = [f"{number}.example" for number in range(5)]
    with nameserver({}, dict.fromkeys(names, dns_server.drop)) as server:
        answers = run(use, server.address, max_in_flight=3, timeout=60)
    assert [answer.status for answer in answers] == [Status.FAILED] * 7
    assert all("closed" in (answer.why or "") for answer in answers)


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

    async def use(resolver: Resolver) -> list[DnsAnswer]:
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
