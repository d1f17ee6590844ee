"""Whether a mail is from its envelope sender: what SPF says, as the decision needs it."""

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address

from safelist.filter import spf
from safelist.filter.decision import Proof
from safelist.filter.resolver import Resolver

_NOBODYS = {
    4: tuple(map(ip_address, ("0.255.0.1", "240.0.0.1"))),
    6: tuple(map(ip_address, ("100::1", "e000::1"))),
}
"""Addresses of both halves of the Internet that no client can have (RFC 6890 2.2.2 and 2.2.3)."""


class Prover:
    """Asks SPF through one resolver, within ``timeout`` seconds. At RCPT TO no DKIM signature has been seen yet."""

    def __init__(self, resolver: Resolver, timeout: float) -> None:
        self._resolver = resolver
        self._timeout = timeout

    async def prove(self, client: IPv4Address | IPv6Address, sender: str, helo: str) -> tuple[Proof, str]:
        """What became of it, and a sentence for people. Only a pass of the sender's own domain holds.

        A record that permits addresses that nobody can have, such as ``v=spf1 +all``, permits everybody: no proof.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._prove(client, sender, helo)
        except TimeoutError:
            return Proof.CANNOT_TELL, f"SPF of the sender gave no result in {self._timeout:g} seconds."

    async def _prove(self, client: IPv4Address | IPv6Address, sender: str, helo: str) -> tuple[Proof, str]:
        found = await self._check(client, sender, helo)
        told = f"SPF of {found.domain or 'the sender'}: {found.result} ({found.explanation})."
        if found.result is spf.Result.TEMPERROR:
            return Proof.CANNOT_TELL, told
        if not found.authenticated:
            return Proof.FAILS, told
        others = await asyncio.gather(*(self._check(each, sender, helo) for each in _NOBODYS[client.version]))
        if any(other.authenticated for other in others):
            return Proof.FAILS, f"SPF of {found.domain} permits every client there can be, which proves nothing."
        if any(other.result is spf.Result.TEMPERROR for other in others):
            return Proof.CANNOT_TELL, f"SPF of {found.domain} could not be read whole."
        return Proof.HOLDS, told

    async def _check(self, client: IPv4Address | IPv6Address, sender: str, helo: str) -> spf.Outcome:
        return await spf.check(self._resolver, client, sender, helo, self._timeout)
