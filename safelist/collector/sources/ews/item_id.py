"""What an Exchange item id tells about its owner: pure, text in, text out (MS-OXWSITEMID)."""

import binascii
from uuid import UUID

MAX_PAYLOAD = 1024
"""An id's payload is at most this long when unpacked (MS-OXWSITEMID 2.1)."""

_MAILBOX_GUID_BASED = 3
_HEADER = 3
_GUID_TEXT = 36


def owner(rule_id: str) -> str | None:
    """The GUID of the mailbox that the item belongs to, lower case with dashes; None if the id is of another shape.

    Never raises, whatever the text.
    """
    try:
        raw = binascii.a2b_base64(rule_id, strict_mode=True)
    except ValueError:
        return None
    payload = _unpack(raw)
    if payload is None or len(payload) < _HEADER + _GUID_TEXT or payload[0] != _MAILBOX_GUID_BASED:
        return None
    if int.from_bytes(payload[1:_HEADER], "little") != _GUID_TEXT:
        return None
    return _as_guid(payload[_HEADER : _HEADER + _GUID_TEXT])


def _as_guid(text: bytes) -> str | None:
    try:
        guid = str(UUID(text.decode("ascii")))
    except ValueError:
        return None
    return guid if guid.encode() == text.lower() else None


def _unpack(raw: bytes) -> bytes | None:
    """The payload behind the compression byte: 0 as it is, 1 run-length encoded."""
    if not raw or raw[0] > 1:
        return None
    return _expand_runs(raw[1:]) if raw[0] == 1 else raw[1:]


def _expand_runs(packed: bytes) -> bytes | None:
    """Two equal bytes are followed by the number of further ones; every other byte stands for itself."""
    out = bytearray()
    at = 0
    while at < len(packed) and len(out) <= MAX_PAYLOAD:
        byte = packed[at]
        if packed[at + 1 : at + 2] != packed[at : at + 1]:
            out.append(byte)
            at += 1
            continue
        if at + 2 >= len(packed):
            return None
        out.extend(bytes([byte]) * (2 + packed[at + 2]))
        at += 3
    return bytes(out) if len(out) <= MAX_PAYLOAD else None
