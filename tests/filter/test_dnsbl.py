"""Names to ask and answers to understand: RFC 5782, Spamhaus's errors, Exchange's settings."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from safelist.filter import dnsbl
from safelist.filter.dnsbl import AllowProvider, ListingKind, Provider, classify, query_name, render

KEY = "abcdef0123456789abcdef01"
ZEN: dict[str, Any] = {
    "name": "Spamhaus ZEN",
    "lookup_domain": "zen.spamhaus.org",
    "ip_address_match": ["127.0.0.2-127.0.0.11"],
}
DQS = ZEN | {"lookup_domain": f"{KEY}.zen.dq.spamhaus.net"}


def provider(**settings: Any) -> Provider:
    return Provider.model_validate(ZEN | settings)


def matching(*codes: str, **settings: Any) -> Provider:
    return provider(ip_address_match=list(codes), **settings)


def allow(**settings: Any) -> AllowProvider:
    dnswl = {"name": "DNSWL", "lookup_domain": "list.dnswl.org", "any_match": True}
    return AllowProvider.model_validate(dnswl | settings)


def faults(model: type[dnsbl.Lookup] = Provider, **settings: Any) -> str:
    """What the configuration says to them."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(ZEN | settings)
    return str(caught.value)


def test_octets_and_nibbles_are_reversed() -> None:
    assert query_name(IPv4Address("192.0.2.99"), "bad.example") == "99.2.0.192.bad.example"
    name = query_name(IPv6Address("2001:db8:1:2:3:4:567:89ab"), "ugly.example")
    assert name == "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example"


def test_an_ipv4_client_on_an_ipv6_socket_is_asked_for_as_ipv4() -> None:
    assert query_name(IPv6Address("::ffff:192.0.2.99"), "bad.example") == "99.2.0.192.bad.example"


def test_a_zone_of_a_link_local_client_is_left_out() -> None:
    assert query_name(IPv6Address("fe80::1%eth0"), "x.example") == query_name(IPv6Address("fe80::1"), "x.example")


@given(st.ip_addresses(v=4))
def test_an_ipv4_name_reads_back(client: IPv4Address) -> None:
    octets = query_name(client, "bl.example").removesuffix(".bl.example").split(".")
    assert IPv4Address(".".join(reversed(octets))) == client


@given(st.ip_addresses(v=6))
def test_an_ipv6_name_reads_back(client: IPv6Address) -> None:
    if client.ipv4_mapped:
        assert query_name(client, "bl.example") == query_name(client.ipv4_mapped, "bl.example")
        return
    nibbles = query_name(client, "bl.example").removesuffix(".bl.example").split(".")
    assert len(nibbles) == 32
    assert IPv6Address(int("".join(reversed(nibbles)), 16)) == client


def test_the_longest_lookup_domain_leaves_room_for_nibbles() -> None:
    longest = ".".join(["x" * 61] * 3 + ["ab"])
    domain = provider(lookup_domain=longest).lookup_domain
    assert len(query_name(IPv6Address("2001:db8::1"), domain)) <= 253
    assert "write at most 189" in faults(lookup_domain="xyz." + longest)


def test_the_test_points_of_a_list() -> None:
    points = dnsbl.test_names("bl.example")
    assert points.listed == "2.0.0.127.bl.example"
    assert points.not_listed == "1.0.0.127.bl.example"
    zeros = ".".join(["0"] * 20)
    assert points.ipv6_listed == f"2.0.0.0.0.0.f.7.f.f.f.f.{zeros}.bl.example"
    assert points.ipv6_not_listed == f"1.0.0.0.0.0.f.7.f.f.f.f.{zeros}.bl.example"


