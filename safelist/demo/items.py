"""Items as XML: which properties a shape asks for, and how FindItem and GetItem write them."""

import base64
import functools
from typing import NamedTuple

from lxml import etree

from safelist.demo.identifiers import change_key, item_id
from safelist.demo.organisation import AssociatedItem, Mailbox, MapiProperty, Value
from safelist.demo.soap import MessageError, T, text_of

FIND_BINARY_LIMIT = 512
"""Bytes of a binary property that FindItem returns, without an error (Exchange: FindItem operation)."""
FIND_STRING_LIMIT = 255
"""Characters of a string property that FindItem returns."""

Path = MapiProperty | str
"""What a search or a shape names: an extended property, or a field such as ``item:ItemClass`` ("" if unknown)."""


class ItemShape(NamedTuple):
    """What to return of each item; ``limited``: cut long values as FindItem does."""

    fields: frozenset[str]
    properties: tuple[MapiProperty, ...]
    limited: bool


def read_shape(operation: etree._Element, *, limited: bool) -> ItemShape:
    """The additional properties of a FindItem or GetItem request."""
    paths = [read_path(path) for path in operation.iterfind(f"{{*}}ItemShape/{T}AdditionalProperties/*")]
    properties = tuple(path for path in paths if isinstance(path, MapiProperty))
    return ItemShape(frozenset(path for path in paths if isinstance(path, str)), properties, limited)


def read_path(element: etree._Element) -> Path:
    """The property that a t:FieldURI, t:ExtendedFieldURI or t:IndexedFieldURI names. Raises MessageError."""
    tag = element.get("PropertyTag")
    if tag is None:
        return element.get("FieldURI", "")
    try:
        return MapiProperty(int(tag, 0), element.get("PropertyType", ""))
    except ValueError as error:
        raise MessageError("ErrorInvalidPropertyRequest", "The property tag is not a number.") from error


def write_item(mailbox: Mailbox, item: AssociatedItem, shape: ItemShape) -> str:
    """One item as t:Message: its id, the extended properties, and when it was changed."""
    changed = f"<t:LastModifiedTime>{item.modified:%Y-%m-%dT%H:%M:%SZ}</t:LastModifiedTime>"
    asked = changed if "item:LastModifiedTime" in shape.fields else ""
    return f"<t:Message>{write_id(mailbox, item)}{write_properties(item, shape)}{asked}</t:Message>"


def write_id(mailbox: Mailbox, item: AssociatedItem) -> str:
    """The t:ItemId with its change key."""
    guid = mailbox.guid
    key = change_key(guid, item.number, item.revision)
    return f'<t:ItemId Id="{item_id(guid, item.number)}" ChangeKey="{key}"/>'


def write_properties(item: AssociatedItem, shape: ItemShape) -> str:
    """The t:ExtendedProperty of each property that was asked for and is there."""
    there = ((key, item.properties[key]) for key in shape.properties if key in item.properties)
    return "".join(
        f'<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="{key.tag:#x}" PropertyType="{key.type}"/>'
        f"<t:Value>{_text(value, limited=shape.limited)}</t:Value></t:ExtendedProperty>"
        for key, value in there
    )


def _text(value: Value, *, limited: bool) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value[:FIND_BINARY_LIMIT]).decode() if limited else _base64(value)
    if isinstance(value, str):
        return text_of(value[:FIND_STRING_LIMIT] if limited else value)
    return str(value)


@functools.lru_cache(maxsize=128)
def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
