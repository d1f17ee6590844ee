"""Asking the IP lists about a client: all at once, from the cache without waiting; trouble is said once an hour.

What one client, or one family of addresses, makes a list do says nothing about the list: before it is left alone, or
believed no more, it is asked about addresses that belong to no client.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from time import monotonic
from typing import Any, NamedTuple

from safelist.filter.decision import Listings
from safelist.filter.dns_message import DnsAnswer, Status
from safelist.filter.dnsbl import (
    AllowProvider,
    Listing,
    ListingKind,
    Lookup,
    Provider,
    classify,
    query_name,
    test_names,
)
from safelist.filter.resolver import Resolver

SAY_EVERY = 3600.0
"""Seconds until the same trouble with a list is said again, and between two looks at the test points."""
_DOUBTED_EVERY = 60.0
"""Seconds between two looks at a list that is believed no more."""
_MOST_FAILURES = 10
_MOST_LISTED = 10
"""Clients of different networks, one after the other, that a list may hold before its test points are asked.

At busy servers nine clients in ten are listed by rights, so that a third of all runs get this long: each costs a few
queries, once a second at most. Until a run is this long, a list that has begun to hold everybody may reject nine mails.
"""
_LOOK_EVERY = 1.0
_SAMPLES = (2, 6, 8, 16)
"""Addresses at random that are asked about, step by step until one is not listed. A list that holds half of all
addresses holds these 32 once in four thousand million times."""
_CLEAN = Listings()
_log = logging.getLogger("safelist.filter")


class _Part(NamedTuple):
    """What a list says of one family of addresses: 4 or 6. The two parts fail, and go wrong, each for itself."""

    list: str
    family: int


class Providers:
    """The block lists and allow lists of the configuration, asked through one resolver within ``timeout`` seconds.

    A list that does not answer ten times running, nor about an address that no client has, is left alone until it
    answers about such a one, which is asked every ``rest`` seconds: so no mail waits for it.
    """

    def __init__(
        self,
        resolver: Resolver,
        providers: Iterable[Provider],
        allow: Iterable[AllowProvider],
        timeout: float,
        rest: float = 30.0,
    ) -> None:
        self._resolver = resolver
        self._timeout = timeout
        self._rest = rest
        self._block = [provider for provider in providers if provider.enabled]
        self._allow = [provider for provider in allow if provider.enabled]
        self._lists: list[Lookup] = [*self._block, *self._allow]
        self._said: dict[str, float] = {}
        self._list_everybody: set[_Part] = set()
        self._failures: Counter[_Part] = Counter()
        self._resting: set[_Part] = set()
        self._listed: dict[_Part, set[int]] = {}
        self._looked: dict[_Part, float] = {}
        self._under_way: dict[tuple[str, _Part], asyncio.Task[None]] = {}

    def peek(self, client: IPv4Address | IPv6Address) -> Listings | None:
        """What is known without asking; None where somebody has to be asked."""
        answers = []
        for each in self._lists:
            answer = self._resolver.peek(query_name(client, each.lookup_domain)) or self._rest_of(each, client)
            if answer is None:
                return None
            answers.append(answer)
        return self._found(client, answers)

    async def ask(self, client: IPv4Address | IPv6Address) -> Listings:
        """Ask all of them, and wait for what they say."""
        return self._found(client, await asyncio.gather(*(self._ask(each, client) for each in self._lists)))

    async def _ask(self, each: Lookup, client: IPv4Address | IPv6Address) -> DnsAnswer:
        name, part = query_name(client, each.lookup_domain), _part(each, client)
        if (known := self._resolver.peek(name) or self._rest_of(each, client)) is not None:
            return known  # tells nothing new about the list
        answer = await self._query(name)
        if answer.status is Status.FAILED:
            self._failures[part] += 1
            if self._failures[part] >= _MOST_FAILURES:
                self._begin("alive", part, self._leave_alone(each, part))
            return answer
        self._failures.pop(part, None)
        return answer if await self._is_credible(each, part, client, answer) else _DOUBTFUL

    def _begin(self, what: str, part: _Part, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do it in the background, unless it is under way."""
        key = what, part
        if (task := self._under_way.get(key)) is not None:
            work.close()
            return task
        task = self._under_way[key] = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return task

    async def _leave_alone(self, each: Lookup, part: _Part) -> None:
        """Ask nothing of that part for as long as it does not answer about an address that nobody could make fail.

        That address is a random one: an answer for the test points may lie in a cache, long after the list has gone.
        """
        while (await self._query(query_name(_nobody(part.family), each.lookup_domain))).status is Status.FAILED:
            self._resting.add(part)
            await asyncio.sleep(self._rest)
        self._resting.discard(part)
        self._failures.pop(part, None)

    def _rest_of(self, each: Lookup, client: IPv4Address | IPv6Address) -> DnsAnswer | None:
        if not self._resting or _part(each, client) not in self._resting:
            return None
        return DnsAnswer(Status.FAILED, why=f"no answer {_MOST_FAILURES} times running; left alone until it answers")

    async def _is_credible(
        self, each: Lookup, part: _Part, client: IPv4Address | IPv6Address, answer: DnsAnswer
    ) -> bool:
        """Whether the answer may count. After too many listed clients the list is looked at first.

        A mail waits for that at most ``timeout`` seconds; then it is not rejected for what is not known to be right.
        """
        if not answer.values or classify(each, answer.values).kind is not ListingKind.LISTED:
            self._listed.pop(part, None)
            return True
        if part in self._list_everybody:
            return True  # but it does not count
        run = self._listed.setdefault(part, set())
        run.add(_network(client))
        is_due = self._looked.get(part, -_LOOK_EVERY) + _LOOK_EVERY <= monotonic()
        if ("everybody", part) not in self._under_way and (len(run) < _MOST_LISTED or not is_due):
            return True
        look = self._begin("everybody", part, self._look(each, part))
        done, _ = await asyncio.wait({look}, timeout=self._timeout)
        return bool(done)

    async def _look(self, each: Lookup, part: _Part) -> None:
        """Find out whether that part lists everybody."""
        was = part in self._list_everybody
        if await self._holds_everybody(each, part) and not was:
            _log.warning("%s", _told_everybody(each, part))
        self._listed.pop(part, None)
        self._looked[part] = monotonic()

    async def _holds_everybody(self, each: Lookup, part: _Part) -> bool:
        """Whether the address is listed that must not be, or else a sample of all addresses is, every one."""
        points = test_names(each.lookup_domain)
        clean = await self._query(points.not_listed if part.family == 4 else points.ipv6_not_listed)
        found = classify(each, clean.values).kind is ListingKind.LISTED or await self._holds_the_sample(each, part)
        (self._list_everybody.add if found else self._list_everybody.discard)(part)
        return found

    async def _holds_the_sample(self, each: Lookup, part: _Part) -> bool:
        for count in _SAMPLES:
            names = [query_name(_anybody(part.family), each.lookup_domain) for _ in range(count)]
            answers = await asyncio.gather(*map(self._query, names))
            if any(classify(each, answer.values).kind is not ListingKind.LISTED for answer in answers):
                return False
        return True

    async def _query(self, name: str) -> DnsAnswer:
        try:
            return await asyncio.wait_for(self._resolver.query(name), self._timeout)
        except TimeoutError:
            return DnsAnswer(Status.FAILED, why=f"no answer in {self._timeout:g} seconds")

    def _found(self, client: IPv4Address | IPv6Address, answers: Sequence[DnsAnswer]) -> Listings:
        if all(answer.status is Status.NO_NAME for answer in answers):
            return _CLEAN
        listings = [self._read(each, client, answer) for each, answer in zip(self._lists, answers, strict=True)]
        pairs = list(zip(self._lists, listings, strict=True))
        return Listings(
            tuple((each, it) for each, it in pairs if it.kind is ListingKind.LISTED and isinstance(each, Provider)),
            tuple((each, it) for each, it in pairs if it.kind is ListingKind.LISTED and not isinstance(each, Provider)),
            tuple(each.name for each, it in pairs if it.kind is ListingKind.ERROR),
        )

    def _read(self, each: Lookup, client: IPv4Address | IPv6Address, answer: DnsAnswer) -> Listing:
        if self._list_everybody and _part(each, client) in self._list_everybody:
            return Listing(ListingKind.ERROR, (), f"{each.name} lists everybody")
        if answer.status is Status.FAILED:
            listing = Listing(ListingKind.ERROR, (), f"{each.name} cannot be asked: {answer.why}")
        else:
            listing = classify(each, answer.values)
        if listing.kind is ListingKind.ERROR:
            self._say(listing.why)
        return listing

    def _say(self, trouble: str) -> None:
        now = monotonic()
        if self._said.get(trouble, -SAY_EVERY) + SAY_EVERY <= now:
            if len(self._said) > 1000:
                self._said.clear()
            self._said[trouble] = now
            _log.warning("%s; mail is not rejected for it", trouble)

    async def check_test_points(self) -> list[str]:
        """Warn where a list does not answer its test points as RFC 5782 5 has it: many lack them, some are gone.

        One that lists 127.0.0.1, or ::ffff:7f00:1, lists everybody in that family: there it counts as one that cannot
        be asked, until it does no more.
        """
        found = await asyncio.gather(*map(self._test, self._lists))
        return [trouble for troubles in found for trouble in troubles]

    async def _test(self, each: Lookup) -> list[str]:
        points, shown = test_names(each.lookup_domain), f"{each.name} ({each.public_domain})"
        answers = await asyncio.gather(*map(self._query, points))
        listed, clean, *of_ipv6 = answers
        for answer in (listed, clean):
            if answer.status is Status.FAILED:
                return [f"{shown} cannot be asked: {answer.why}"]
        await self._believe(each, 4, clean)
        return [*self._about_ipv4(each, shown, listed, clean), *await self._about_ipv6(each, shown, of_ipv6)]

    async def _believe(self, each: Lookup, family: int, clean: DnsAnswer) -> None:
        """Whether that part is believed, after what it says of the address that must not be listed."""
        part = _Part(each.name, family)
        if classify(each, clean.values).kind is ListingKind.LISTED:
            self._list_everybody.add(part)
        elif part in self._list_everybody:  # perhaps for another reason, or the answer lay in a cache
            await self._holds_everybody(each, part)

    def _about_ipv4(self, each: Lookup, shown: str, listed: DnsAnswer, clean: DnsAnswer) -> list[str]:
        everybody, test = classify(each, clean.values), classify(each, listed.values)
        if (part := _Part(each.name, 4)) in self._list_everybody:
            return [_told_everybody(each, part)]
        if ListingKind.ERROR in (everybody.kind, test.kind):
            return [test.why if test.kind is ListingKind.ERROR else everybody.why]
        return [] if test.kind is ListingKind.LISTED else [f"{shown} does not list the test address 127.0.0.2"]

    async def _about_ipv6(self, each: Lookup, shown: str, answers: Sequence[DnsAnswer]) -> list[str]:
        """A list may know no IPv6 at all, and then holds neither of the two: that is no trouble."""
        listed, clean = answers
        for answer in (listed, clean):
            if answer.status is Status.FAILED:
                return [f"{shown} gives no answer about IPv6 addresses, whose mail is not rejected then: {answer.why}"]
        await self._believe(each, 6, clean)
        part = _Part(each.name, 6)
        return [_told_everybody(each, part)] if part in self._list_everybody else []

    async def watch(self) -> None:
        """Check the test points now and every hour, and more often those of a list that lists everybody, for ever."""
        while True:
            for trouble in await self.check_test_points():
                _log.warning("%s", trouble)
            until = monotonic() + SAY_EVERY
            while (left := until - monotonic()) > 0:
                await asyncio.sleep(min(left, _DOUBTED_EVERY))
                await self._look_again()

    async def _look_again(self) -> None:
        for each in self._lists:
            for part in [part for part in self._list_everybody if part.list == each.name]:
                if not await self._holds_everybody(each, part):
                    _log.warning("%s does not list everybody any more: it counts again", each.name)