@pytest.mark.parametrize(
    ("answers", "kind", "codes"),
    [
        ([], ListingKind.NOT_LISTED, ()),
        (["127.0.0.2"], ListingKind.LISTED, ("127.0.0.2",)),
        (["127.0.0.11"], ListingKind.LISTED, ("127.0.0.11",)),
        (["127.0.0.12"], ListingKind.NOT_LISTED, ("127.0.0.12",)),
        (["127.0.0.1"], ListingKind.NOT_LISTED, ("127.0.0.1",)),
        (["127.0.0.12", "127.0.0.4", "127.0.0.4"], ListingKind.LISTED, ("127.0.0.4",)),
        (["127.255.255.254"], ListingKind.ERROR, ("127.255.255.254",)),
        (["127.255.255.7"], ListingKind.ERROR, ("127.255.255.7",)),
        (["203.0.113.7"], ListingKind.ERROR, ("203.0.113.7",)),
        (["127.255.255.255", "127.0.0.3"], ListingKind.LISTED, ("127.0.0.3",)),
        (["127.0.0.12", "203.0.113.7"], ListingKind.ERROR, ("203.0.113.7",)),
        (["127.0.1.255"], ListingKind.ERROR, ("127.0.1.255",)),
        ([""], ListingKind.ERROR, ("",)),
        (["127.0.0.2\n"], ListingKind.ERROR, ("127.0.0.2\n",)),
        (["127.0.0.02"], ListingKind.ERROR, ("127.0.0.02",)),
        (["2130706434"], ListingKind.ERROR, ("2130706434",)),
        (["::ffff:127.0.0.2"], ListingKind.ERROR, ("::ffff:127.0.0.2",)),
    ],
)
def test_what_answers_mean(answers: Sequence[str], kind: ListingKind, codes: tuple[str, ...]) -> None:
    listing = classify(provider(), answers)
    assert (listing.kind, listing.codes) == (kind, codes)
    assert listing.why


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("127.255.255.252", "mistyped"), ("127.255.255.254", "public resolver"), ("127.255.255.255", "too many"),
        ("127.255.255.1", "does not know"), ("8.8.8.8", "outside 127.0.0.0/8"), ("127.0.1.255", "domains only"),
        ("x", "not an IPv4"),
    ],
)  # fmt: skip
def test_every_error_is_said_in_words(answer: str, words: str) -> None:
    for one in (provider(), provider(any_match=True), allow()):
        listing = classify(one, [answer])
        assert listing.kind is ListingKind.ERROR
        assert words in listing.why


def test_any_match_takes_every_code_but_no_error() -> None:
    anything = provider(any_match=True, ip_address_match=[])
    assert classify(anything, ["127.9.9.9"]).kind is ListingKind.LISTED
    assert classify(anything, ["127.255.255.254"]).kind is ListingKind.ERROR
    assert classify(anything, ["192.0.2.1"]).kind is ListingKind.ERROR


def test_a_range_over_the_errors_does_not_make_listings_of_them() -> None:
    assert classify(matching("127.0.0.0/8"), ["127.255.255.254"]).kind is ListingKind.ERROR


@pytest.mark.parametrize(("mask", "listed"), [("127.0.0.4", {4, 6, 5}), ("127.0.0.3", {1, 2, 3, 5, 6})])
def test_a_bit_mask_takes_what_shares_a_bit(mask: str, listed: set[int]) -> None:
    masked = provider(bitmask_match=mask, ip_address_match=[])
    found = {last for last in (1, 2, 3, 4, 5, 6, 8) if classify(masked, [f"127.0.0.{last}"]).kind is ListingKind.LISTED}
    assert found == listed
    assert classify(masked, ["127.1.0.7"]).kind is ListingKind.NOT_LISTED


def test_a_bit_mask_takes_dnswl_of_medium_trust_in_every_category() -> None:
    trusted = allow(any_match=False, bitmask_match="127.0.0.2")
    levels = [classify(trusted, [f"127.0.13.{trust}"]).kind is ListingKind.LISTED for trust in range(4)]
    assert levels == [False, False, True, True]


@pytest.mark.parametrize("spoiled", [["127.0.10.255"], ["127.0.10.3", "127.0.0.255"], ["127.0.10.3", "192.0.2.1"]])
def test_an_allow_list_with_an_error_admits_nobody(spoiled: list[str]) -> None:
    assert classify(allow(), ["127.0.10.3"]).kind is ListingKind.LISTED
    assert classify(allow(), spoiled).kind is ListingKind.ERROR


def test_a_block_list_may_answer_255() -> None:
    assert classify(provider(any_match=True), ["127.0.0.255"]).kind is ListingKind.LISTED


