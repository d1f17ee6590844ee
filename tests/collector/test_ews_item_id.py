"""Whose item is it: the mailbox GUID inside an Exchange item id."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.collector.sources.ews.item_id import MAX_PAYLOAD, owner

GUID = "7e616754-278d-49bb-805a-0f7864fe3dc5"


def item_id(payload: bytes, compression: int = 0) -> str:
    return base64.b64encode(bytes([compression]) + payload).decode()


def payload(guid: str = GUID, storage: int = 3, rest: bytes = b"\x2e\x00\x00\x00\x00\x85") -> bytes:
    return bytes([storage]) + len(guid).to_bytes(2, "little") + guid.encode() + rest


def packed(data: bytes) -> bytes:
    """The run-length encoding of MS-OXWSITEMID, written anew from its description."""
    out = bytearray()
    at = 0
    while at < len(data):
        run = 1
        while at + run < len(data) and run < 257 and data[at + run] == data[at]:
            run += 1
        out += data[at : at + 1] if run == 1 else bytes([data[at], data[at], run - 2])
        at += run
    return bytes(out)


def test_plain_id() -> None:
    assert owner(item_id(payload())) == GUID


def test_compressed_id_as_seen_from_exchange() -> None:
    seen = "0324003765363136373534 2d323738642d34396262002d 383035612d3066373836346665336463 35002e00000385"
    assert owner(item_id(bytes.fromhex(seen), compression=1)) == GUID


def test_capitals_do_not_make_another_mailbox() -> None:
    assert owner(item_id(payload(GUID.upper()))) == GUID


@given(st.uuids(), st.binary(max_size=100))
def test_both_forms_name_the_same_owner(guid: object, rest: bytes) -> None:
    plain = payload(str(guid), rest=rest)
    assert owner(item_id(plain)) == owner(item_id(packed(plain), compression=1)) == str(guid)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAA",
        "no base64!",
        "ünïcode",
        item_id(payload(storage=0)),
        item_id(payload(), compression=2),
        item_id(payload()[:20]),
        item_id(payload(GUID[:-1])),
        item_id(payload("x" * 36)),
        item_id(payload(GUID.replace("-", "_"))),
        item_id(b"\x03\x03", compression=1),
        item_id(b"\x03\x03\xff" * 100, compression=1),
        item_id(payload()) + "\n",
    ],
)
def test_other_shapes_have_no_owner(text: str) -> None:
    assert owner(text) is None


@given(st.binary(max_size=3 * MAX_PAYLOAD) | st.text().map(str.encode))
def test_never_raises(data: bytes) -> None:
    for text in (base64.b64encode(data).decode(), item_id(data, 1), data.decode("latin-1")):
        found = owner(text)
        assert found is None or len(found) == 36
