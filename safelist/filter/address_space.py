"""Sets of IP addresses as ranges, and how much of the public Internet they are. Pure."""

from collections.abc import Iterable
from heapq import heappop, heappush
from ipaddress import ip_network
from itertools import pairwise

Ranges = tuple[tuple[int, int], ...]
"""First and last address of each, as numbers; where this module returns them they are sorted and apart."""

EVERYBODY: dict[int, Ranges] = {4: ((0, (1 << 32) - 1),), 6: ((0, (1 << 128) - 1),)}
"""By IP version."""

_NOT_PUBLIC = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/3", "::/3", "4000::/2", "8000::/1",
)  # fmt: skip
"""Where no client on the Internet is: RFC 6890 and RFC 1112; RFC 4291 2.4 for all but 2000::/3."""


def network(address: str, length: int) -> Ranges:
    """The network of that prefix length that holds the address; empty where it is no address."""
    try:
        found = ip_network((address, length), strict=False)
    except ValueError:
        return ()
    return ((int(found.network_address), int(found.broadcast_address)),)


def first_match(terms: Iterable[tuple[Ranges, bool]]) -> Ranges:
    """The addresses for which the first of the terms that holds them is True.

    Takes n log n steps for n ranges, for a stranger's record decides how many there are.
    """
    spans = sorted(
        (first, last, order, passes) for order, (ranges, passes) in enumerate(terms) for first, last in ranges
    )
    edges = sorted({edge for first, last, *_ in spans for edge in (first, last + 1)})
    found: list[tuple[int, int]] = []
    open_: list[tuple[int, int, bool]] = []
    at = 0
    for begin, end in pairwise(edges):
        while at < len(spans) and spans[at][0] == begin:
            _, last, order, passes = spans[at]
            heappush(open_, (order, last, passes))
            at += 1
        while open_ and open_[0][1] < begin:
            heappop(open_)
        if open_ and open_[0][2]:
            joins = found and found[-1][1] + 1 == begin
            found[-1:] = [(found[-1][0], end - 1)] if joins else [*found[-1:], (begin, end - 1)]
    return tuple(found)


def share(ranges: Ranges, version: int) -> float:
    """How much of the public address space of that IP version the ranges hold, between 0 and 1."""
    return _size(_public(ranges, version)) / _size(_public(EVERYBODY[version], version))


def _public(ranges: Ranges, version: int) -> Ranges:
    networks = (ip_network(text) for text in _NOT_PUBLIC)
    nobody = tuple((int(net[0]), int(net[-1])) for net in networks if net.version == version)
    return first_match([(nobody, False), (ranges, True)])


def _size(ranges: Ranges) -> int:
    return sum(last - first + 1 for first, last in ranges)
