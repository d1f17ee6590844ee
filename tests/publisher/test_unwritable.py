"""What no line can hold takes nothing with it but what an exception from would be missing."""

import pytest

from safelist import sender
from safelist.override import Authentication
from safelist.publisher import unwritable
from safelist.publisher.target import LeftOut, RecipientRuling, Ruling
from safelist.publisher.unwritable import Noted

NONE, EITHER, SPF = Authentication.NONE, Authentication.DKIM_OR_SPF, Authentication.SPF


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


def test_a_domain_goes_by_which_one_that_cannot_be_written_would_be_believed_with_less_proof() -> None:
    asks = [(".p.example", NONE), ("s.p.example", SPF), ("a@s.p.example", EITHER), ("a+é@s.p.example", SPF)]
    safe = [ruling(text)._replace(authentication=proof) for text, proof in asks]
    kept, left_out = unwritable.for_everybody(safe, not_ascii)
    why = "a+é@s.p.example needs more than it (spf), but cannot be written: it is not ASCII"
    texts = (".p.example", "a+é@s.p.example")
    assert left_out == [
        LeftOut(sender.parse(text), said) for text, said in zip(texts, (why, "it is not ASCII"), strict=True)
    ]
    assert {each.pattern.text: each.may_widen for each in kept} == {"s.p.example": True, "a@s.p.example": False}


@pytest.mark.parametrize(
    ("proof", "excepted"), [(NONE, ["d.example"]), (EITHER, ["d.example"]), (SPF, [])]
)  # fmt: skip
@pytest.mark.parametrize("is_own", [True, False])
def test_for_a_recipient_a_domain_is_an_exception_where_it_asks_for_less(
    proof: Authentication, excepted: list[str], is_own: bool
) -> None:
    lost, wide = (RecipientRuling("a@corp.example", sender.parse(text), True, asks)
                  for text, asks in (("é@d.example", SPF), ("d.example", proof)))  # fmt: skip
    given, everybody = ([lost, wide], []) if is_own else ([lost], [Ruling(wide.pattern, True, proof)])
    noted = Noted(9)
    found = list(unwritable.for_each(given, everybody, not_ascii, noted))
    assert [each.pattern.text for each in found if not each.safe] == excepted
    assert [each.pattern.text for each in noted.named] == ["é@d.example", *excepted]


@pytest.mark.parametrize(
    ("text", "why"),
    [("#a@p.example", "comment"), ('"a b"@p.example', "white space"), ('"#a"@p.example', ""), ("a#@p.example", "")],
)
def test_what_begins_a_comment_or_holds_white_space_is_no_word(text: str, why: str) -> None:
    found = unwritable.why_no_word(text)
    assert bool(found) == bool(why)
    assert why in found
