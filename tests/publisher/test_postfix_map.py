"""The Postfix map's text: only keys that mean what they say get in, whatever the pattern; postmap agrees."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from safelist.override import Authentication
from safelist.publisher.target import Ruling
from safelist.publisher.targets import TARGETS, postfix
from safelist.publisher.text_target import first_word
from safelist.sender import Form, Pattern, Refusal, unquoted
from tests.publisher.site import (
    Rendered,
    address,
    domain,
    every_map_type,
    listed,
    needs_postmap,
    postconf,
    postmap,
    rendered,
    settings,
    trusted,
    write,
)

PLAIN = settings(Path("/nowhere/safelist"), "texthash").model_copy(update={"parent_domain_matches_subdomains": False})

REFUSED = [
    (address("bob smith@aol.example"), "white space"),
    (address("bob@aol.example\n*@x.example OK"), "white space"),
    (address("bob\x00@aol.example"), "control"),
    (address('"bob smith"@aol.example'), "white space"),
    (address("bob\\@aol.example"), "backslash"),
    (address("#bob@aol.example"), "comment"),
    (address("jürgen@aol.example"), "ASCII"),
    (address("bob\uff20aol.example"), "ASCII"),
    (address("bob@\N{KELVIN SIGN}.example"), "ASCII"),
    (address("a@" + ".".join(["b" * 60] * 5)), "longer"),
    (address("bob@"), "not a plain address"),
    (address("@aol.example"), "not a plain address"),
    (address("<>"), "not a plain address"),
    (address(""), "not a plain address"),
    (address("bob@localhost"), "not a plain address"),
    (address("bob@192.0.2.1"), "not a plain address"),
    (address("bob@[192.0.2.1]"), "not a plain address"),
    (address("a@b@aol.example"), "not a plain address"),
    (address("aol.example"), "not a plain address"),
    (domain("com"), "not a plain domain"),
    (domain("@aol.example"), "not a plain domain"),
    (domain(".aol.example"), "not a plain domain"),
    (domain("aol.example."), "not a plain domain"),
    (domain("-aol.example"), "not a plain domain"),
    (domain("192.0.2.1"), "not a plain domain"),
    (domain("192.0.2"), "not a plain domain"),
    (domain("2001:db8::1"), "not a plain domain"),
    (domain("*.aol.example"), "not a plain domain"),
    (domain("bob@aol.example"), "not a plain domain"),
    (domain("b" * 64 + ".example"), "not a plain domain"),
    (Pattern("bob@aol.example", Form.REFUSED, Refusal.EMPTY), "not a plain address"),
]


EXACT = (Form.REFUSED, Form.ADDRESS, Form.DOMAIN)


def keys_of(text: bytes) -> dict[bytes, bytes]:
    """An independent reading of postmap(1), "INPUT FILE FORMAT", for what needs no quotes and no continuation."""
    found: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        if not line.strip() or line.strip().startswith(b"#"):
            continue
        assert not line[:1].isspace(), "a continuation line"
        assert b'"' not in line
        key, value = line.split(None, 1)
        assert key.lower() not in found, "a key twice"
        found[key.lower()] = value.strip()
    return found


def render(entries: Iterable[Pattern], chosen: postfix.PostfixSettings) -> Rendered:
    """Every entry as a safe sender."""
    return rendered([safe(entry) for entry in entries], chosen)


def safe(pattern: Pattern, authentication: Authentication = Authentication.DKIM_OR_SPF) -> Ruling:
    return Ruling(pattern, True, authentication, may_widen=True)


def lines(rulings: Iterable[Ruling], **chosen: bool) -> dict[bytes, bytes]:
    return keys_of(rendered(rulings, PLAIN.model_copy(update=chosen)).text)


def test_a_domain_means_its_sub_domains_only_where_that_was_said() -> None:
    exact, wide = safe(domain("d.example")), safe(Pattern(".d.example", Form.SUBDOMAINS))
    ok = b"permit_auth_destination"
    assert lines([exact], parent_domain_matches_subdomains=False) == {b"d.example": ok}
    assert lines([wide], parent_domain_matches_subdomains=False) == {b"d.example": ok, b".d.example": ok}
    assert lines([wide], parent_domain_matches_subdomains=True) == {b"d.example": ok}
    assert lines([exact, wide], parent_domain_matches_subdomains=True) == {b"d.example": ok}
    assert lines([exact], parent_domain_matches_subdomains=True) == {}
    (refused,) = render([exact.pattern], PLAIN.model_copy(update={"parent_domain_matches_subdomains": True})).refused
    assert "safelist override allow d.example --with-subdomains" in refused.why
    assert lines([exact], parent_domain_matches_subdomains=True, widen_domains=True) == {b"d.example": ok}
    never = exact._replace(may_widen=False)
    assert lines([never], parent_domain_matches_subdomains=True, widen_domains=True) == {}


def test_an_exception_from_a_domain_ends_the_search() -> None:
    wide = safe(Pattern(".d.example", Form.SUBDOMAINS))
    out = [Ruling(p, False, Authentication.SPF) for p in (address("bad@a.d.example"), domain("sub.d.example"))]
    found = lines([*out, wide], parent_domain_matches_subdomains=True, smtputf8_enable=False)
    assert found == {b"d.example": b"permit_auth_destination"} | dict.fromkeys(
        (b"a.d.example", b"sub.d.example"), b"DUNNO"
    )


def test_the_narrower_ruling_wins_where_one_key_would_say_both() -> None:
    wide = safe(Pattern(".d.example", Form.SUBDOMAINS))
    out = Ruling(domain("d.example"), False, Authentication.SPF)
    assert lines([wide, out], parent_domain_matches_subdomains=True) == {b"d.example": b"DUNNO"}


def test_senders_that_must_prove_themselves_can_be_left_out() -> None:
    needs, free = safe(address("a@d.example")), safe(address("b@d.example"), Authentication.NONE)
    assert set(lines([needs, free])) == {b"a@d.example", b"b@d.example"}
    assert set(lines([needs, free], unauthenticated=False)) == {b"b@d.example"}
    wide = safe(Pattern(".d.example", Form.SUBDOMAINS), Authentication.NONE)
    assert lines([needs, free, wide], unauthenticated=False)[b"d.example"] == b"DUNNO"
    assert postfix.TARGET.left_out is not None
    assert list(postfix.TARGET.left_out([needs], PLAIN)) == []
    (refused,) = postfix.TARGET.left_out([needs, free], PLAIN.model_copy(update={"unauthenticated": False}))
    assert "needs authentication" in refused.why


@needs_postmap
def test_postconf_says_how_this_postfix_reads_domains() -> None:
    """Debian's main.cf leaves Postfix's default, in which a domain means its sub-domains."""
    assert "smtpd_access_maps" in postconf("-h", "parent_domain_matches_subdomains")[0]
    chosen = PLAIN.model_copy(update={"parent_domain_matches_subdomains": None})
    assert render([domain("d.example")], chosen).keys == ()


def test_registered_under_its_name() -> None:
    assert TARGETS["postfix"] is postfix.TARGET
    assert all(field.description for field in postfix.PostfixSettings.model_fields.values())


def test_the_text_is_lower_case_sorted_and_constant() -> None:
    entries = [
        address("Zoe@AOL.example"),
        domain("yahoo.example"),
        address("bob@aol.example"),
        address("zoe@aol.example"),
    ]
    text, _, refused = render(entries, PLAIN)
    assert text == postfix.HEADER + (
        b"bob@aol.example permit_auth_destination\n"
        b"yahoo.example permit_auth_destination\n"
        b"zoe@aol.example permit_auth_destination\n"
    )
    assert refused == ()
    assert render(reversed(entries), PLAIN).text == text


@pytest.mark.parametrize(("pattern", "why"), REFUSED, ids=lambda value: ascii(value)[:40])
def test_what_postfix_could_read_as_something_else_is_refused_with_the_reason(pattern: Pattern, why: str) -> None:
    text, _, refused = render([pattern, address("bob.o'neil+x@mail_1.aol.example")], PLAIN)
    assert keys_of(text) == {b"bob.o'neil+x@mail_1.aol.example": b"permit_auth_destination"}
    assert [entry.pattern for entry in refused] == [pattern]
    assert why in refused[0].why


@needs_postmap
def test_postfix_finds_the_local_parts_that_no_rule_of_smtp_allows_without_quotes(tmp_path: Path) -> None:
    """As smtpd looks them up: unquoted."""
    written = ['"a..b"@carrier.example', '".a."@carrier.example', "v" * 70 + "@x.example", "a@web_1.x.example"]
    assert write(tmp_path / "map", trusted(*written), "hash").refused == ()
    for key in ("a..b@carrier.example", ".a.@carrier.example", *written[2:]):
        assert postmap("-q", key, f"hash:{tmp_path / 'map'}") == (0, [b"permit_auth_destination"]), key


# Letters that postmap, access(5) or Unicode could give a meaning, so that nearly-right keys are common.
odd = st.text(alphabet='ab1.@#"\\ \t\n\r\x00\x7f<>:,;{}$|/*!-_[]AK\u212aé\u2028\uff20\ud800', max_size=12)
spelled = st.one_of(
    odd,
    st.builds("{}@{}.example".format, odd, odd),
    st.builds("{}@{}".format, st.from_regex(r"[a-z#.'{}|]{1,6}", fullmatch=True), st.sampled_from(["b.example", "b"])),
    st.from_regex(r"[a-z0-9]{1,3}(\.[a-z0-9-]{1,4}){0,2}", fullmatch=True),
    st.text(max_size=300),
)
PLAIN_ENTRIES = [address("bob.o'neil+x@mail_1.aol.example"), domain("aol-1.example"), address("a" * 70 + "@b.example")]
PLAIN_ENTRIES += [address('"a..b"@carrier.example'), address('".a."@carrier.example')]
patterns = st.one_of(st.builds(Pattern, spelled, st.sampled_from(EXACT)), st.sampled_from(PLAIN_ENTRIES))


def looked_up(pattern: Pattern) -> str:
    """The key that Postfix asks for: an address without quotes."""
    return (unquoted(pattern) if pattern.form is Form.ADDRESS else pattern.text).lower()


@given(st.lists(patterns, max_size=8))
@example([address("a@b.example"), address("A@B.example")])
def test_every_pattern_is_in_the_file_or_refused_never_both(entries: list[Pattern]) -> None:
    text, _, refused = render(entries, PLAIN)
    without = {entry.pattern for entry in refused}
    wanted = {looked_up(entry).encode() for entry in entries if entry not in without}
    assert set(keys_of(text)) == wanted
    assert set(keys_of(text).values()) <= {b"permit_auth_destination"}
    assert {first_word(line) for line in text.splitlines()[1:]} == wanted
    assert without.isdisjoint(PLAIN_ENTRIES)


@needs_postmap
@pytest.mark.parametrize("map_type", ["texthash", "hash"])
@given(entries=st.lists(patterns, min_size=1, max_size=40))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_real_postmap_reads_exactly_the_accepted_keys(map_type: str, entries: list[Pattern]) -> None:
    text = render(entries, PLAIN).text
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "map"
        path.write_bytes(text)
        os.utime(path, (1, 1))  # a texthash file from this very second is read again until it is a second old
        if map_type != "texthash":
            assert postmap(f"{map_type}:{path}") == (0, [])
        found = listed(map_type, path)
        wanted = dict.fromkeys(keys_of(text), b"permit_auth_destination")
        assert found == wanted
        _, lines = postmap(
            "-q", "-", f"{map_type}:{path}", given=b"\n".join([*wanted, b"stranger@example.net"]) + b"\n"
        )
        assert dict(line.split(b"\t") for line in lines) == wanted


@every_map_type
def test_an_index_holds_what_the_text_says_and_nothing_else(tmp_path: Path, map_type: str) -> None:
    path = tmp_path / "map"
    index = postfix.index(settings(path, map_type))
    assert index is not None
    one = render([address("a@b.example")], PLAIN).text
    two = render([address("a@b.example"), domain("c.example")], PLAIN).text
    path.write_bytes(one)
    assert not index.holds(path), "there is none yet"
    index.build(path)
    assert path.with_name("map" + index.suffix).exists()
    assert index.holds(path)
    path.write_bytes(two)
    assert not index.holds(path)
    path.write_bytes(postfix.HEADER)
    index.build(path)
    assert index.holds(path)
    path.write_bytes(one)
    path.with_name("map" + index.suffix).write_bytes(b"garbage" * 1000)
    assert not index.holds(path)


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"path": "safelist"}, "absolute"),
        ({"path": "/"}, "absolute"),
        ({"path": "/etc/my maps/safelist"}, "white space"),
        ({"path": "/etc/a,b"}, "white space"),
        ({"path": "/etc/$x"}, "white space"),
        ({"path": "/etc/a\x00b"}, "absolute"),
        ({"path": "/etc/safelist", "map_type": "sqlite"}, "hash"),
        ({"path": "/etc/safelist", "map_type": 7}, "hash"),
        ({"path": "/etc/safelist", "on_change": "postfix 'reload"}, "its quotes are not balanced; close each"),
        ({"path": "/etc/safelist", "on_change": "postfix reload\\"}, "its quotes are not balanced; close each"),
        ({"path": "/etc/safelist", "on_change": 7}, "tuple"),
        ({"path": "/etc/safelist", "on_change": "postfix\x00"}, "program"),
        ({"path": "/etc/safelist", "on_change": [""]}, "program"),
        ({"path": "/etc/safelist", "reload": True}, "Extra"),
        ({}, "required"),
    ],
)
def test_settings_that_cannot_work_are_faults(section: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError) as caught:
        postfix.PostfixSettings.model_validate(section)
    assert fault in str(caught.value)


def test_the_command_is_text_or_words() -> None:
    for command in ("sh -c 'exit 0'", ["sh", "-c", "exit 0"]):
        section = {"path": "/etc/safelist", "on_change": command}
        assert postfix.PostfixSettings.model_validate(section).on_change == ("sh", "-c", "exit 0")
