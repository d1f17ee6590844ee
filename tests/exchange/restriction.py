"""Search filters of FindItem: does an item match a t:Restriction?"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from lxml import etree

from safelist.demo.items import Path, read_path
from safelist.demo.organisation import AssociatedItem, MapiProperty, Value
from safelist.demo.soap import MessageError, T

_FIELDS: Mapping[str, Callable[[AssociatedItem], Value]] = {
    "item:ItemClass": lambda item: item.item_class,
    "item:Subject": lambda item: item.subject,
    "item:IsAssociated": lambda item: "true",
    "item:LastModifiedTime": lambda item: item.modified.strftime("%Y-%m-%dT%H:%M:%SZ"),
}
_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "IsEqualTo": lambda have, want: have == want,
    "IsNotEqualTo": lambda have, want: have != want,
}


class Contains(NamedTuple):
    """How t:Contains compares."""

    mode: str
    ignore_case: bool

    def matches(self, have: str, want: str) -> bool:
        if self.ignore_case:
            have, want = have.lower(), want.lower()
        if self.mode == "Prefixed":
            return have.startswith(want)
        return have == want if self.mode == "FullString" else want in have


def matches(item: AssociatedItem, expression: etree._Element) -> bool:
    """Evaluate one search expression. Raises MessageError for an expression that this server does not know."""
    name = etree.QName(expression).localname
    if name == "Restriction" or name == "And":
        return all(matches(item, part) for part in expression)
    if name == "Or":
        return any(matches(item, part) for part in expression)
    if name == "Not":
        return not matches(item, _first(expression))
    value = _value(item, read_path(_first(expression)))
    if name == "Exists":
        return value is not None
    if name == "Contains":
        return _contains(value, expression)
    if name in _COMPARISONS:
        # The store compares strings without regard to case.
        return value is not None and _COMPARISONS[name](str(value).lower(), _constant(expression).lower())
    raise MessageError("ErrorUnsupportedQueryFilter", f"The search filter {name} is not supported.")


def _first(expression: etree._Element) -> etree._Element:
    if not len(expression):
        raise MessageError("ErrorInvalidRestriction", "A search expression has no operand.")
    return expression[0]


def _value(item: AssociatedItem, path: Path) -> Value | None:
    if isinstance(path, MapiProperty):
        return item.properties.get(path)
    if path not in _FIELDS:
        raise MessageError("ErrorUnsupportedPathForQuery", f"The property {path} cannot be searched.")
    return _FIELDS[path](item)


def _contains(value: Value | None, expression: etree._Element) -> bool:
    how = Contains(
        expression.get("ContainmentMode", "FullString"), expression.get("ContainmentComparison", "Exact") != "Exact"
    )
    return isinstance(value, str) and how.matches(value, _constant(expression))


def _constant(expression: etree._Element) -> str:
    found = expression.find(f".//{T}Constant")
    if found is None:
        raise MessageError("ErrorUnsupportedQueryFilter", "Only constants can be compared with.")
    return found.get("Value", "")
