"""What the check says of Postfix configurations, good and bad, and of absurd ones."""

import pytest

from safelist.filter import placement
from safelist.filter.placement import Installed

PLACE = "reject_unauth_destination, check_policy_service { inet:127.0.0.1:10045, timeout=10s, default_action=DUNNO }"
GOOD = {
    "smtpd_recipient_restrictions": "permit_mynetworks, reject_unauth_destination, check_policy_service { "
    "inet:127.0.0.1:10045, timeout=10s, default_action=DUNNO }",
    "smtpd_delay_reject": "yes",
    "postscreen_dnsbl_sites": "",
}  # fmt: skip
HERE = ("inet:127.0.0.1:10045",)
OWN = ("lmdb:/etc/postfix/safelist",)


def told(services: tuple[str, ...] = (), **changed: str) -> list[str]:
    return [remark.text for remark in placement.remarks(GOOD | changed, Installed(services, HERE, own_maps=OWN))]


def test_the_recommended_place_is_without_remark() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"smtpd_recipient_restrictions": "reject_unauth_destination"}, "asked nowhere"),
        ({"smtpd_recipient_restrictions": "check_policy_service inet:127.0.0.1:99"}, "Postfix asks inet:127.0.0.1:99"),
        (
            {"smtpd_recipient_restrictions": "reject_unauth_destination, check_policy_service inet:localhost:10045"},
            "without default_action=DUNNO",
        ),
        ({"smtpd_recipient_restrictions": f"check_sender_access {OWN[0]}, {PLACE}"}, "safelist's own map accepts"),
        ({"smtpd_recipient_restrictions": f"check_sender_access hash:/x, {PLACE}"}, "whom a map accepts"),
        ({"recipient_delimiter": "+"}, "recipient_delimiter is '+', the filter's ''"),
        (
            {"smtpd_recipient_restrictions": "check_policy_service inet:127.0.0.1:10045 reject_unauth_destination"},
            "before reject_unauth_destination",
        ),
        (
            {"smtpd_client_restrictions": "reject_rbl_client zen.example.net=127.0.0.[2..11]"},
            "reject_rbl_client zen.example.net=127.0.0.[2..11] in smtpd_client_restrictions rejects whatever",
        ),
        (
            {"smtpd_client_restrictions": "reject_rbl_client abcdefghij0123456789abcd.zen.dq.example.net"},
            "reject_rbl_client ***.zen.dq.example.net",
        ),
        (
            {"smtpd_relay_restrictions": "check_sender_access hash:/x, reject_unauth_destination"},
            "forges a sender relay",
        ),
        ({"smtpd_delay_reject": "no"}, "smtpd_delay_reject"),
        ({"default_process_limit": "500"}, "raise max_connections"),
        ({"postscreen_dnsbl_sites": "zen.example.net*2"}, "runs no postscreen"),
    ],
)
def test_what_is_wrong_is_said(changed: dict[str, str], words: str) -> None:
    assert any(words in text for text in told(**changed)), told(**changed)


def test_postscreen_that_rejects_cannot_be_helped() -> None:
    changed = {"postscreen_dnsbl_sites": "zen.example.net*2, b.example.net", "postscreen_dnsbl_action": "enforce"}
    (text,) = told(("smtp inet",), **changed)
    assert "decides before MAIL FROM" in text
    assert "zen.example.net, b.example.net" in text
    assert told(("smtp inet",), **changed | {"postscreen_dnsbl_action": "ignore"}) == []


@pytest.mark.parametrize("text", ["", "=", "a", "{", "{}", "{ {", ", ,", "check_policy_service", "\0", "é=ü\n" * 1000])
def test_absurd_settings_are_read(text: str) -> None:
    placement.parse(text)
    assert isinstance(told(smtpd_recipient_restrictions=text, postscreen_dnsbl_sites=text), list)
