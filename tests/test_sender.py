"""A sender pattern is normalised or refused with a reason; nothing is repaired into something else."""

import tracemalloc
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safelist.sender import (
    MAX_REFUSED,
    Form,
    Pattern,
    Refusal,
    _any,
    asked_about,
    covering,
    covers,
    envelope,
    parse,
    typed,
    unquoted,
    untagged,
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Accounts.Desk@AOL.com", "accounts.desk@aol.com"),
        ("  a@b.example\t", "a@b.example"),
        ("SMTP:DESK@AOL.COM", "desk@aol.com"),
        ("smtp:desk@aol.com", "desk@aol.com"),
        ("a@b.example.", "a@b.example"),
        ("user+tag=x@b.example", "user+tag=x@b.example"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("a@straße.example", "a@xn--strae-oqa.example"),
        ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
        ('"john"@x.example', "john@x.example"),
        ('"John Doe"@x.example', '"john doe"@x.example'),
        ('"a\\"b"@x.example', '"a\\"b"@x.example'),
        ("Jörg@x.example", "jörg@x.example"),
        ("jo\u0308rg@x.example", "jörg@x.example"),
        ("A..b@docomo.example", '"a..b"@docomo.example'),
        ('"a..b"@docomo.example', '"a..b"@docomo.example'),
        ("a.@docomo.example", '"a."@docomo.example'),
        (".a@docomo.example", '".a"@docomo.example'),
        ("jörg.@x.example", '"jörg."@x.example'),
        ("x" * 310 + "@x.example", "x" * 310 + "@x.example"),
        ("a@web_1.x.example", "a@web_1.x.example"),
        ("a@b-c.d1.example", "a@b-c.d1.example"),
    ],
)
def test_addresses(text: str, canonical: str) -> None:
    assert parse(text) == Pattern(canonical, Form.ADDRESS)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("@Example.com", "example.com"),
        ("example.com", "example.com"),
        ("sub.example.co.uk.", "sub.example.co.uk"),
        ("@bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_domains(text: str, canonical: str) -> None:
    assert parse(text) == Pattern(canonical, Form.DOMAIN)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", Refusal.EMPTY),
        ("   ", Refusal.EMPTY),
        ("@", Refusal.BAD_DOMAIN),
        ("a@", Refusal.BAD_DOMAIN),
        ("x" * 311 + "@x.example", Refusal.TOO_LONG),
        ("a@" + "x." * 130 + "example", Refusal.TOO_LONG),
        ("a" * 100_000, Refusal.TOO_LONG),
        ("/o=ExchangeLabs/ou=Exchange Administrative Group/cn=Recipients/cn=desk", Refusal.X500),
        ("EX:/O=CORP/OU=FIRST/CN=RECIPIENTS/CN=DESK", Refusal.X500),
        ("Desk <desk@x.example>", Refusal.DISPLAY_NAME),
        ("<desk@x.example>", Refusal.DISPLAY_NAME),
        ("boss@own.example desk@x.example", Refusal.DISPLAY_NAME),
        ("a b@x.example", Refusal.DISPLAY_NAME),
        ("a\u200bb@x.example", Refusal.INVISIBLE),
        ("a\u202e@x.example", Refusal.INVISIBLE),
        ("a\x00@x.example", Refusal.INVISIBLE),
        ("a\u3164@x.example", Refusal.INVISIBLE),
        ("a\ufe0f@x.example", Refusal.INVISIBLE),
        ("a\u2800@x.example", Refusal.INVISIBLE),
        ("a@x\ufe0f.example", Refusal.INVISIBLE),
        ("a@x\u034f.example", Refusal.INVISIBLE),
        ("a@\u3164x.example", Refusal.INVISIBLE),
        ("a\r\nb@x.example", Refusal.INVISIBLE),
        ("a@x\u00ad.example", Refusal.INVISIBLE),
        ("\ud800@x.example", Refusal.INVISIBLE),
        ("*@x.example", Refusal.WILDCARD),
        ("*.example.com", Refusal.WILDCARD),
        ("a@[192.0.2.1]", Refusal.ADDRESS_LITERAL),
        ("a@[IPv6:::1]", Refusal.ADDRESS_LITERAL),
        ("192.0.2.1", Refusal.IP_ADDRESS),
        ("a@192.0.2.1", Refusal.IP_ADDRESS),
        ("com", Refusal.SINGLE_LABEL),
        ("@com", Refusal.SINGLE_LABEL),
        ("a@localhost", Refusal.SINGLE_LABEL),
        ("a@b..example", Refusal.BAD_DOMAIN),
        ("a@-b.example", Refusal.BAD_DOMAIN),
        ("b_c.example", Refusal.NEITHER),
        ("@b_c.example", Refusal.BAD_DOMAIN),
        (".b_c.example", Refusal.BAD_DOMAIN),
        ("a_b", Refusal.NEITHER),
        ("a@" + "x" * 64 + ".example", Refusal.BAD_DOMAIN),
        ("a@xn--a-ecp.ru\u2260.example", Refusal.BAD_DOMAIN),
        ("a@x.123", Refusal.BAD_DOMAIN),
        ("a..b,c@x.example", Refusal.BAD_LOCAL_PART),
        ("..*@x.example", Refusal.WILDCARD),
        ('""@x.example', Refusal.BAD_LOCAL_PART),
        ("'a@x.example'", Refusal.BAD_DOMAIN),
        ("mailto:a@x.example", Refusal.BAD_LOCAL_PART),
        ("a@x.example;", Refusal.BAD_DOMAIN),
        ("a@b@x.example", Refusal.BAD_LOCAL_PART),
        ("a,b@x.example", Refusal.BAD_LOCAL_PART),
        ("a@x.example;b@y.example", Refusal.BAD_LOCAL_PART),
        ("a\uff20own.example@x.example", Refusal.BAD_LOCAL_PART),
        ("a\uff0eb@x.example", Refusal.BAD_LOCAL_PART),
        ("\uff41@x.example", Refusal.BAD_LOCAL_PART),
        ("\u212a@x.example", Refusal.BAD_LOCAL_PART),
        ("no at sign", Refusal.NEITHER),
        ("desk\uff20x.example", Refusal.NEITHER),
    ],
)
def test_refusals(text: str, refusal: Refusal) -> None:
    pattern = parse(text)
    assert (pattern.form, pattern.refusal) == (Form.REFUSED, refusal)
    assert refusal.sentence


