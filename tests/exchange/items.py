"""Items as XML in every shape: the demo's extended properties, and between them the fields of item:... names."""

from lxml import etree

from safelist.demo import Mailbox
from safelist.demo.items import FIND_STRING_LIMIT, ItemShape, write_id, write_properties
from safelist.demo.items import read_shape as read_additional
from safelist.demo.organisation import AssociatedItem
from safelist.demo.soap import T, text_of
from tests.exchange.identifiers import folder_id

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


def read_shape(operation: etree._Element, *, limited: bool) -> ItemShape:
    """The m:ItemShape of a FindItem or GetItem request, with what its base shape brings."""
    additional = read_additional(operation, limited=limited)
    base = operation.findtext(f"{{*}}ItemShape/{T}BaseShape", "IdOnly")
    return additional._replace(fields=additional.fields | _SHAPES.get(base, frozenset()))


def write_item(mailbox: Mailbox, item: AssociatedItem, shape: ItemShape) -> str:
    """One item as t:Message, its elements in the schema's order."""
    before = "".join(_field(name, mailbox, item, shape) for name in _BEFORE if name in shape.fields)
    after = "".join(_field(name, mailbox, item, shape) for name in _AFTER if name in shape.fields)
    return f"<t:Message>{write_id(mailbox, item)}{before}{write_properties(item, shape)}{after}</t:Message>"


def _field(name: str, mailbox: Mailbox, item: AssociatedItem, shape: ItemShape) -> str:
    tag = "t:" + name.partition(":")[2]
    if name == "item:ParentFolderId":
        return f'<{tag} Id="{folder_id(mailbox.guid, "inbox")}" ChangeKey="AQAAAA=="/>'
    text = _FORMATS[name].format(item, _size(item), mailbox)
    return f"<{tag}>{text_of(text[:FIND_STRING_LIMIT] if shape.limited else text)}</{tag}>"


def _size(item: AssociatedItem) -> int:
    return 300 + sum(len(value) for value in item.properties.values() if isinstance(value, bytes | str))
