"""A sender pattern is normalised or refused with a reason; nothing is repaired into something else."""

import tracemalloc
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safelist.sender import MAX_REFUSED, Form, Pattern, Refusal, _any, parse


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
        ("x" * 65 + "@x.example", Refusal.TOO_LONG),
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
        ("a@b_c.example", Refusal.BAD_DOMAIN),
        ("a@" + "x" * 64 + ".example", Refusal.BAD_DOMAIN),
        ("a@xn--a-ecp.ru\u2260.example", Refusal.BAD_DOMAIN),
        ("a@x.123", Refusal.BAD_DOMAIN),
        ("a..b@x.example", Refusal.BAD_LOCAL_PART),
        (".a@x.example", Refusal.BAD_LOCAL_PART),
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
