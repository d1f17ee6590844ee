"""The Junk E-mail Rule from and to bytes: exact, strict, and unmoved by hostile input."""

import contextlib
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.errors import RuleError
from safelist.junkrule import JunkRule, decode, encode
from safelist.junkrule import restriction as r
from tests.conftest import shared_data
from tests.junkrule.rules import TRAP, naive_decode, rules, texts

CANONICAL = JunkRule(
    blocked_senders=("spam@bulk.example", "Other@bulk.example"),
    blocked_domains=("@bulk.example",),
    safe_senders=("accounts.desk@aol.com", "orders.north@yahoo.com", "x@y.example", "/o=Corp/cn=desk", "no at"),
    safe_sender_domains=("@partner.example", "partner.example"),
    safe_recipients=("list@lists.example",),
    safe_recipient_domains=("@lists.example",),
    trusted_contacts=("friend@home.example", "@odd"),
)


def sample(name: str) -> bytes:
    text = (shared_data("mfcmapi") / name).read_text(encoding="ascii")
    return bytes.fromhex("".join(text.split()))


def test_the_published_junk_rule() -> None:
    data = sample("7-exrule2.hex")
    rule = decode(data)
    assert rule == JunkRule(blocked_senders=("test@example.com",) * 3, safe_senders=("test@example.com",) * 4)
    assert encode(rule) == data


@pytest.mark.parametrize("name", ["7-exrule1.hex", "7-exrule3.hex", "7-exrule4.hex"])
def test_other_restrictions_are_read_and_refused_as_no_junk_rule(name: str) -> None:
    data = sample(name)
    r.decode(data)
    with pytest.raises(RuleError, match="expected a Junk E-mail Rule"):
        decode(data)


@pytest.mark.parametrize("name", ["17-RuleCon1.hex", "17-RuleCon2.hex", "17-RuleCon3.hex", "17-RuleCon4.hex"])
def test_standard_rules_are_refused(name: str) -> None:
    with pytest.raises(RuleError):
        decode(sample(name))


def test_every_cut_is_refused() -> None:
    for data in (encode(CANONICAL), sample("7-exrule2.hex"), sample("7-exrule4.hex")):
        for end in range(len(data)):
            with pytest.raises(RuleError):
                decode(data[:end])
        with pytest.raises(RuleError):
            decode(data + b"\0")


@given(rules)
def test_every_rule_survives(rule: JunkRule) -> None:
    data = encode(rule)
    assert decode(data) == rule
    assert encode(decode(data)) == data


@given(rules)
def test_the_fast_way_reads_what_the_naive_way_reads(rule: JunkRule) -> None:
    found = naive_decode(encode(rule))
    names = ("blocked_senders", "blocked_domains", "safe_sender_domains", "safe_recipient_domains",
             "safe_senders", "safe_recipients", "trusted_contacts")  # fmt: skip
    assert found == [list(getattr(rule, name)) for name in names]


@given(st.lists(texts, min_size=1, max_size=30), st.data())
def test_fast_and_slow_agree_on_damaged_lists(entries: list[str], data: st.DataObject) -> None:
    raw = bytearray(b"\0\0" + r.encode_texts(r.SUBSTRING, 0x0C1F001F, entries))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.sampled_from([0, 1, 3, 0x1F, 0x0C, 0xD8]))
    assert outcome(bytes(raw), fast=True) == outcome(bytes(raw), fast=False)


def outcome(data: bytes, *, fast: bool) -> object:
    reader = r._Reader(data)
    if not fast:
        reader._misses = 0
    try:
        reader.skip_named_properties()
        tree = r._tree(reader)
    except RuleError as error:
        return str(error)
    return tree, reader.at


@given(rules, st.data())
def test_damage_is_a_rule_or_a_rule_error(rule: JunkRule, data: st.DataObject) -> None:
    raw = bytearray(encode(rule))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = decode(bytes(raw))
    except RuleError:
        return
    assert decode(encode(read)) == read


@given(st.binary(max_size=400))
def test_any_bytes_are_a_rule_or_a_rule_error(data: bytes) -> None:
    with contextlib.suppress(RuleError):
        assert decode(encode(decode(data))) == decode(data)


def test_lists_keep_their_place_when_others_are_empty() -> None:
    for name in JunkRule.__slots__:
        rule = JunkRule(**{name: ("one@x.example",)})
        assert decode(encode(rule)) == rule