def test_long_refused_texts_stay_short_and_different() -> None:
    one, two = parse("x y" * 1000), parse("x y" * 1000 + "z")
    assert one.text[:MAX_REFUSED] == two.text[:MAX_REFUSED]
    assert one.text != two.text
    assert len(one.text) == MAX_REFUSED + 17


def test_a_refused_text_is_kept_as_stored() -> None:
    assert parse("Boss@xn--0.Example") == Pattern("Boss@xn--0.Example", Form.REFUSED, Refusal.BAD_DOMAIN)
    assert parse("\ud800x").text != parse("?x").text


def test_long_texts_are_not_remembered() -> None:
    text = "x" * 250_000
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for n in range(50):
            parse(f"{n} {text}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000


@given(st.from_regex(r"[A-Za-z.+_-]{1,6}@([A-Za-z0-9-]{1,5}\.){1,3}[A-Za-z0-9-]{1,5}", fullmatch=True))
@example("a@b--c.example")
@example("a@" + "x" * 61 + ".y")
def test_the_fast_way_decides_as_the_exact_way(text: str) -> None:
    assert parse(text) == _any(text)


def test_every_refusal_has_a_sentence() -> None:
    assert all(refusal.sentence for refusal in Refusal)


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[^@]{0,8}@?[^@]{0,12}\.[a-zäß]{2,4}\.?", fullmatch=True)))
@example("İ@x.example")
@example('"\\ "@x.example')
@example("a@\u1e9e.example")
def test_what_is_accepted_is_canonical_and_visible(text: str) -> None:
    pattern = parse(text)
    pattern.text.encode()
    if pattern.form is Form.REFUSED:
        assert pattern.refusal is not None
        return
    assert parse(pattern.text) == pattern
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in pattern.text)
    domain = pattern.text.rpartition("@")[2]
    assert domain.isascii()
    assert "." in domain
    assert domain == domain.lower()
    assert (" " in pattern.text) <= (pattern.text[0] == '"')


