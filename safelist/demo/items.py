"""Items as XML: which properties a shape asks for, and how FindItem and GetItem write them."""

import base64
import functools
from typing import NamedTuple

from lxml import etree

from safelist.demo.faults import Fault, Trouble
from safelist.demo.identifiers import change_key, folder_id, item_id
from safelist.demo.organisation import CONDITION, Item, Mailbox, Property, Value
from safelist.demo.restriction import read_path
from safelist.demo.soap import T, text_of

FIND_BINARY_LIMIT = 512
"""Bytes of a binary property that FindItem returns, without an error (Exchange: FindItem operation)."""
FIND_STRING_LIMIT = 255
"""Characters of a string property that FindItem returns."""

_DEFAULT = frozenset({"item:Subject", "item:Sensitivity", "item:Size", "item:DateTimeCreated", "item:HasAttachments"})
_ALL = _DEFAULT | {
    "item:ParentFolderId",
    "item:ItemClass",
    "item:DateTimeReceived",
    "item:Importance",
    "item:Culture",
    "item:LastModifiedName",
    "item:LastModifiedTime",
    "item:IsAssociated",
}
_SHAPES = {"IdOnly": frozenset[str](), "Default": _DEFAULT, "AllProperties": _ALL}
_GARBAGE = "%%% no base64 \u2603 %%%"


class Shape(NamedTuple):
    """What to return of each item; ``limited``: cut long values as FindItem does."""

    fields: frozenset[str]
    properties: tuple[Property, ...]
    limited: bool


def read_shape(operation: etree._Element, *, limited: bool) -> Shape:
    """The m:ItemShape of a FindItem or GetItem request."""
    element = operation.find("{*}ItemShape")
    if element is None:
        return Shape(frozenset(), (), limited)
    paths = [read_path(path) for path in element.iterfind(f"{T}AdditionalProperties/*")]
    fields = _SHAPES.get(element.findtext(f"{T}BaseShape", "IdOnly"), frozenset())
    asked = fields | {path for path in paths if isinstance(path, str)}
    return Shape(asked, tuple(path for path in paths if isinstance(path, Property)), limited)


def write_item(mailbox: Mailbox, item: Item, shape: Shape, fault: Fault | None) -> str:
    """One item as t:Message, its elements in the schema's order."""
    guid = mailbox.guid
    stale = fault is not None and fault.trouble is Trouble.STALE_CHANGE_KEY
    key = change_key(guid, item.number, item.revision - stale)
    before = "".join(_field(name, mailbox, item, shape) for name in _BEFORE if name in shape.fields)
    after = "".join(_field(name, mailbox, item, shape) for name in _AFTER if name in shape.fields)
    extended = "".join(_property(key, item.properties.get(key), shape, fault) for key in shape.properties)
    head = f'<t:ItemId Id="{item_id(guid, item.number)}" ChangeKey="{key}"/>'
    return f"<t:Message>{head}{before}{extended}{after}</t:Message>"


_BEFORE = {
    "item:ParentFolderId": "",
    "item:ItemClass": "{0.item_class}",
    "item:Subject": "{0.subject}",
    "item:Sensitivity": "Normal",
    "item:DateTimeReceived": "2026-01-05T08:00:00Z",
    "item:Size": "{1}",
    "item:Importance": "Normal",
    "item:DateTimeCreated": "2026-01-05T08:00:00Z",
    "item:HasAttachments": "false",
}
_AFTER = {
    "item:Culture": "en-US",
    "item:LastModifiedName": "{2.address}",
    "item:LastModifiedTime": "{0.modified:%Y-%m-%dT%H:%M:%SZ}",
    "item:IsAssociated": "true",
}
_FORMATS = {**_BEFORE, **_AFTER}


def _field(name: str, mailbox: Mailbox, item: Item, shape: Shape) -> str:
    tag = "t:" + name.partition(":")[2]
    if name == "item:ParentFolderId":
        return f'<{tag} Id="{folder_id(mailbox.guid, "inbox")}" ChangeKey="AQAAAA=="/>'
    text = _FORMATS[name].format(item, _size(item), mailbox)
    return f"<{tag}>{text_of(text[:FIND_STRING_LIMIT] if shape.limited else text)}</{tag}>"


def _size(item: Item) -> int:
    return 300 + sum(len(value) for value in item.properties.values() if isinstance(value, bytes | str))


def _property(key: Property, value: Value | None, shape: Shape, fault: Fault | None) -> str:
    text = None if value is None else _text(value, limited=shape.limited)
    if fault is not None and key == CONDITION and isinstance(value, bytes):
        text = _spoiled(value, text, fault)
    if text is None:
        return ""
    uri = f'<t:ExtendedFieldURI PropertyTag="{key.tag:#x}" PropertyType="{key.type}"/>'
    return f"<t:ExtendedProperty>{uri}<t:Value>{text}</t:Value></t:ExtendedProperty>"


def _text(value: Value, *, limited: bool) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value[:FIND_BINARY_LIMIT]).decode() if limited else _base64(value)
    if isinstance(value, str):
        return text_of(value[:FIND_STRING_LIMIT] if limited else value)
    return str(value)


def _spoiled(value: bytes, text: str | None, fault: Fault) -> str | None:
    match fault.trouble:
        case Trouble.EMPTY_BINARY:
            return ""
        case Trouble.MISSING_CONDITION:
            return None
        case Trouble.GARBAGE_BASE64:
            return _GARBAGE
        case Trouble.TRUNCATED:
            return base64.b64encode(value[: fault.size]).decode()
        case _:
            return text


@functools.lru_cache(maxsize=128)
def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
