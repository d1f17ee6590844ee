"""What the DNS has answered, for as long as it counts; what was used longest ago goes first. Pure."""

from collections import OrderedDict

from safelist.filter.dns_message import DnsAnswer

_MAX_SIZE = 4096
"""Octets of an answer's values: a larger one would take the place of many others."""

NameAndKind = tuple[str, str]
"""A name in lower case, without a dot at its end, and the kind of record."""


class DnsCache:
    """At most ``most`` answers. ``now`` is in seconds of any clock that never goes back."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[NameAndKind, tuple[float, DnsAnswer]] = OrderedDict()

    def get(self, key: NameAndKind, now: float) -> DnsAnswer | None:
        """The answer, if it is known and still counts."""
        found = self._known.get(key)
        if found is None:
            return None
        if found[0] <= now:
            del self._known[key]
            return None
        self._known.move_to_end(key)
        return found[1]

    def put(self, key: NameAndKind, answer: DnsAnswer, now: float) -> None:
        """Keep the answer for as long as its ``ttl`` says."""
        if answer.ttl <= 0 or sum(map(len, answer.values)) > _MAX_SIZE:
            return
        while len(self._known) >= self._most:
            self._known.popitem(last=False)
        self._known[key] = now + answer.ttl, answer
