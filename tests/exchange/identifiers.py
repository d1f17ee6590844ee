"""Ids of what only tests ask for, made as the demo makes those of items."""

import functools
import struct
import uuid

from safelist.demo.identifiers import INBOX, ews_id

_ROOT = 0x0101


@functools.lru_cache(maxsize=4096)
def folder_id(guid: str, name: str) -> str:
    """An EWS folder id. ``name`` is ``inbox`` or another distinguished name."""
    box, number = uuid.UUID(guid).bytes, INBOX if name == "inbox" else _ROOT
    return ews_id(guid, struct.pack("<I16sH16s6sH", 0, box, 1, box[::-1], number.to_bytes(6, "big"), 0))


def security_id(guid: str) -> str:
    """A Windows security identifier for the owner of the mailbox of this GUID."""
    number = uuid.UUID(guid).int
    return f"S-1-5-21-{number >> 96 & 0x7FFFFFFF}-{number >> 64 & 0x7FFFFFFF}-1001-{number & 0xFFFF}"