@pytest.mark.parametrize(
    "text",
    [
        "<bob@x.example>", "mailto:bob@x.example", "MAILTO:bob@x.example", "'bob@x.example'", "bob@x.example;",
        "bob@x.example,", "  bob@x.example\t", "<mailto:bob@x.example>", "'bob@x.example';",
        "\u2018bob@x.example\u2019",
        '"bob@x.example"', "Bob <bob@x.example>", '"Smith, Bob" <bob@x.example>;', "Bob O'Hara <BOB@x.example>",
        "bob@x.example", "SMTP:bob@x.example",
    ],
)  # fmt: skip
def test_what_is_typed_or_pasted_means_the_one_address_in_it(text: str) -> None:
    assert typed(text) == Pattern("bob@x.example", Form.ADDRESS)
    assert asked_about(text) == typed(text)
    if parse(text) != typed(text):
        assert parse(text).form is Form.REFUSED, "Outlook would not match it"


@pytest.mark.parametrize(
    "text",
    [
        "boss@own.example <eve@x.example>", "boss\uff20own.example <eve@x.example>", "<a@x.example><b@x.example>",
        "a@x.example;b@x.example", "a@x.example b@x.example", "'a@x.example','b@x.example'", "Bob <x.example>",
        "<a@x.example", "a@x.example>", "mailto:a%40b@x.example", "mailto:a@x.example?cc=b@x.example",
        "Bob\u202e <bob@x.example>", "a <b> <c@x.example>", '"a@x.example" <b@x.example>', "<>", "<@>", "''", ";", "",
        "mailto:", "a: b@x.example;", "friends: Bob <bob@x.example>", "<b@x.example> Bob",
    ],
)  # fmt: skip
def test_what_could_mean_two_is_refused_from_people_too(text: str) -> None:
    assert typed(text) == parse(text)
    assert typed(text).form is Form.REFUSED


def test_what_is_no_bracketed_address_is_read_as_a_list_has_it() -> None:
    for text in ("'a'@x.example", '"front desk"@x.example', "partner.example", ".partner.example", "o'hara@x.example"):
        assert typed(text) == parse(text)
        assert typed(text).form is not Form.REFUSED


D = ("d.example", ".d.example")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Bob@D.example", ("bob@d.example", *D)),
        ("bob@d.example.", ("bob@d.example", *D)),
        ("front desk@d.example", ('"front desk"@d.example', *D)),
        ("a..b@d.example", ('"a..b"@d.example', *D)),
        ("x@y@d.example", ('"x@y"@d.example', *D)),
        ('say "hi"@d.example', ('"say \\"hi\\""@d.example', *D)),
        ("SMTP:bob@d.example", ('"smtp:bob"@d.example', *D)),
        ("<bob@d.example", ('"<bob"@d.example', *D)),
        (" bob@d.example", ('" bob"@d.example', *D)),
        ("x" * 70 + "@d.example", ("x" * 70 + "@d.example", *D)),
        ("a@web_1.d.example", ("a@web_1.d.example", "web_1.d.example", ".web_1.d.example", ".d.example")),
        ("@d.example", D),
        ("*@d.example", D),
        ("a\x07b@d.example", D),
        ("a\u200bb@d.example", D),
        ("a\uff20b@d.example", D),
        ("x" * 400 + "@d.example", D),
        ("x" * 9000 + "@d.example", D),
        ("d.example!a", D),
        ("a%d.example", D),
    ],
)
def test_a_sender_is_what_postfix_says_it_is(text: str, names: tuple[str, ...]) -> None:
    found = envelope(text)
    assert (found.form, covering(found)) == (Form.ADDRESS, names)
    assert (found.refusal is None) == ("@" in names[0])
    assert found.text.isprintable()


@pytest.mark.parametrize(
    "domain",
    ["-a.d.example", "a..d.example", "a b.d.example", "\u2260.d.example", "a." * 200 + "d.example",
     "a." * 8000 + "d.example", ("a" * 64 + ".") * 5 + "d.example", "\x07.d.example"],
)  # fmt: skip
def test_a_block_of_a_domain_reaches_what_only_ends_like_it(domain: str) -> None:
    found = envelope(f"a@{domain}")
    assert covers(parse(".d.example"), found)
    assert not covers(parse("d.example"), found)
    assert found.text.isprintable()


LABELS = [
    "a",
    "a_b",
    "-a",
    "",
    "a b",
    "\u05d01",
    "\u05d0",
    "xn--a",
    "xn--bcher-kva",
    "\xdf",
    "d" * 63,
    "d" * 64,
    "e\u0301",
    "\u2260",
]


