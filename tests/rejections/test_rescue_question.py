"""The policy is asked about an address as the filter asks, however the log spells it."""

from datetime import UTC, datetime

import pytest

from safelist.rejections.rejection import LogPlace, Rejection, RejectionKind
from safelist.rejections.rescue import RescueQuestion, question_of
from safelist.sender import Form, Pattern, typed

IT = Rejection(datetime(2026, 11, 20, tzinfo=UTC), RejectionKind.REJECTED, LogPlace("x", 1), "554 listed")


@pytest.mark.parametrize(
    ("as_logged", "meant"),
    [
        ("Bob@AOL.com", "bob@aol.com"),
        ('"front desk"@x.example', '"front desk"@x.example'),
        ("front desk@x.example", '"front desk"@x.example'),
        ('"a\\"b"@x.example', '"a\\"b"@x.example'),
        ('"bob"@x.example', "bob@x.example"),
    ],
)
def test_a_quoted_local_part_is_what_it_quotes(as_logged: str, meant: str) -> None:
    asked = question_of(IT._replace(sender=as_logged, recipient=as_logged), "")
    assert asked == RescueQuestion(Pattern(meant, Form.ADDRESS), meant)
    assert typed(meant) == asked.sender


def test_an_extension_stands_within_the_quotes() -> None:
    asked = question_of(IT._replace(sender="bob@aol.com", recipient='"front desk+news"@x.example'), "+")
    assert asked is not None
    assert asked.recipient == '"front desk"@x.example'


@pytest.mark.parametrize(("sender", "recipient"), [("", "a@x.example"), (None, "a@x.example"), ("a@x.example", None)])
def test_nothing_is_asked_where_the_log_does_not_tell(sender: str | None, recipient: str | None) -> None:
    assert question_of(IT._replace(sender=sender, recipient=recipient), "") is None
