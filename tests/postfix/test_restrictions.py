"""The restriction lists of an smtpd, read as it reads them."""

import pytest

from safelist.postfix.restrictions import (
    MasterEntry,
    Restriction,
    counted,
    parse,
    parse_overrides,
    policy_service,
    seconds,
    words,
)


def test_a_list_is_read_as_smtpd_reads_it() -> None:
    assert words("a,b  c\t{ d, e } inline:{{f=g}, h=i} {") == ["a", "b", "c", "{ d, e }", "inline:{{f=g}, h=i}", "{"]
    assert policy_service("{inet:x:1 timeout=10s, { default_action = DUNNO x }}") == (
        "inet:x:1", {"timeout": "10s", "default_action": "DUNNO x"}, (),
    )  # fmt: skip
    assert policy_service("{ unix:x, timeout = 1m, try_limits=2,timeout=10x }").malformed == (
        "timeout", "=", "1m", "try_limits=2", "timeout=10x",
    )  # fmt: skip
    assert counted("z.example=127.0.0.[2..3;7]") == tuple(map(frozenset, ({127}, {0}, {0}, {2, 3, 7})))
    assert [counted(f"z.example={codes}") for codes in ("127.0.0", "127.0.0.a", "127.0.0.[]")] == [None] * 3
    assert counted("z.example") is None
    assert [seconds(text) for text in ("10", "10s", "2m", "10x", "", "1 s")] == [10, 10, 120, None, None, None]
    settings = {
        "smtpd_sender_restrictions": "hash:/a, Warn_If_Reject one permit_dnswl_client w.example permit",
        "smtpd_restriction_classes": "one", "one": "two reject_rbl_client z.example",
    }  # fmt: skip
    place = "smtpd_sender_restrictions"
    assert list(MasterEntry("smtp/inet", settings).restrictions) == [
        Restriction(place, "check_sender_access", "hash:/a"),
        Restriction(place, "two", "", True, ("one",)),
        Restriction(place, "reject_rbl_client", "z.example", True, ("one",)),
        Restriction(place, "permit_dnswl_client", "w.example"),
        Restriction(place, "permit"),
    ]


def test_what_postconf_prints_is_read() -> None:
    assert parse("a = b = c\nd =\n") == {"a": "b = c", "d": ""}
    printed = "smtp/inet/a = b\n[::1]:25/inet/c = d=e\nsmtp/inet/f =\n"
    assert parse_overrides(printed) == {"smtp/inet": {"a": "b", "f": ""}, "[::1]:25/inet": {"c": "d=e"}}


@pytest.mark.parametrize(("restriction", "rejects"), [
    (Restriction("smtpd_recipient_restrictions", "reject_rbl_client", "z.example"), True),
    (Restriction("smtpd_recipient_restrictions", "reject_rbl", "z.example"), True),
    (Restriction("smtpd_recipient_restrictions", "reject_maps_rbl"), True),
    (Restriction("smtpd_recipient_restrictions", "reject_rbl_client", "z.example", only_warns=True), False),
    (Restriction("smtpd_recipient_restrictions", "reject_rbl_client"), False),
    (Restriction("smtpd_recipient_restrictions", "reject_rhsbl_sender", "z.example"), False),
    (Restriction("smtpd_recipient_restrictions", "permit_dnswl_client", "z.example"), False),
])  # fmt: skip
def test_a_list_that_rejects_clients_is_known(restriction: Restriction, rejects: bool) -> None:
    assert restriction.rejects_listed == rejects
