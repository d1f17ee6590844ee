"""Addresses that are made for one mail only, and those that only look odd."""

import pytest

from safelist import sender
from safelist.audit import verp
from safelist.policy import Settings

OWN = Settings(own_domains=frozenset({"corp.example"}))


@pytest.mark.parametrize(
    "text",
    [
        "bounce+123@lists.example",
        "bounces+123456-7f3a-desk=corp.example@mail.sender.example",
        "list-bounces+desk=corp.example@lists.example",
        "list-return-4711-desk=corp.example@lists.example",
        "bounce-12345_html-678@news.example",
        "prvs=0412a3b4c5=bob@partner.example",
        "srs0=hhh=tt=aol.com=bob@forwarder.example",
        "0100018f1a2b3c4d-5e6f7a8b-9c0d@email.sender.example",
        "msprvs1=20063k=bounces-1@bounce.example",
        "orders+4711@shop.example",
    ],
)
def test_made_for_one_mail(text: str) -> None:
    found = verp.advice(sender.parse(text), OWN)
    assert found is not None
    assert f"safelist override allow {text.rpartition('@')[2]} --reason" in found


@pytest.mark.parametrize(
    "text",
    [
        "bob@aol.com", "bob+news@gmail.com", "info+shop@partner.example", "accounts.desk@aol.com",
        "b2b@partner.example", "returns@shop.example", "bounce@shop.example", "sales2026@partner.example",
        "o'neil@partner.example", "news@bounce.example", "4711@partner.example", "bounce+123", "lists.example",
        ".lists.example", "",
    ],
)  # fmt: skip
def test_an_address_that_comes_again(text: str) -> None:
    assert verp.advice(sender.parse(text), OWN) is None


@pytest.mark.parametrize("text", ["bounce+123@aol.com", "bounce+123@corp.example", "bounce+123@mail.corp.example"])
def test_no_domain_is_suggested_that_must_not_be_safe(text: str) -> None:
    found = verp.advice(sender.parse(text), OWN)
    assert found is not None
    assert "override" not in found


def test_absurd_text_takes_no_time() -> None:
    """No shape backtracks: 64 characters are the most that a local part has."""
    for local in ("=" * 64, "bounce" * 10, "a-" * 32, "0" * 64, "+".join("a" * 32), "bounces-" * 8):
        verp.is_made_anew(sender.Pattern(f"{local}@x.example", sender.Form.ADDRESS))
