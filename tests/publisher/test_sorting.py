"""Lines in order and what came and went, by runs that fit into memory."""

from hypothesis import given
from hypothesis import strategies as st

from safelist.publisher.sorting import are_in_order, differences, in_order

lines = st.lists(st.integers(0, 40).map(lambda number: b"%d\n" % number), max_size=60)


@given(lines, st.integers(1, 10))
def test_lines_come_in_order_and_once_whatever_fits_into_memory(given_: list[bytes], at_once: int) -> None:
    found = list(in_order(iter(given_), at_once))
    assert found == sorted(set(given_))
    assert are_in_order(found)


@given(lines)
def test_lines_that_are_not_in_order_are_known(given_: list[bytes]) -> None:
    assert are_in_order(given_) == (given_ == sorted(set(given_)))


@given(lines.map(sorted), lines.map(sorted))
def test_what_only_one_of_two_lists_has_differs(old: list[bytes], new: list[bytes]) -> None:
    found = list(differences(old, new))
    assert {each.key for each in found if each.is_new} == set(new) - set(old)
    assert {each.key for each in found if not each.is_new} == set(old) - set(new)
    assert len(found) == len(set(old) ^ set(new))