@given(
    st.lists(st.one_of(st.text(), st.ip_addresses(v=4).map(str), st.ip_addresses(v=4, network="127.0.0.0/8").map(str))),
    st.booleans(),
)
def test_only_codes_in_127_make_a_listing(answers: list[str], any_match: bool) -> None:
    for one in (provider(any_match=any_match), allow(any_match=True)):
        listing = classify(one, answers)
        assert listing.why.isascii()
        assert listing.why.isprintable()
        assert len(listing.why) < 600
        if listing.kind is ListingKind.LISTED:
            numbers = [int(ip_address(code)) for code in listing.codes]
            assert all(number >> 24 == 127 and number >> 8 != 0x7FFFFF for number in numbers)


def test_ten_thousand_answers_are_said_shortly() -> None:
    listing = classify(provider(any_match=True), [f"127.0.{n // 250}.{n % 250}" for n in range(10_000)])
    assert listing.kind is ListingKind.LISTED
    assert len(listing.why) < 200


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ip_address_match": []}, "would match nothing"),
        ({"ip_address_match": ["127.0.0.[2..11]"]}, "write an address, a range"),
        ({"ip_address_match": ["127.0.0.2-11"]}, "write an address, a range"),
        ({"ip_address_match": ["127.0.0.11-127.0.0.2"]}, "smaller address first"),
        ({"ip_address_match": ["127.0.0.3/28"]}, "not a network"),
        ({"ip_address_match": ["0.0.0.0/0"]}, "lie in 127.0.0.0/8"),
        ({"ip_address_match": ["10.0.0.2"]}, "lie in 127.0.0.0/8"),
        ({"ip_address_match": ["127.255.255.254"]}, "never count"),
        ({"ip_address_match": ["::1"]}, "write an address"),
        ({"ip_address_match": ["x" * 5000]}, "write an address"),
        ({"bitmask_match": "127.0.0.0"}, "127.0.0.1 to 127.0.0.255"),
        ({"bitmask_match": "127.0.1.1"}, "127.0.0.1 to 127.0.0.255"),
        ({"bitmask_match": "4"}, "not an IPv4"),
        ({"lookup_domain": "zen"}, "not a domain"),
        ({"lookup_domain": ""}, "not a domain"),
        ({"lookup_domain": "zen..org"}, "not a domain"),
        ({"lookup_domain": "-zen.org"}, "not a domain"),
        ({"lookup_domain": "zen.org\n"}, "not a domain"),
        ({"lookup_domain": "192.0.2.1"}, "not a domain"),
        ({"lookup_domain": "x" * 64 + ".org"}, "not a domain"),
        ({"lookup_domain": "zën.org"}, "A-labels"),
        ({"lookup_domain": "zen.org/x"}, "not a domain"),
        ({"name": " "}, "is empty"),
        ({"name": "Liste \u2028"}, "printable ASCII"),
        ({"name": "x" * 65}, "at most 64"),
        ({"rejection_response": ""}, "is empty"),
        ({"rejection_response": "no\r\n250 yes"}, "one line"),
        ({"rejection_response": "no\x00"}, "printable ASCII"),
        ({"rejection_response": "Gesperrt für {0}"}, "printable ASCII"),
        ({"rejection_response": "see {3}"}, "write {0}"),
        ({"rejection_response": "see {}"}, "write {0}"),
        ({"rejection_response": "{{0}}"}, "write {0}"),
        ({"rejection_response": "{0.__class__}"}, "write {0}"),
        ({"rejection_response": "x" * 241}, "at most 240"),
        ({"rejection_response": "550 5.7.1 no"}, "leave the code out"),
        ({"rejection_response": "5.7.1 no"}, "leave the code out"),
        ({"hide_labels": -1}, "greater than or equal"),
        ({"no_such_key": 1}, "Extra inputs"),
    ],
)  # fmt: skip
def test_faults_say_what_to_write(settings: dict[str, Any], words: str) -> None:
    assert words in faults(**settings)


def test_every_fault_of_a_list_is_told_at_once() -> None:
    told = faults(ip_address_match=["a", "127.0.0.2", "b"])
    assert "'a'" in told
    assert "'b'" in told


def test_an_allow_list_has_no_rejection_response() -> None:
    assert "rejection_response" in faults(AllowProvider, rejection_response="no")


def test_names_in_lookup_domains_may_have_underscores_and_a_final_dot() -> None:
    assert provider(lookup_domain="_BL.My_List.example.").lookup_domain == "_bl.my_list.example"


