"""A surprise is believed on the third answer in a row; many losses at once are not believed."""

import pytest

from safelist.collector.plausibility import doubt, is_mass_change


def test_third_time_in_a_row_is_believed() -> None:
    first = doubt("vanished", None)
    second = doubt("vanished", first)
    third = doubt("vanished", second)
    assert [d.is_believed for d in (first, second, third)] == [False, False, True]


def test_another_surprise_starts_anew() -> None:
    second = doubt("vanished", doubt("vanished", None))
    assert doubt("owner 1", second).runs == 1


@pytest.mark.parametrize(
    ("losing", "with_lists", "mass"),
    [
        (4, 4, False), (5, 5, True), (5, 49, True), (5, 50, False), (6, 50, True), (10_000, 100_000, False),
        (10_001, 100_000, True),
    ],
)  # fmt: skip
def test_mass_change_is_more_than_a_tenth_and_at_least_five(losing: int, with_lists: int, mass: bool) -> None:
    assert is_mass_change(losing, with_lists) is mass