_DOUBTFUL = DnsAnswer(Status.FAILED, why="it listed too many clients in a row, and its test points do not answer")


def _part(each: Lookup, client: IPv4Address | IPv6Address) -> _Part:
    """An IPv4-mapped address is asked for as IPv4."""
    return _Part(each.name, 4 if isinstance(client, IPv4Address) or client.ipv4_mapped else 6)


def _network(client: IPv4Address | IPv6Address) -> int:
    """What one owner has, at least: a /24, or the /64 of an IPv6 address."""
    if isinstance(client, IPv6Address):
        client = client.ipv4_mapped or client
    return int(client) >> (8 if isinstance(client, IPv4Address) else 64)


def _nobody(family: int) -> IPv4Address | IPv6Address:
    """One that no client has, at random: of 127.0.0.0/8 (RFC 1122 3.2.1.3), or of 2001:db8::/32 (RFC 3849)."""
    if family == 4:
        return IPv4Address(127 << 24 | random.getrandbits(24))
    return IPv6Address(0x20010DB8 << 96 | random.getrandbits(96))


def _anybody(family: int) -> IPv4Address | IPv6Address:
    """A public address at random."""
    while True:
        if family == 6:
            return IPv6Address(1 << 125 | random.getrandbits(125))  # 2000::/3
        if (found := IPv4Address(random.getrandbits(32))).is_global:
            return found


def _told_everybody(each: Lookup, part: _Part) -> str:
    test = "127.0.0.1" if part.family == 4 else "::ffff:7f00:1"
    who = "everybody" if part.family == 4 else "every IPv6 address"
    return (
        f"{each.name} ({each.public_domain}) lists {test}, or whatever it is asked for, and so {who}: "
        "it is not believed until that has changed; if it does not, take the list out of the configuration"
    )