def test_the_default_response_is_exchanges() -> None:
    said = "Recipient not authorized, your IP has been found on a block list (Spamhaus ZEN)"
    assert render(provider(), IPv4Address("192.0.2.1")) == said


def test_a_response_names_client_list_and_domain() -> None:
    told = provider(rejection_response="{0} is on {1}, see https://check.example/{2}?ip={0}")
    said = render(told, IPv6Address("::ffff:192.0.2.1"))
    assert said == "192.0.2.1 is on Spamhaus ZEN, see https://check.example/zen.spamhaus.org?ip=192.0.2.1"


def test_a_name_with_braces_is_not_filled_in() -> None:
    assert render(provider(name="{0} {2}", rejection_response="{1}"), IPv4Address("192.0.2.1")) == "{0} {2}"


@given(st.text(st.sampled_from("{}012 ax\r\n\x00é"), max_size=260), st.ip_addresses())
def test_a_response_fits_an_smtp_line(template: str, client: IPv4Address | IPv6Address) -> None:
    try:
        told = provider(rejection_response=template, lookup_domain=".".join(["x" * 62] * 3))
    except ValidationError:
        return
    line = f"{dnsbl.REPLY_CODE} {render(told, client)}\r\n"
    assert len(line.encode("ascii")) <= 512
    assert line[:-2].isprintable()


def test_the_longest_response_is_cut() -> None:
    told = provider(rejection_response="{2}" * 80, lookup_domain=".".join(["x" * 62] * 3))
    assert len(render(told, IPv4Address("192.0.2.1"))) == 500


@pytest.mark.parametrize(
    ("domain", "hide_labels", "public"),
    [
        (f"{KEY}.zen.dq.spamhaus.net", 0, "***.zen.dq.spamhaus.net"),
        (f"{KEY.upper()}.ZEN.dq.spamhaus.net.", 0, "***.zen.dq.spamhaus.net"),
        ("shortkey.zen.dq.spamhaus.net", 0, "***.zen.dq.spamhaus.net"),
        (f"{KEY}.combined.mail.abusix.zone", 0, "***.combined.mail.abusix.zone"),
        (f"bl.{KEY}.example", 0, "bl.***.example"),
        ("my-secret.bl.example", 1, "***.bl.example"),
        ("one.two.bl.example", 2, "***.***.bl.example"),
        ("bl.example", 10, "***.***"),
        ("zen.spamhaus.org", 0, "zen.spamhaus.org"),
        ("dnsbl-1.uceprotect.net", 0, "dnsbl-1.uceprotect.net"),
    ],
)
def test_the_public_domain_has_no_key(domain: str, hide_labels: int, public: str) -> None:
    assert provider(lookup_domain=domain, hide_labels=hide_labels).public_domain == public


def test_no_text_holds_the_key() -> None:
    keyed = Provider.model_validate(DQS | {"rejection_response": "{0} {1} {2}"})
    texts = [repr(keyed), str(keyed), render(keyed, IPv4Address("192.0.2.1"))]
    texts += [classify(keyed, [answer]).why for answer in ("127.0.0.2", "127.0.0.99", "127.255.255.254", "x")]
    assert not any(KEY in text for text in texts)
    assert KEY in query_name(IPv4Address("192.0.2.1"), keyed.lookup_domain)


@pytest.mark.parametrize(
    "settings",
    [
        {"ip_address_match": []}, {"lookup_domain": f"{KEY}..dq.spamhaus.net"}, {"lookup_domain": f"{KEY}.ö.net"},
        {"lookup_domain": f"{KEY}." * 20 + "net"}, {"bitmask_match": "x"}, {"name": KEY},
        {"rejection_response": f"see {KEY.upper()}"}, {"unknown": 1},
    ],
)  # fmt: skip
def test_no_fault_holds_the_key(settings: dict[str, Any]) -> None:
    assert KEY not in faults(**DQS | settings).lower()


def test_a_key_in_a_shown_text_is_a_fault() -> None:
    told = faults(**DQS | {"name": f"DQS {KEY}", "rejection_response": f"{{0}} {KEY}"})
    assert "name: holds the key" in told
    assert "rejection_response: holds the key" in told
