"""Which list a reply names."""

import pytest

from safelist.rejections.providers import UNNAMED, listed_of, provider_of
from safelist.rejections.rejection import Listed


@pytest.mark.parametrize(
    ("reply", "provider"),
    [
        ("554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org; https://x.example/q/ip",
         "zen.spamhaus.org"),
        ("550 5.7.1 Service unavailable; client [2001:db8::1] blocked using RBL.example; no reason", "rbl.example"),
        ("554 5.7.1 Client host [192.0.2.9] blocked using abcdefghij0123456789abcdef.zen.dq.spamhaus.net",
         "***.zen.dq.spamhaus.net"),
        ("rejected because 192.0.2.9 is in a black list at bl.test.example\\nlisted", "bl.test.example"),
        ("5.7.1 198.51.100.9 is listed in bl.test", "bl.test"),
        ("found in dnsbl zen.spamhaus.org", "zen.spamhaus.org"),
        ('"JunkMail rejected - host [192.0.2.9]:4321 is in an RBL: https://www.lists.example/query/ip/192.0.2.9"',
         "www.lists.example"),
        ("550 5.1.1 <you@corp.example>: Recipient address rejected: User unknown in local recipient table", None),
        ("550 5.7.1 Recipient not authorized, your IP has been found on a block list", UNNAMED),
        ("550 5.7.1 <you@corp.example>: Recipient address rejected: your IP has been found on a block list (A List)",
         "A List"),
        ("found in dnsbl 198.51.100.30", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_reply_names_the_list(reply: str, provider: str | None) -> None:
    assert provider_of(reply) == provider


@pytest.mark.parametrize(
    ("what", "listed"),
    [("Client host", Listed.CLIENT), ("client", Listed.CLIENT), ("Unverified Client host", Listed.CLIENT),
     ("Sender address", Listed.SENDER), ("Recipient address", Listed.RECIPIENT), ("Helo command", Listed.HELO)],
)  # fmt: skip
def test_a_reply_of_postfix_tells_what_was_listed(what: str, listed: Listed) -> None:
    assert listed_of(f"554 5.7.1 Service unavailable; {what} [x.example] blocked using l.example; why") is listed


HIDING = "a client host [192.0.2.1] blocked using other.example"


@pytest.mark.parametrize(
    ("what", "listed", "provider"),
    [
        (f'Sender address ["{HIDING}"@x.example]', Listed.SENDER, UNNAMED),
        (f'Recipient address ["{HIDING}"@x.example]', Listed.RECIPIENT, UNNAMED),
        ('Sender address ["client host [192.0.2.1]"@x.example]', Listed.SENDER, "l.example"),
        ("[tag] Client host [192.0.2.1]", Listed.CLIENT, "l.example"),
    ],
)
def test_what_a_sender_writes_into_an_address_is_not_what_was_listed(what: str, listed: Listed, provider: str) -> None:
    reply = f"554 5.7.1 Service unavailable; {what} blocked using l.example; why"
    assert (listed_of(reply), provider_of(reply)) == (listed, provider)


def test_what_a_list_gives_as_its_reason_names_no_other() -> None:
    reply = (
        "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using l.example; [x] blocked using o.example"
    )
    assert (listed_of(reply), provider_of(reply)) == (Listed.CLIENT, "l.example")


def test_a_reply_that_does_not_tell_what_was_listed() -> None:
    assert listed_of("550 found in dnsbl zen.spamhaus.org") is None


@pytest.mark.parametrize(
    "part", ["client [", "is in an RBL ", "is in an RBL http://", "blocked using a.b-", "rbl ", "a."]
)
def test_a_long_reply_is_read_once(part: str) -> None:
    """A megabyte: what went to its end from each of its words would take an hour."""
    reply = part * (1_000_000 // len(part))
    assert listed_of(reply) is None
    assert provider_of(reply) in (None, "a.b-blocked")
