"""Sets of addresses: which term decides about each, and how much of the Internet they are."""

from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.filter.address_space import EVERYBODY, Ranges, first_match, network, share


def net(text: str) -> Ranges:
    found = ip_network(text)
    return network(str(found.network_address), found.prefixlen)


def test_a_network_holds_its_address() -> None:
    assert network("192.0.2.77", 24) == ((0xC0000200, 0xC00002FF),)
    assert network("no address", 24) == network("192.0.2.1", 33) == ()


spans = st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(st.tuples(st.lists(spans, max_size=4).map(tuple), st.booleans()), max_size=6))
def test_the_first_term_decides(terms: list[tuple[Ranges, bool]]) -> None:
    def decides(address: int) -> bool:
        matching = (passes for ranges, passes in terms if any(a <= address <= b for a, b in ranges))
        return next(matching, False)

    found = first_match(terms)
    assert {at for a, b in found for at in range(a, b + 1)} == {at for at in range(50) if decides(at)}
    assert all(one[1] + 1 < other[0] for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0/0", 1.0),
        ("10.0.0.0/8", 0.0),
        ("240.0.0.0/4", 0.0),
        ("::/0", 1.0),
        ("fc00::/7", 0.0),
        ("2600::/12", 2**-9),
    ],
)
def test_only_public_addresses_count(text: str, expected: float) -> None:
    assert share(net(text), ip_network(text).version) == expected


def test_a_slash_eight_is_less_than_half_a_percent() -> None:
    assert 1 / 230 < share(net("17.0.0.0/8"), 4) < 1 / 200
    assert share(EVERYBODY[4], 4) == 1.0
