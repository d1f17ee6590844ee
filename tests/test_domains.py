"""Public suffixes, free-mail domains, providers."""

import pytest

from safelist import domains


@pytest.mark.parametrize("name", ["co.uk", "com", "github.io", "unlisted"])
def test_a_public_suffix(name: str) -> None:
    assert domains.is_public_suffix(name)


@pytest.mark.parametrize("name", ["aol.com", "partner.example", "example.co.uk", "me.github.io"])
def test_no_public_suffix(name: str) -> None:
    assert not domains.is_public_suffix(name)


FREE = ["aol.com", "mail.aol.com", "yahoo.co.uk", "gmail.com", "hotmail.com", "gmx.de", "t-online.de", "icloud.com"]


@pytest.mark.parametrize("name", FREE)
def test_free_mail(name: str) -> None:
    assert domains.is_free_mail(name)


@pytest.mark.parametrize("name", ["aol.com.evil.example", "notaol.com", "partner.example", "example.co.uk", "co.uk"])
def test_no_free_mail(name: str) -> None:
    assert not domains.is_free_mail(name)


def test_providers_have_a_name_and_others_are_one() -> None:
    named = {
        "aol.com": "AOL", "aim.com": "AOL", "yahoo.co.uk": "Yahoo", "gmail.com": "Google", "qq.com": "qq.com",
        "x.example": "other domains",
    }  # fmt: skip
    assert {name: domains.provider(name) for name in named} == named
    assert domains.provider("aol.example") == "other domains", "a label alone is no provider"
