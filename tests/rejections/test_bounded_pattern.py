"""What is bounded is read, and everything else refused with the reason."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from safelist.rejections.bounded_pattern import MOST_STEPS, read

ATOMS = ("a", "B", "7", " ", r"\.", r"\b", "[a-z0-9.]", "[^x]", ".", r"\d", "(?:ab|c)", "(?:ab|c)?", "x?", "y{2}",
         "[0-9]{1,3}", "^", "$")  # fmt: skip


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("abc.*", "'*' is not bounded"),
        ("abc[a-z]+d", "'+d' is not bounded"),
        ("abcd{2,}", "'{2,}' is not bounded"),
        (r"(abc)\1", r"'(abc)\\1' is not bounded"),
        ("(?=abc)", "'(?=abc)' is not bounded"),
        ("(?P<x>abc)", "is not bounded"),
        ("abc(?:d{1,9}){1,9}", "a group is repeated: {1,9}"),
        ("abc[a-z]{0,99}[0-9]{0,99}", f"multiply to 10000, above {MOST_STEPS}"),
        ("abcd|efgh", "| outside of a group"),
        ("(?:abc|abd)", "no 3 characters in a row"),
        ("ab?cd?ef", "no 3 characters in a row"),
        ("", "no 3 characters in a row"),
        ("größer", "not ASCII"),
    ],
)
def test_what_is_not_bounded_is_refused(source: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        read(source)


def test_a_group_that_is_not_closed_is_refused() -> None:
    with pytest.raises(ValueError, match="unterminated"):
        read("abc(?:d")


@pytest.mark.parametrize(
    ("source", "needle"),
    [
        (r"\bblocked using Trend Micro\b", "blocked using trend micro"),
        (r"5\.7\.25[ :]", "5.7.25"),
        ("(?:abcdefgh)xyz?wvu", "wvu"),
        ("Outlook[0-9]{1,3}Exchange", "exchange"),
    ],
)
def test_the_needle_is_the_longest_text_that_every_match_holds(source: str, needle: str) -> None:
    assert read(source).needle == needle


@given(st.lists(st.sampled_from(ATOMS), max_size=6), st.data())
def test_every_text_that_matches_holds_the_needle(atoms: list[str], data: st.DataObject) -> None:
    """So a search for the needle loses nothing."""
    source = "".join([*atoms, "fix", *reversed(atoms)])
    try:
        pattern = read(source)
    except ValueError:
        assume(False)
    text = data.draw(st.one_of(st.from_regex(pattern.expression), st.text(alphabet="aBcxyfFiIxX7. ")))
    found = pattern.expression.search(text)
    assert pattern.is_in(text, text.lower()) == (found is not None)


def test_case_does_not_matter() -> None:
    assert read("Local Policy").is_in("550 LOCAL policy", "550 local policy")
