"""When a list is left alone, when it is believed no more, and that neither is one client's doing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest

from safelist.filter import dnsbl
from safelist.filter.dnsbl import AllowProvider, Provider, query_name
from safelist.filter.providers import Providers
from safelist.filter.resolver import Resolver
from tests.filter.dns_server import Fault, Nameserver, Zone, drop, nameserver, refused, servfail

BLOCK = Provider(name="Block", lookup_domain="block.example", ip_address_match=("127.0.0.2-127.0.0.11",))
SECOND = Provider(name="Second", lookup_domain="second.example", any_match=True)
ALLOW = AllowProvider(name="Allow", lookup_domain="allow.example", any_match=True)
POINTS = dnsbl.test_names("block.example")
GOOD: Zone = {POINTS.listed: {"A": ["127.0.0.2"]}}
"""A list that holds nobody but its test point."""


class Below(dict[str, Fault]):
    """A fault for every name that ends so."""

    def __init__(self, faults: Mapping[str, Fault]) -> None:
        super().__init__(faults)  # an empty one would count as none
        self.faults = dict(faults)

    def get(self, name: str, default: Any = None) -> Any:
        return next((fault for end, fault in self.faults.items() if name.endswith(end)), default)


def asking(
    use: Callable[[Providers, Nameserver], Awaitable[Any]],
    zone: Zone,
    faults: Mapping[str, Fault] | None = None,
    *providers: Provider | AllowProvider,
    timeout: float = 20,
) -> Any:
    """What ``use`` returns, with lists that are asked of a nameserver on loopback; nothing of it is cached."""

    async def run(server: Nameserver) -> Any:
        resolver = Resolver([server.address], timeout=timeout)
        chosen = providers or (BLOCK,)
        block = [each for each in chosen if isinstance(each, Provider)]
        allow = [each for each in chosen if isinstance(each, AllowProvider)]
        try:
            return await use(Providers(resolver, block, allow, timeout, rest=0.05), server)
        finally:
            resolver.close()

    with nameserver(zone, faults, ttl=0, negative_ttl=0) as server:
        return asyncio.run(run(server))


async def holds(condition: Callable[[], bool]) -> bool:
    """Whether it comes to hold."""
    for _ in range(2000):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return False


def client(number: int, family: int = 4) -> IPv4Address | IPv6Address:
    """Each in a network of its own."""
    return ip_address(f"198.{18 + number // 250}.{number % 250}.7" if family == 4 else f"2a00:{number:x}::7")


def names_of(clients: Sequence[IPv4Address | IPv6Address]) -> dict[str, Fault]:
    return {query_name(each, "block.example"): servfail for each in clients}


# -- left alone


@pytest.mark.parametrize("family", [4, 6])
def test_clients_whose_names_fail_switch_no_list_off(family: int) -> None:
    bad = [client(number, family) for number in range(30)]
    listed = client(99, family)

    async def use(lists: Providers, server: Nameserver) -> list[int]:
        for each in bad:
            assert (await lists.ask(each)).failed == ("Block",)
        await asyncio.gather(*lists._under_way.values())
        return [len((await lists.ask(listed)).block) for _ in range(3)]

    zone = {**GOOD, query_name(listed, "block.example"): {"A": ["127.0.0.2"]}}
    assert asking(use, zone, names_of(bad)) == [1, 1, 1]


def test_a_list_that_fails_for_one_family_goes_on_for_the_other() -> None:
    listed = client(99, 4)

    async def use(lists: Providers, server: Nameserver) -> tuple[Sequence[str], int]:
        for number in range(10):
            await lists.ask(client(number, 6))
        assert await holds(lambda: lists.peek(client(20, 6)) is not None)
        found = lists.peek(client(3, 6))
        return (found.failed if found else (), len((await lists.ask(listed)).block))

    zone = {**GOOD, query_name(listed, "block.example"): {"A": ["127.0.0.2"]}}
    faults = Below({".2.block.example": servfail})  # every public IPv6 address begins so
    assert asking(use, zone, faults) == (("Block",), 1)


@pytest.mark.parametrize("fault", [servfail, refused, drop])
def test_no_mail_waits_for_a_dead_list_and_it_counts_again_when_it_lives(fault: Fault) -> None:
    faults, listed = Below({".block.example": fault}), client(99)

    async def use(lists: Providers, server: Nameserver) -> tuple[Sequence[str], int]:
        asked = await asyncio.gather(*(lists.ask(client(number)) for number in range(10)))
        assert [found.failed for found in asked] == [("Block",)] * 10
        assert await holds(lambda: lists.peek(client(50)) is not None)
        found = await lists.ask(client(60))
        assert query_name(client(60), "block.example") not in {name for name, _ in server.queries}
        faults.faults.clear()
        assert await holds(lambda: lists.peek(client(50)) is None)
        return found.failed, len((await lists.ask(listed)).block)

    zone = {**GOOD, query_name(listed, "block.example"): {"A": ["127.0.0.2"]}}
    assert asking(use, zone, faults, timeout=2) == (("Block",), 1)


def test_one_client_that_asks_again_is_one_failure() -> None:
    async def use(lists: Providers, server: Nameserver) -> int:
        for _ in range(30):
            await lists.ask(client(1))
        return sum(name.endswith(".127.block.example") for name, _ in server.queries)

    assert asking(use, GOOD, Below({".block.example": servfail})) == 0


# -- IPv6


@pytest.mark.parametrize(
    ("zone", "troubles", "found"),
    [
        (GOOD, [], (1, 0, ())),
        ({**GOOD, POINTS.ipv6_listed: {"A": ["127.0.0.2"]}}, [], (1, 0, ())),
        ({**GOOD, POINTS.ipv6_not_listed: {"A": ["127.0.0.2"]}}, ["every IPv6 address"], (1, 0, ("Block",))),
        ({**GOOD, "*.0.0.0.0.0.0.0.0.block.example": {"A": ["127.0.0.3"]}}, ["every IPv6 address"], (1, 0, ("Block",))),
        ({**GOOD, POINTS.not_listed: {"A": ["127.0.0.2"]}}, ["so everybody"], (0, 1, ())),
    ],
)
def test_a_list_that_holds_every_address_of_a_family(zone: Zone, troubles: list[str], found: tuple[Any, ...]) -> None:
    listed4, listed6 = client(98), client(99, 6)

    async def use(lists: Providers, server: Nameserver) -> tuple[list[str], list[Any]]:
        told = await lists.check_test_points()
        return told, [await lists.ask(listed4), await lists.ask(listed6)]

    ipv6 = {} if found[1:] == (0, ()) else {query_name(listed6, "block.example"): {"A": ["127.0.0.2"]}}
    told, (of4, of6) = asking(use, {query_name(listed4, "block.example"): {"A": ["127.0.0.2"]}, **ipv6, **zone})
    assert [text for text in told if troubles and troubles[0] in text] == told
    assert len(told) == len(troubles)
    assert (len(of4.block), len(of6.block), of6.failed) == found


def test_a_list_that_fails_about_ipv6_is_said_not_to_answer_there() -> None:
    async def use(lists: Providers, server: Nameserver) -> list[str]:
        return await lists.check_test_points()

    (told,) = asking(use, GOOD, {POINTS.ipv6_listed: servfail, POINTS.ipv6_not_listed: servfail})
    assert told == (
        "Block (block.example) gives no answer about IPv6 addresses, whose mail is not rejected then: "
        "the nameserver answers SERVFAIL"
    )


# -- lists that begin to hold everybody


async def rejected(lists: Providers, numbers: range, family: int = 4) -> list[int]:
    """Which of these clients a list holds, asked one after the other."""
    return [number for number in numbers if (await lists.ask(client(number, family))).block]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("answer", ["127.0.0.2", "127.0.0.11"])
def test_a_list_that_begins_to_hold_everybody_is_noticed_at_once(
    family: int, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    zone = dict(GOOD)

    async def use(lists: Providers, server: Nameserver) -> list[int]:
        assert await lists.check_test_points() == []
        zone["*.block.example"] = {"A": [answer]}
        return await rejected(lists, range(100), family)

    assert asking(use, zone) == list(range(9))
    (told,) = [record.getMessage() for record in caplog.records if "not believed" in record.getMessage()]
    test, who = ("127.0.0.1", "everybody") if family == 4 else ("::ffff:7f00:1", "every IPv6 address")
    assert f"Block (block.example) lists {test}, or whatever it is asked for, and so {who}: " in told


def test_that_the_test_points_lie_in_a_cache_hides_nothing() -> None:
    zone: dict[str, Any] = {**GOOD, POINTS.not_listed: {}}  # as a resolver remembers it

    async def use(lists: Providers, server: Nameserver) -> list[int]:
        assert await lists.check_test_points() == []
        zone["*.block.example"] = {"A": ["127.0.0.2"]}
        found = await rejected(lists, range(30))
        assert await lists.check_test_points() != [], "nor does the hourly look believe it again"
        return found + await rejected(lists, range(40, 70))

    assert asking(use, zone) == list(range(9))


def test_an_allow_list_that_begins_to_hold_everybody_admits_nobody() -> None:
    async def use(lists: Providers, server: Nameserver) -> list[int]:
        found = [len((await lists.ask(client(number))).allow) for number in range(20)]
        return [*found, (await lists.ask(client(21))).failed.count("Allow")]

    assert asking(use, {"*.allow.example": {"A": ["127.0.0.2"]}}, None, SECOND, ALLOW) == [1] * 9 + [0] * 11 + [1]


def test_many_listed_clients_in_a_row_are_rejected_all_the_same() -> None:
    zone = {**GOOD, **{query_name(client(number), "block.example"): {"A": ["127.0.0.2"]} for number in range(60)}}

    async def use(lists: Providers, server: Nameserver) -> list[int]:
        return await rejected(lists, range(60))

    assert asking(use, zone) == list(range(60))


def test_clients_of_one_network_are_no_reason_to_doubt() -> None:
    clients = [ip_address(f"198.18.0.{number}") for number in range(60)]
    zone = {**GOOD, **{query_name(each, "block.example"): {"A": ["127.0.0.2"]} for each in clients}}

    async def use(lists: Providers, server: Nameserver) -> int:
        for each in clients:
            assert (await lists.ask(each)).block
        return sum(count for (name, _), count in server.queries.items() if name == POINTS.not_listed)

    assert asking(use, zone) == 0


def test_nobody_is_rejected_while_the_test_points_do_not_answer() -> None:
    faults = {POINTS.not_listed: drop}

    async def use(lists: Providers, server: Nameserver) -> list[int]:
        return await rejected(lists, range(12))

    assert asking(use, {"*.block.example": {"A": ["127.0.0.2"]}}, faults, timeout=3) == list(range(9))


def test_a_list_that_has_expired_and_answers_with_a_web_server_holds_nobody() -> None:
    async def use(lists: Providers, server: Nameserver) -> list[Any]:
        return [await rejected(lists, range(20)), (await lists.check_test_points())[0]]

    nobody, told = asking(use, {"*.block.example": {"A": ["203.0.113.80"]}})
    assert nobody == []
    assert "outside 127.0.0.0/8: the list is gone" in told


def test_a_list_that_holds_everybody_no_more_counts_again() -> None:
    zone: dict[str, Any] = {"*.block.example": {"A": ["127.0.0.2"]}}

    async def use(lists: Providers, server: Nameserver) -> int:
        await lists.check_test_points()
        assert await rejected(lists, range(5)) == []
        zone.clear()
        zone.update({**GOOD, query_name(client(7), "block.example"): {"A": ["127.0.0.2"]}})
        await lists._look_again()
        return len((await lists.ask(client(7))).block)

    assert asking(use, zone) == 1