@given(st.lists(st.sampled_from(LABELS), max_size=6), st.sampled_from(["d.example", "x.\xfc.example", "example"]))
def test_the_domain_of_what_is_none_is_the_longest_ending_that_is_one(labels: list[str], ending: str) -> None:
    parts = [*labels, *ending.split(".")]
    endings = [parse("a@" + ".".join(parts[at:])) for at in range(len(parts) - 1)]
    longest = next((each for each in endings if each.form is Form.ADDRESS), None)
    found = envelope("a@" + ".".join(parts))
    assert (found.form is Form.ADDRESS) == (longest is not None)
    if longest is not None:
        domain = longest.text.partition("@")[2]
        assert found.text.endswith(domain)
        assert found == longest or "." + domain in covering(found)


@pytest.mark.parametrize(
    "text",
    ["", "<>", "bob", "partner.example", ".partner.example", "SMTP:partner.example", "a@[192.0.2.1]", "a@192.0.2.1",
     "a@localhost", "a@", "@", "a@x.123", "a@b.", "!", "%"],
)  # fmt: skip
def test_what_cannot_be_known_is_no_sender(text: str) -> None:
    found = envelope(text)
    assert (found.form, found.text) == (Form.REFUSED, text)
    assert found.refusal is not None


@given(st.text(max_size=30), st.sampled_from(["d.example", "D.Example.", "x.d.example", "a_b.d.example"]))
def test_whatever_stands_before_the_last_at_the_domain_is_known(local: str, domain: str) -> None:
    found = envelope(f"{local}@{domain}")
    assert found.form is Form.ADDRESS
    assert covers(parse(".d.example"), found)
    assert found.refusal is not None or envelope(unquoted(found)) == found
    assert found.refusal is not None or local.startswith("/") or parse(found.text) == found


TAG = "1234abcdef"


@pytest.mark.parametrize(
    ("local", "behind"),
    [
        (f"prvs={TAG}=friend", "friend"), (f"PRVS={TAG.upper()}=Friend", "friend"), ("prvs=123456789=friend", "friend"),
        (f"prvs=friend={TAG}", "friend"), (f"prvs=friend/{TAG}", "friend"), ("btv1==0123abc456d==friend", "friend"),
        ("msprvs1=17a9-_+x=friend", "friend"), (f"friend+prvs={TAG}", "friend"), (f"prvs={TAG}=a=b", "a=b"),
        (f"prvs={TAG}=front desk", '"front desk"'), (f"prvs={TAG}=prvs={TAG}=friend", f"prvs={TAG}=friend"),
        (f"prvs={TAG}", None), (f"prvs={TAG}=", None), ("prvs==friend", None), ("prvs=friend", None),
        ("btv1=0123=friend", None), ("friend=x", None), (f"srs0={TAG}=x=friend", None), (f"prvs={TAG}=*", None),
    ],
)  # fmt: skip
def test_the_address_behind_a_tag(local: str, behind: str | None) -> None:
    sender = envelope(f"{local}@x.example")
    found = untagged(sender)
    assert (found and found.text) == (behind and f"{behind}@x.example")
    if behind:
        assert covering(sender)[:2] == (sender.text, f"{behind}@x.example")
        assert covering(sender)[-2:] == ("x.example", ".x.example")
        assert covers(parse(f"{behind}@x.example"), sender)
        assert not covers(sender, parse(f"{behind}@x.example"))


@pytest.mark.parametrize(
    ("local", "behind"),
    [
        (f"prvs={TAG}=prvs={TAG}=friend", [f"prvs={TAG}=friend", "friend"]),
        (f"btv1==0123abc==prvs={TAG}=a+prvs={TAG}", [f"prvs={TAG}=a+prvs={TAG}", f"a+prvs={TAG}", "a"]),
        (f"prvs={TAG}=friend", ["friend"]),
        ("friend", []),
    ],
)
def test_an_address_behind_several_tags_is_each_of_those_addresses(local: str, behind: list[str]) -> None:
    """Two servers on a mail's way out may both have put one in front."""
    sender = envelope(f"{local}@x.example")
    expected = [sender.text, *(f"{each}@x.example" for each in behind)]
    assert list(covering(sender)) == [*expected, "x.example", ".x.example"]
    assert all(covers(parse(each), sender) for each in expected)


def test_as_many_tags_as_an_address_can_hold_end() -> None:
    sender = envelope("prvs=a=" * 40 + "friend@x.example")
    assert covering(sender)[-3:] == ("friend@x.example", "x.example", ".x.example")
    assert len(covering(sender)) == 43
