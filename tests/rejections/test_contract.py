"""What holds of every log format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.rejections.formats import FORMATS
from tests.rejections.cases import CASES
from tests.rejections.contract import NOWHERE, FormatCase, read

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.format)


def test_every_format_has_a_case() -> None:
    assert [case.format for case in CASES] == list(FORMATS)


@each_case
def test_every_rejection_is_found_with_every_field(case: FormatCase) -> None:
    found, unread = read(case.format, (*case.head, *case.lines))
    assert unread == []
    assert [each._replace(place=NOWHERE) for each in found] == [each._replace(place=NOWHERE) for each in case.found]
    assert all(len(case.head) < each.place.line <= len(case.head) + len(case.lines) for each in found)


@each_case
def test_a_line_that_holds_a_rejection_is_looked_at(case: FormatCase) -> None:
    format_ = FORMATS[case.format]
    if not format_.needles:
        assert format_.recognises("\n".join((*case.head, *case.lines)))
        return
    assert set(format_.beside) <= set(format_.needles)
    needles = [*format_.needles, *(needle for others in format_.beside.values() for needle in others)]
    for line in case.lines:
        assert any(needle in line.encode() for needle in needles), line
        assert format_.recognises(line), line


@each_case
def test_no_other_format_takes_the_line(case: FormatCase) -> None:
    lines = (*case.head, *case.lines)
    for name, format_ in FORMATS.items():
        if name != case.format:
            assert not any(map(format_.recognises, lines if format_.needles else ["\n".join(lines)])), name


@each_case
def test_what_is_no_rejection_is_none(case: FormatCase) -> None:
    assert read(case.format, (*case.head, *case.others)) == ([], [])


@each_case
@given(data=st.data())
def test_a_spoilt_line_is_read_or_reported(case: FormatCase, data: st.DataObject) -> None:
    """Whatever stands there, no other error comes out, no line after it is lost, and each value is of its kind."""
    line = data.draw(st.sampled_from(case.lines))
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(line))] * 2)))
    spoilt = (
        line[:begin]
        + data.draw(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=12))
        + line[end:]
    )
    found, _ = read(case.format, (*case.head, spoilt))
    for each in found:
        assert each.at.tzinfo is not None
        assert "\n" not in each.reply
