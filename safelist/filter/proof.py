"""Whether a mail is from its envelope sender: what SPF says, as the decision needs it."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic

from safelist.filter import spf
from safelist.filter.decision import Proof
from safelist.filter.resolver import Resolver

_NOBODYS = {
    4: tuple(map(ip_address, ("0.255.0.1", "240.0.0.1"))),
    6: tuple(map(ip_address, ("100::1", "e000::1"))),
}
"""Addresses of both halves of the Internet that no client can have (RFC 6890 2.2.2 and 2.2.3)."""
_REMEMBERED = 300.0
_MOST_REMEMBERED = 10_000


class Prover:
    """Asks SPF through one resolver, within ``timeout`` seconds. At RCPT TO no DKIM signature has been seen yet."""

    def __init__(self, resolver: Resolver, timeout: float) -> None:
        self._resolver = resolver
        self._timeout = timeout
        self._open: dict[tuple[str, int], tuple[float, bool]] = {}

    async def prove(self, client: IPv4Address | IPv6Address, sender: str, helo: str) -> tuple[Proof, str]:
        """What became of it, and a sentence for people. Only a pass of the sender's own domain holds.

        A record that permits addresses that nobody can have, such as ``v=spf1 +all``, permits everybody: no proof.
        """
        found = await spf.check(self._resolver, client, sender, helo, self._timeout)
        told = f"SPF of {found.domain or 'the sender'}: {found.result} ({found.explanation})."
        if found.result is spf.Result.TEMPERROR:
            return Proof.CANNOT_TELL, told
        if not found.authenticated:
            return Proof.FAILS, told
        if await self._permits_everybody(client.version, found.domain, sender, helo):
            return Proof.FAILS, f"SPF of {found.domain} permits every client there can be, which proves nothing."
        return Proof.HOLDS, told

    async def _permits_everybody(self, family: int, domain: str, sender: str, helo: str) -> bool:
        until, is_open = self._open.get((domain, family), (0.0, False))
        if until > monotonic():
            return is_open
        clients = _NOBODYS[family]
        is_open = any(
            [(await spf.check(self._resolver, client, sender, helo, self._timeout)).authenticated for client in clients]
        )
        if len(self._open) >= _MOST_REMEMBERED:
            self._open.clear()
        self._open[domain, family] = monotonic() + _REMEMBERED, is_open
        return is_open