def test_a_named_property_header_is_skipped() -> None:
    body = encode(CANONICAL)[2:]
    guid = bytes(range(16))
    name = "Keywords\0".encode("utf-16-le")
    names = b"\1" + guid + bytes([len(name)]) + name + b"\0" + guid + struct.pack("<I", 0x8042) + b"\xff" + guid
    header = struct.pack("<HHHHI", 3, 0x80FB, 0x80FC, 0x80FD, len(names)) + names
    assert decode(header + body) == CANONICAL
    with pytest.raises(RuleError, match="names to end at byte"):
        decode(header.replace(struct.pack("<I", len(names)), struct.pack("<I", len(names) - 1)) + body)


def test_eight_bit_strings_are_read_as_windows_does() -> None:
    leaf = struct.pack("<BIII", 3, r.FULL_STRING, 0x0C1F001E, 0x0C1F001E) + "müller@x.example\0".encode("cp1252")
    odd = leaf.replace(b"m", b"\x81")
    data = b"\0\0" + r.encode_not(b"\1" + struct.pack("<I", 2) + leaf + odd)
    assert decode(data).safe_senders == ("müller@x.example", "\x81üller@x.exa\x81ple")


def search_key(value: bytes) -> bytes:
    header = struct.pack("<BIIII", 3, r.FULL_STRING, 0x0C1D0102, 0x0C1D0102, len(value))
    return b"\0\0" + r.encode_not(header + value)


def leaf(text: str, level: int = r.FULL_STRING, tag: int = 0x0C1F001F) -> bytes:
    return struct.pack("<BIII", 3, level, tag, tag) + text.encode("utf-16-le") + b"\0\0"


def test_another_shape_is_read_by_meaning() -> None:
    recipients = b"\x09" + struct.pack("<I", 0x0E12000D)
    data = b"\0\0" + r.encode_and(
        r.encode_or(leaf("spam@bulk.example"), leaf("@bulk.example", r.SUBSTRING)),
        r.encode_not(leaf("a@safe.example")),
        r.encode_not(leaf("@safe.example", r.SUBSTRING)),
        r.encode_not(leaf("friend@home.example", r.SUBSTRING)),
        r.encode_not(leaf("bare.example", r.SUBSTRING)),
        r.encode_not(recipients + leaf("list@lists.example", tag=0x3003001F)),
        r.encode_not(recipients + leaf("@lists.example", r.SUBSTRING, tag=0x3003001F)),
        r.encode_not(r.encode_not(leaf("twice@bulk.example"))),
    )
    assert decode(data) == JunkRule(
        blocked_senders=("spam@bulk.example", "twice@bulk.example"),
        blocked_domains=("@bulk.example",),
        safe_senders=("a@safe.example",),
        safe_sender_domains=("@safe.example", "bare.example"),
        safe_recipients=("list@lists.example",),
        safe_recipient_domains=("@lists.example",),
        trusted_contacts=("friend@home.example",),
    )


def test_search_keys_are_addresses() -> None:
    assert decode(search_key(b"SMTP:DESK@AOL.COM\0")).safe_senders == ("SMTP:DESK@AOL.COM",)


@pytest.mark.parametrize("value", [b"SMTP:A@X\0Y\0", b"SMTP:A@X", b"SMTP:\xe9@X\0", b"", b"EX:/O=X\0"])
def test_other_search_keys_are_refused(value: bytes) -> None:
    with pytest.raises(RuleError, match="Junk E-mail Rule"):
        decode(search_key(value))


@pytest.mark.parametrize(
    "body",
    [
        leaf("lonely@x.example"),
        r.encode_not(leaf("subject", tag=0x0037001F)),
        r.encode_not(r.encode_and(leaf("a@x.example"), leaf("b@x.example"))),
        b"\x09" + struct.pack("<I", 0x0E12000D) + leaf("list@lists.example", tag=0x3003001F),
        r.encode_not(b"\x09" + struct.pack("<I", 0x0E13000D) + leaf("a@x.example")),
        r.encode_not(b"\x06\0" + bytes(8)),
        r.encode_or(r.encode_not(leaf("a@x.example")), r.encode_not(leaf("b@x.example"))),
        r.encode_not(leaf("prefix", 0x00010002)),
        encode(JunkRule(safe_senders=("a@x.example",)))[2:].replace(leaf("a@x.example"), leaf("a@x.example", 0x10002)),
        r.encode_exist(0x40760003),
        r.encode_not(r.encode_or()),
    ],
    ids=[
        "trusts nobody",
        "subject",
        "both at once",
        "positive recipient",
        "attachment",
        "bitmask",
        "unless both",
        "prefix",
        "prefix in place",
        "only the level",
        "nobody",
    ],
)
def test_what_cannot_be_placed_makes_the_rule_unreadable(body: bytes) -> None:
    with pytest.raises(RuleError, match="Junk E-mail Rule"):
        decode(b"\0\0" + body)


