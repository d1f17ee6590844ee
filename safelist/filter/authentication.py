"""Whether a mail is from its envelope sender: what SPF says, as the decision needs it."""

import asyncio
import secrets
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice

from safelist.filter import address_space, spf
from safelist.filter.decision import AuthenticationResult, SenderAuthentication
from safelist.filter.resolver import Resolver
from safelist.filter.spf import SpfCheck, SpfResult

MAX_SHARE = {4: 1 / 100, 6: 1 / 500}
"""Of the public addresses: what no one sender has, by IP version.

A /8 of IPv4, which a few companies own and some of them publish, is 1/221, and the records of the largest providers
permit below a million addresses, 1/3700. In IPv6 1/512 is a /12: what a regional registry has for all its members.
"""

_STRANGERS = 8
_TOO_MANY_STRANGERS = 2
"""A record that permits ``MAX_SHARE`` of IPv4 is taken for too wide once in 370 draws; one that permits all, always."""

_SAID = {
    SpfResult.NONE: "{domain} publishes no SPF record, so nothing shows that this mail is from it",
    SpfResult.NEUTRAL: "the SPF record of {domain} does not say whether your IP may use this sender (neutral)",
    SpfResult.SOFTFAIL: "SPF of {domain} says that your IP probably may not use this sender (softfail)",
    SpfResult.FAIL: "SPF does not permit your IP to use this sender",
    SpfResult.PERMERROR: "the SPF record of {domain} is in error (permerror)",
    SpfResult.TEMPERROR: "the SPF record of {domain} could not be read now (temperror)",
}


class Authenticator:
    """Asks SPF through one resolver, within ``timeout`` seconds. At RCPT TO no DKIM signature has been seen yet."""

    def __init__(self, resolver: Resolver, timeout: float) -> None:
        self._resolver = resolver
        self._timeout = timeout
        self._strangers = {version: tuple(islice(_public_addresses(version), _STRANGERS)) for version in (4, 6)}

    async def authenticate(self, client: IPv4Address | IPv6Address, sender: str, helo: str) -> SenderAuthentication:
        """Ask SPF what becomes of it. Only a pass of the sender's own domain holds.

        A record that permits more addresses than any sender has, such as ``v=spf1 +all``, proves nothing.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._authenticate(client, sender, helo)
        except TimeoutError:
            told = f"SPF of the sender gave no result in {self._timeout:g} seconds."
            return SenderAuthentication(
                AuthenticationResult.CANNOT_TELL, told, "your SPF record could not be read in time"
            )

    async def _authenticate(self, client: IPv4Address | IPv6Address, sender: str, helo: str) -> SenderAuthentication:
        work = spf.Work()
        found = await spf.check(self._resolver, client, sender, helo, self._timeout, work=work)
        if not found.authenticated:
            return _too_much(found, work) if work.is_exceeded else _not_authenticated(found)
        reach = await spf.measure(self._resolver, client, sender, helo, work)
        if reach.share > MAX_SHARE[client.version]:
            return _too_wide(found, f"{reach.share:.1%} of all public IPv{client.version} addresses")
        if not reach.is_whole and await self._permits_strangers(client.version, sender, helo, work):
            return _too_wide(found, "clients drawn at random")
        if work.is_exceeded:
            return _too_much(found, work)
        return SenderAuthentication(AuthenticationResult.HOLDS, _told(found))

    async def _permits_strangers(self, version: int, sender: str, helo: str, work: spf.Work) -> bool:
        """Whether terms that cannot be measured (``exists:%{i}.x.example``) permit anybody who happens to ask."""
        outcomes = await asyncio.gather(
            *(
                spf.check(self._resolver, stranger, sender, helo, self._timeout, is_probe=True, work=work)
                for stranger in self._strangers[version]
            )
        )
        return sum(outcome.authenticated for outcome in outcomes) >= _TOO_MANY_STRANGERS


def _not_authenticated(found: SpfCheck) -> SenderAuthentication:
    is_unknown = found.result is SpfResult.TEMPERROR
    result = AuthenticationResult.CANNOT_TELL if is_unknown else AuthenticationResult.FAILS
    if not found.domain or found.is_null_sender:
        said = "SPF cannot tell of this sender: it has no domain, or is too long"
    else:
        said = _SAID[found.result].format(domain=found.domain)
    return SenderAuthentication(result, _told(found), said)


def _told(found: SpfCheck) -> str:
    if found.result is SpfResult.NONE and found.domain:
        return f"{found.domain} publishes no SPF record."
    return f"SPF of {found.domain or 'the sender'}: {found.result} ({found.explanation})."


def _too_wide(found: SpfCheck, whom: str) -> SenderAuthentication:
    text = f"SPF of {found.domain} permits {whom}, which proves nothing"
    return SenderAuthentication(AuthenticationResult.FAILS, f"{text}.", text)


def _too_much(found: SpfCheck, work: spf.Work) -> SenderAuthentication:
    result = AuthenticationResult.CANNOT_TELL if work.is_slow else AuthenticationResult.FAILS
    text = f"the SPF record of {found.domain} proves nothing: {spf.TOO_MUCH_WORK}"
    return SenderAuthentication(result, f"{text[0].upper()}{text[1:]}.", text)


def _public_addresses(version: int) -> Iterator[IPv4Address | IPv6Address]:
    """Any, in an order that nobody outside can foresee; each process keeps its own, so that answers are cached."""
    while True:
        number = secrets.randbits(32) if version == 4 else 1 << 125 | secrets.randbits(125)
        if address_space.share(((number, number),), version):
            yield ip_address(number) if version == 4 else IPv6Address(number)
