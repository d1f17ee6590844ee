"""Ids as Exchange makes them, derived from addresses: the same organisation has the same ids in every run."""

import base64
import functools
import struct
import uuid

_GUIDS = uuid.UUID("6f0d5a0e-3c1b-5d4c-9a51-0c9f6a1f7d20")
_INBOX, _ROOT = 0x010C, 0x0101


@functools.lru_cache(maxsize=65536)
def mailbox_guid(address: str) -> str:
    """The GUID of the mailbox of this address, the same in every run."""
    return str(uuid.uuid5(_GUIDS, address.lower()))


@functools.lru_cache(maxsize=4096)
def item_id(guid: str, number: int) -> str:
    """An EWS item id of the shape of MS-OXWSITEMID: no compression, mailbox GUID, then the item's entry id."""
    entry = struct.pack("<I16sHI12x16s6sH", 0, _bytes(guid), 7, _INBOX, _folder(guid), _counter(number), 0)
    return _id(guid, entry)


@functools.lru_cache(maxsize=4096)
def folder_id(guid: str, name: str) -> str:
    """An EWS folder id of the same shape. ``name`` is ``inbox`` or another distinguished name."""
    number = _INBOX if name == "inbox" else _ROOT
    return _id(guid, struct.pack("<I16sH16s6sH", 0, _bytes(guid), 1, _folder(guid), _counter(number), 0))


@functools.lru_cache(maxsize=4096)
def change_key(guid: str, number: int, revision: int) -> str:
    """A change key that is another one after every change of the item."""
    body = _folder(guid) + _counter(number << 24 | revision)
    return base64.b64encode(struct.pack("<II", 9, len(body)) + body).decode()


def security_id(guid: str) -> str:
    """A Windows security identifier for the owner of the mailbox of this GUID."""
    number = int.from_bytes(_bytes(guid), "big")
    return f"S-1-5-21-{number >> 96 & 0x7FFFFFFF}-{number >> 64 & 0x7FFFFFFF}-1001-{number & 0xFFFF}"


def id_parts(text: str) -> tuple[str, bytes] | None:
    """Mailbox GUID and entry id inside an id made here; None where it is malformed."""
    try:
        raw = base64.b64decode(text, validate=True)
        head, length = struct.unpack_from("<HH", raw)
        guid = raw[4 : 4 + length].decode("ascii")
    except (ValueError, struct.error):
        return None
    return (guid, raw[4 + length + 3 :]) if head == 0x0300 and length == 36 and len(raw) > 43 else None


def _id(guid: str, entry: bytes) -> str:
    head = struct.pack("<BBH", 0, 3, 36) + guid.encode("ascii") + struct.pack("<BH", 0, len(entry))
    return base64.b64encode(head + entry).decode()


def _folder(guid: str) -> bytes:
    return _bytes(guid)[::-1]


def _bytes(guid: str) -> bytes:
    return bytes.fromhex(guid.replace("-", ""))


def _counter(number: int) -> bytes:
    return number.to_bytes(6, "big")
