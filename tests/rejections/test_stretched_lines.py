"""No line takes more than its length: what a stranger can put there is repeated until the square would be minutes."""

from collections.abc import Iterator
from itertools import islice

import pytest

from tests.rejections.cases import CASES
from tests.rejections.contract import FormatCase, read

UNITS = (
    " ", "a", '"', "\\", "<", ">", "(", ") [", "[", "{", "}", ",", ";", "=", ": ", ":", "a=", ' a="', ">, ", "0", "@",
    ".", "A(1.00){", ", forced: ", ": host h ", " rejected RCPT <", " F=<", ";,A(1.00){}", ", from: <",
)  # fmt: skip
LENGTH = 60_000
EACH = 19
"""Of the places in all lines, and what is put there, one in so many is tried; it shares no factor with either."""


def _stretched(case: FormatCase) -> Iterator[str]:
    for line in case.lines:
        for place in range(0, len(line), max(len(line) // 10, 1)):
            for unit in UNITS:
                yield line[:place] + unit * (LENGTH // len(unit)) + line[place:]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.format)
def test_a_line_is_read_in_proportion_to_its_length(case: FormatCase) -> None:
    """Where work grows with the square, a line takes minutes and this test is stopped."""
    for stretched in islice(_stretched(case), 0, None, EACH):
        found, unread = read(case.format, (*case.head, stretched))
        assert len(unread) <= 1
        assert all(each.at.tzinfo is not None for each in found)
