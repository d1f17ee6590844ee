"""Whether a mail is from its envelope sender: what SPF says, as the decision needs it."""

from ipaddress import IPv4Address, IPv6Address

from safelist.filter import spf
from safelist.filter.decision import Proof
from safelist.filter.resolver import Resolver


class Prover:
    """Asks SPF through one resolver, within ``timeout`` seconds. At RCPT TO no DKIM signature has been seen yet."""

    def __init__(self, resolver: Resolver, timeout: float) -> None:
        self._resolver = resolver
        self._timeout = timeout

    async def prove(self, client: IPv4Address | IPv6Address, sender: str, helo: str) -> tuple[Proof, str]:
        """What became of it, and a sentence for people. Only a pass of the sender's own domain holds."""
        found = await spf.check(self._resolver, client, sender, helo, self._timeout)
        told = f"SPF of {found.domain or 'the sender'}: {found.result} ({found.explanation})."
        if found.authenticated:
            return Proof.HOLDS, told
        return (Proof.CANNOT_TELL if found.result is spf.Result.TEMPERROR else Proof.FAILS), told
