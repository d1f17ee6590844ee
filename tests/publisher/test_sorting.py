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
    assert {each.new for each in found if each.old is None} == set(new) - set(old)
    assert {each.old for each in found if each.new is None} == set(old) - set(new)
    assert len(found) == len(set(old) ^ set(new))


@given(st.dictionaries(st.integers(10, 60), st.integers(0, 2)), st.dictionaries(st.integers(10, 60), st.integers(0, 2)))
def test_what_says_something_else_of_the_same_key_differs(old: dict[int, int], new: dict[int, int]) -> None:
    listed = [sorted(b"%d %d\n" % each for each in given_.items()) for given_ in (old, new)]
    found = list(differences(listed[0], listed[1], lambda line: line[:2]))
    wanted = {key: (old.get(key), new.get(key)) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    read = {int((each.old or each.new or b"")[:2]): [line and int(line[3:]) for line in each] for each in found}
    assert {key: tuple(values) for key, values in read.items()} == wanted
    assert len(found) == len(wanted)
