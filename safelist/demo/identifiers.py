"""Ids as Exchange makes them, derived from addresses: the same organisation has the same ids in every run."""

import base64
import functools
import struct
import uuid

_GUIDS = uuid.UUID("6f0d5a0e-3c1b-5d4c-9a51-0c9f6a1f7d20")
INBOX = 0x010C


@functools.lru_cache(maxsize=65536)
def mailbox_guid(address: str) -> str:
    """The GUID of the mailbox of this address, the same in every run."""
    return str(uuid.uuid5(_GUIDS, address.lower()))


@functools.lru_cache(maxsize=4096)
def item_id(guid: str, number: int) -> str:
    """An EWS item id: the entry id of the item ``number`` in the Inbox of the mailbox of this GUID."""
    box = uuid.UUID(guid).bytes
    return ews_id(guid, struct.pack("<I16sHI12x16s6sH", 0, box, 7, INBOX, box[::-1], number.to_bytes(6, "big"), 0))


@functools.lru_cache(maxsize=4096)
def change_key(guid: str, number: int, revision: int) -> str:
    """A change key that is another one after every change of the item."""
    body = uuid.UUID(guid).bytes[::-1] + (number << 24 | revision).to_bytes(6, "big")
    return base64.b64encode(struct.pack("<II", 9, len(body)) + body).decode()


def ews_id(guid: str, entry: bytes) -> str:
    """An id of the shape of MS-OXWSITEMID: no compression, mailbox GUID, then an entry id."""
    head = struct.pack("<BBH", 0, 3, 36) + guid.encode("ascii") + struct.pack("<BH", 0, len(entry))
    return base64.b64encode(head + entry).decode()


def guid_of(text: str) -> str | None:
    """The mailbox GUID inside an id made here; None where it is malformed."""
    try:
        raw = base64.b64decode(text, validate=True)
        head, length = struct.unpack_from("<HH", raw)
        guid = raw[4 : 4 + length].decode("ascii")
    except (ValueError, struct.error):
        return None
    return guid if head == 0x0300 and length == 36 and len(raw) > 43 else None
