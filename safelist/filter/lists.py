"""Asking the IP lists about a client: all at once, from the cache without waiting; trouble is said once an hour."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from time import monotonic

from safelist.filter.decision import Found
from safelist.filter.dnsbl import AllowProvider, Kind, Listing, Lookup, Provider, classify, query_name, test_names
from safelist.filter.resolver import Answer, Resolver, Status

SAY_EVERY = 3600.0
"""Seconds until the same trouble with a list is said again."""
_MOST_FAILURES = 10
_CLEAN = Found()
_log = logging.getLogger("safelist.filter")


class Lists:
    """The block lists and allow lists of the configuration, asked through one resolver within ``timeout`` seconds.

    A list that does not answer ten times running is left alone for ``rest`` seconds, so that no mail waits for it.
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
        self._list_everybody: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._rests: dict[str, float] = {}

    def peek(self, client: IPv4Address | IPv6Address) -> Found | None:
        """What is known without asking; None where somebody has to be asked."""
        answers = []
        for each in self._lists:
            answer = self._resolver.peek(query_name(client, each.lookup_domain)) or self._resting(each)
            if answer is None:
                return None
            answers.append(answer)
        return self._found(answers)

    async def ask(self, client: IPv4Address | IPv6Address) -> Found:
        """What all of them say."""
        return self._found(await asyncio.gather(*(self._ask(each, client) for each in self._lists)))

    async def _ask(self, each: Lookup, client: IPv4Address | IPv6Address) -> Answer:
        if (rest := self._resting(each)) is not None:
            return rest
        answer = await self._query(query_name(client, each.lookup_domain))
        if answer.status is not Status.FAILED:
            self._failures.pop(each.name, None)
            return answer
        self._failures[each.name] += 1
        if self._failures[each.name] >= _MOST_FAILURES:
            self._rests[each.name] = monotonic() + self._rest
        return answer

    def _resting(self, each: Lookup) -> Answer | None:
        if not self._rests or self._rests.get(each.name, 0.0) <= monotonic():
            return None
        return Answer(
            Status.FAILED, why=f"no answer {_MOST_FAILURES} times running; left alone for {self._rest:g} seconds"
        )

    async def _query(self, name: str) -> Answer:
        try:
            return await asyncio.wait_for(self._resolver.query(name), self._timeout)
        except TimeoutError:
            return Answer(Status.FAILED, why=f"no answer in {self._timeout:g} seconds")

    def _found(self, answers: Sequence[Answer]) -> Found:
        if all(answer.status is Status.NO_NAME for answer in answers):
            return _CLEAN
        listings = [self._read(each, answer) for each, answer in zip(self._lists, answers, strict=True)]
        pairs = list(zip(self._lists, listings, strict=True))
        return Found(
            tuple((each, it) for each, it in pairs if it.kind is Kind.LISTED and isinstance(each, Provider)),
            tuple((each, it) for each, it in pairs if it.kind is Kind.LISTED and not isinstance(each, Provider)),
            tuple(each.name for each, it in pairs if it.kind is Kind.ERROR),
        )

    def _read(self, each: Lookup, answer: Answer) -> Listing:
        if each.name in self._list_everybody:
            return Listing(Kind.ERROR, (), f"{each.name} lists everybody")
        if answer.status is Status.FAILED:
            listing = Listing(Kind.ERROR, (), f"{each.name} cannot be asked: {answer.why}")
        else:
            listing = classify(each, answer.values)
        if listing.kind is Kind.ERROR:
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

        One that lists 127.0.0.1 lists everybody: it counts as one that cannot be asked, until it does no more.
        """
        found = await asyncio.gather(*map(self._test, self._lists))
        return [trouble for troubles in found for trouble in troubles]

    async def _test(self, each: Lookup) -> list[str]:
        points, shown = test_names(each.lookup_domain), f"{each.name} ({each.public_domain})"
        listed, clean = await asyncio.gather(self._query(points.listed), self._query(points.not_listed))
        for answer in (listed, clean):
            if answer.status is Status.FAILED:
                return [f"{shown} cannot be asked: {answer.why}"]
        everybody, test = classify(each, clean.values), classify(each, listed.values)
        self._list_everybody.discard(each.name)
        if everybody.kind is Kind.LISTED:
            self._list_everybody.add(each.name)
            return [f"{shown} lists 127.0.0.1, and so everybody: it is not asked until that has changed"]
        if Kind.ERROR in (everybody.kind, test.kind):
            return [test.why if test.kind is Kind.ERROR else everybody.why]
        return [] if test.kind is Kind.LISTED else [f"{shown} does not list the test address 127.0.0.2"]

    async def watch(self) -> None:
        """Check the test points now and every hour, for ever."""
        while True:
            for trouble in await self.check_test_points():
                _log.warning("%s", trouble)
            await asyncio.sleep(SAY_EVERY)