LOOKS_FAST = b"\1" + struct.pack("<I", 8) + leaf("") + b"\xff" * 7
HOSTILE = {
    "nothing": b"",
    "nested NOTs": b"\0\0" + b"\2" * 522_240,
    "nested ANDs": b"\0\0" + b"\0\1\0\0\0" * 100_000,
    "nested COMMENTs": b"\0\0" + b"\x0a\0\1" * 170_000,
    "2**32-1 parts": b"\0\0\1\xff\xff\xff\xff" + b"\xff" * 100,
    "2**32-1 bytes": b"\0\0\3" + struct.pack("<III", 0, 0x0C1D0102, 0x0C1D0102) + b"\xff\xff\xff\xff" + b"x" * 100,
    "2**32-1 values": b"\0\0\4\4" + struct.pack("<III", 0x0C1F101F, 0x0C1F101F, 0xFFFFFFFF) + b"\0" * 1000,
    "65,535 names": b"\xff\xff" + b"\0" * 1000,
    "odd length": b"\0\0\3" + struct.pack("<III", 0, 0x0C1F001F, 0x0C1F001F) + b"abc",
    "no NUL": b"\0\0\3" + struct.pack("<III", 0, 0x0C1F001F, 0x0C1F001F) + b"a\0" * 250_000,
    "misaligned NULs": b"\0\0\3" + struct.pack("<III", 0, 0x0C1F001F, 0x0C1F001F) + b"a\0\0a" * 120_000,
    "lone surrogate": b"\0\0\2" + struct.pack("<BIII", 3, 0, 0x0C1F001F, 0x0C1F001F) + b"a\0\0\xd8b\0\0\0",
    "types differ": b"\0\0\3" + struct.pack("<III", 0, 0x0C1F001F, 0x0C1D0102) + b"\0" * 4,
    "unknown type": b"\0\0\x55",
    "unknown property type": b"\0\0\3" + struct.pack("<III", 0, 0x0C1F00FD, 0x0C1F00FD),
    "many nothings": b"\0\0\1" + struct.pack("<I", 522_240) + b"\xff" * 522_240,
    "many empty values": b"\0\0\4\4" + struct.pack("<III", 0x0C1F101E, 0x0C1F101E, 522_240) + b"\0" * 522_240,
    "many lists that only look fast": b"\0\0\1" + struct.pack("<I", 15_000) + LOOKS_FAST * 15_000,
    "too large": b"\0\0" + b"\1" * (16 << 20),
}  # fmt: skip


@pytest.mark.no_cover
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_a_named_error_in_bounded_memory(name: str) -> None:
    data = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(RuleError) as caught:
            decode(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0 <= caught.value.offset <= len(data)
    assert "expected" in str(caught.value)
    assert peak < 1_000_000 + 40 * len(data)


def test_a_lone_surrogate_is_reported_at_its_byte() -> None:
    data = HOSTILE["lone surrogate"]
    with pytest.raises(RuleError) as caught:
        decode(data)
    assert data[caught.value.offset : caught.value.offset + 2] == b"\0\xd8"


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * (9 << 20)])
def test_text_without_an_encoding_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        encode(JunkRule(safe_senders=(text,)))


def test_every_list_is_read_at_one_go() -> None:
    """Small lists before a large one must not use up what the fast way may look at."""
    small, large = ("a@x.example",) * 5, tuple(f"a{n}@x.example" for n in range(1_000))
    data = encode(JunkRule(small, small, large, small, small, small, large))
    reader = r._Reader(data)
    reader.skip_named_properties()
    misses = reader._misses
    r._tree(reader)
    assert (reader._misses, reader._parts) == (misses, r.MAX_PARTS - 19)


def test_traps_for_the_fast_way() -> None:
    for entry in (TRAP, TRAP * 3, "x" + TRAP, "\u0300"):
        rule = JunkRule(safe_sender_domains=(entry,) * 9, trusted_contacts=("a", entry, "b", entry, "c"))
        assert decode(encode(rule)) == rule
