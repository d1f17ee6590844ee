"""What no line can hold takes nothing with it but what an exception from would be missing."""

import pytest

from safelist import sender
from safelist.override import Authentication
from safelist.publisher import unwritable
from safelist.publisher.target import LeftOut, Ruling


def ruling(text: str, *, safe: bool = True) -> Ruling:
    return Ruling(sender.parse(text), safe, Authentication.NONE, may_widen=safe)


def not_ascii(text: str) -> str:
    return "" if text.isascii() else "it is not ASCII"


def test_a_domain_goes_from_which_an_exception_cannot_be_written_and_what_may_be_widened_over_it_is_not() -> None:
    safe = [ruling(text) for text in ("p.example", ".p.example", "s.p.example", "a@s.p.example", "b@s.p.example")]
    kept, left_out = unwritable.for_everybody([*safe, ruling("a+é@s.p.example", safe=False)], not_ascii)
    why = "a+é@s.p.example must be an exception from it, but cannot be written: it is not ASCII"
    assert left_out == [LeftOut(sender.parse(text), why) for text in (".p.example", "s.p.example")]
    assert {each.pattern.text: each.may_widen for each in kept} == {
        "p.example": False, "a@s.p.example": False, "b@s.p.example": True
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [("#a@p.example", "comment"), ('"a b"@p.example', "white space"), ('"#a"@p.example', ""), ("a#@p.example", "")],
)
def test_what_begins_a_comment_or_holds_white_space_is_no_word(text: str, why: str) -> None:
    found = unwritable.why_no_word(text)
    assert bool(found) == bool(why)
    assert why in found
