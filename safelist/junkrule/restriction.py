"""Restrictions as an extended rule stores them (MS-OXCDATA 2.12, MS-OXORULE 2.2.4.2): bytes into values, and back.

Counts and binary lengths have 32 bits here, unlike in standard rules. Reading is iterative, checks every count against
the bytes that are left before anything is made, and consumes every byte or raises RuleError.
"""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from safelist.errors import RuleError

MAX_BYTES = 16 << 20
"""Exchange's own limit is 510 KB (522,240 bytes) unless an administrator raised it."""
MAX_DEPTH = 64
"""The Junk E-mail Rule is 7 deep; values nested by the hundred thousand would break whoever prints or compares them."""
MAX_PARTS = 1 << 16
"""Restrictions and values besides CONTENT and PROPERTY, which pay for themselves in bytes. A junk rule has 19."""

AND, OR, NOT, CONTENT, PROPERTY, COMPARE, BITMASK, SIZE, EXIST, SUBOBJECT, COMMENT, COUNT, ANNOTATION = range(13)
NULL = 0xFF

FULL_STRING = 0x00010000
"""Fuzzy level: the whole string, ignoring case (MS-OXCDATA 2.12.4)."""
SUBSTRING = 0x00010001

_STRING8, _UNICODE, _BINARY = 0x001E, 0x001F, 0x0102
_FIXED = {0x0002: 2, 0x0003: 4, 0x0004: 4, 0x0005: 8, 0x0006: 8, 0x0007: 8, 0x000A: 4, 0x000B: 1, 0x0014: 8, 0x0040: 8,
          0x0048: 16}  # fmt: skip
_SIGNED = frozenset({0x0002, 0x0003, 0x0014})
_MULTIPLE = 0x1000

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_TWO = struct.Struct("<II")
_LEAF = struct.Struct("<BIII")
_FAST_FROM = 4
_FAST_LEAF = 160
"""Bytes that the fast way of reading a list allows for each leaf, on average; an address of 25 characters takes 65."""
_FAST_MISSES = 4
"""It may look in vain at that many times the input; hostile input gets the slow way after that."""

Value = str | int | bytes | tuple["Value", ...]


class And(NamedTuple):
    """Every part holds."""

    parts: tuple["Restriction", ...]


class Or(NamedTuple):
    """Some part holds; none when there are no parts."""

    parts: tuple["Restriction", ...]


class Texts(NamedTuple):
    """An OR of CONTENT restrictions on one string property at one fuzzy level: a list of a Junk E-mail Rule."""

    level: int
    tag: int
    texts: tuple[str, ...]


class Not(NamedTuple):
    """``part`` does not hold."""

    part: "Restriction"


class Content(NamedTuple):
    """The property contains ``value`` in the sense of the fuzzy ``level``."""

    level: int
    tag: int
    value: Value


class Property(NamedTuple):
    """The property compares with ``value`` by the relational operator."""

    operator: int
    tag: int
    value: Value


class Exist(NamedTuple):
    """The property is there."""

    tag: int


class SubObject(NamedTuple):
    """``part`` holds for some recipient (0x0E12000D) or attachment (0x0E13000D)."""

    tag: int
    part: "Restriction"


class Other(NamedTuple):
    """A restriction that no Junk E-mail Rule holds: its type byte, and the parts inside it."""

    kind: int
    parts: tuple["Restriction", ...]


Restriction = And | Or | Texts | Not | Content | Property | Exist | SubObject | Other


def decode(data: bytes) -> Restriction:
    """The restriction in ``data``, PidTagExtendedRuleMessageCondition. Raises RuleError with the offset."""
    if len(data) > MAX_BYTES:
        raise RuleError(MAX_BYTES, f"at most {MAX_BYTES} bytes", f"{len(data)}")
    reader = _Reader(data)
    reader.skip_named_properties()
    root = _tree(reader)
    if reader.at != len(data):
        raise RuleError(reader.at, "the end", f"{len(data) - reader.at} more bytes")
    return root


class _Open(NamedTuple):
    """A restriction whose parts are still being read."""

    close: Callable[[tuple[Restriction, ...]], Restriction]
    wanted: int
    parts: list[Restriction]


def _tree(reader: "_Reader") -> Restriction:
    opened: list[_Open] = []
    while True:
        at = reader.at
        node = _begin(reader)
        if isinstance(node, _Open):
            if len(opened) == MAX_DEPTH:
                raise RuleError(at, f"at most {MAX_DEPTH} levels", "one more")
            if node.wanted:
                opened.append(node)
                continue
            node = node.close(())
        while opened:
            opened[-1].parts.append(node)
            if len(opened[-1].parts) < opened[-1].wanted:
                break
            done = opened.pop()
            node = done.close(tuple(done.parts))
        else:
            return node


def _begin(reader: "_Reader") -> Restriction | _Open:
    """The leaf at the reader's place, or the beginning of a restriction that holds others."""
    at = reader.at
    kind = reader.byte("a restriction")
    begin = _BEGIN.get(kind)
    if begin is None:
        raise RuleError(at, "a restriction", f"the unknown type 0x{kind:02X}")
    if kind != CONTENT and kind != PROPERTY:
        reader.spend(1, at)
    return begin(reader, kind)


def _begin_and(reader: "_Reader", _: int) -> _Open:
    return _Open(And, reader.count("restrictions in an AND", 1), [])


def _begin_or(reader: "_Reader", _: int) -> Restriction | _Open:
    count = reader.count("restrictions in an OR", 1)
    return (reader.texts(count) if count >= _FAST_FROM else None) or _Open(_close_or, count, [])


def _close_or(parts: tuple[Restriction, ...]) -> Restriction:
    first = parts[0] if parts else None
    if not isinstance(first, Content) or not all(
        isinstance(part, Content) and part[:2] == first[:2] and isinstance(part.value, str) for part in parts
    ):
        return Or(parts)
    return Texts(first.level, first.tag, tuple(part.value for part in parts))  # type: ignore[union-attr,misc]


def _begin_not(_: "_Reader", __: int) -> _Open:
    return _Open(lambda parts: Not(parts[0]), 1, [])


def _read_content(reader: "_Reader", _: int) -> Content:
    level, tag = reader.two("fuzzy level and property tag")
    return Content(level, tag, reader.tagged_value(tag))


def _read_property(reader: "_Reader", _: int) -> Property:
    operator = reader.byte("a relational operator")
    tag = reader.number("a property tag")
    return Property(operator, tag, reader.tagged_value(tag))


def _read_tail(reader: "_Reader", kind: int) -> Other:
    """COMPAREPROPS, BITMASK and SIZE: one byte and two numbers."""
    reader.take(9, "an operator and two numbers")
    return Other(kind, ())


def _read_exist(reader: "_Reader", _: int) -> Exist:
    return Exist(reader.number("a property tag"))


def _begin_subobject(reader: "_Reader", _: int) -> _Open:
    tag = reader.number("a sub-object's property tag")
    return _Open(lambda parts: SubObject(tag, parts[0]), 1, [])


def _begin_comment(reader: "_Reader", kind: int) -> _Open:
    """The number of values has one byte even here, where other counts have four."""
    for _ in range(reader.byte("the number of values in a COMMENT")):
        reader.spend(1, reader.at)
        reader.tagged_value(None)
    at = reader.at
    present = reader.byte("whether a COMMENT holds a restriction")
    if present > 1:
        raise RuleError(at, "0 or 1", str(present))
    return _Open(lambda parts: Other(kind, parts), present, [])


def _begin_count(reader: "_Reader", kind: int) -> _Open:
    reader.number("a limit")
    return _Open(lambda parts: Other(kind, parts), 1, [])


def _read_null(_: "_Reader", kind: int) -> Other:
    return Other(kind, ())


_BEGIN: dict[int, Callable[["_Reader", int], Restriction | _Open]] = {
    AND: _begin_and, OR: _begin_or, NOT: _begin_not, CONTENT: _read_content, PROPERTY: _read_property,
    COMPARE: _read_tail, BITMASK: _read_tail, SIZE: _read_tail, EXIST: _read_exist, SUBOBJECT: _begin_subobject,
    COMMENT: _begin_comment, ANNOTATION: _begin_comment, COUNT: _begin_count, NULL: _read_null,
}  # fmt: skip


class _Reader:
    """A place in the bytes; every step checks what is left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._misses = _FAST_MISSES * len(data)
        self._parts = MAX_PARTS
        self.at = 0

    def take(self, size: int, what: str) -> bytes:
        if size > len(self._data) - self.at:
            raise RuleError(self.at, f"{what} ({size} bytes)", f"{len(self._data) - self.at} bytes")
        self.at += size
        return self._data[self.at - size : self.at]

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def number(self, what: str) -> int:
        return int.from_bytes(self.take(4, what), "little")

    def two(self, what: str) -> tuple[int, int]:
        first, second = _TWO.unpack(self.take(8, what))
        return first, second

    def count(self, what: str, least: int) -> int:
        """A 32-bit count of things that take at least ``least`` bytes each."""
        at = self.at
        count = self.number(f"the number of {what}")
        if count * least > len(self._data) - self.at:
            raise RuleError(at, f"{count} {what}", f"only {len(self._data) - self.at} bytes")
        return count

    def spend(self, parts: int, at: int) -> None:
        self._parts -= parts
        if self._parts < 0:
            raise RuleError(at, f"at most {MAX_PARTS} restrictions and values", "more")

    def skip_named_properties(self) -> None:
        """Their ids are private to the rule, and no list of a Junk E-mail Rule uses one (MS-OXORULE 2.2.4.2)."""
        count = _U16.unpack(self.take(2, "the number of named properties"))[0]
        if not count:
            return
        self.take(2 * count, "the ids of the named properties")
        size = self.count("bytes of names", 1)
        end = self.at + size
        for _ in range(count):
            kind = self.take(17, "a named property's kind and GUID")[0]
            if kind == 0:
                self.take(4, "a named property's number")
            elif kind == 1:
                self.take(self.byte("the length of a name"), "a name")
            elif kind != 0xFF:
                raise RuleError(self.at - 17, "a named property's kind (0, 1 or 255)", str(kind))
        if self.at != end:
            raise RuleError(self.at, f"the names to end at byte {end}", "another end")

    def tagged_value(self, tag: int | None) -> Value:
        """A property tag and its value, of the type of ``tag`` unless that is None."""
        at = self.at
        own = self.number("a value's property tag")
        if tag is not None and (own ^ tag) & 0xFFFF:
            raise RuleError(at, f"a value of type 0x{tag & 0xFFFF:04X}", f"0x{own & 0xFFFF:04X}")
        kind = own & 0xFFFF
        if kind & _MULTIPLE:
            least = 2 if kind ^ _MULTIPLE == _UNICODE else 1
            count = self.count("values", least)
            self.spend(count, at)
            return tuple(self.value(kind ^ _MULTIPLE, at) for _ in range(count))
        return self.value(kind, at)

    def value(self, kind: int, at: int) -> str | int | bytes:
        if kind == _UNICODE:
            return self.text()
        if kind == _STRING8:
            return self.text8()
        if kind == _BINARY:
            return self.take(self.count("bytes of a binary value", 1), "a binary value")
        size = _FIXED.get(kind)
        if size is None:
            raise RuleError(at, "a property type of MS-OXCDATA 2.11.1", f"0x{kind:04X}")
        raw = self.take(size, "a value")
        return raw if size == 16 else int.from_bytes(raw, "little", signed=kind in _SIGNED)

    def text(self) -> str:
        """UTF-16LE up to a NUL; there is no length."""
        start = self.at
        end = self._data.find(b"\0\0", start)
        while end >= 0 and (end - start) % 2:
            end = self._data.find(b"\0\0", end + 1)
        if end < 0:
            raise RuleError(start, "a string that ends with NUL", "no end")
        self.at = end + 2
        try:
            return self._data[start:end].decode("utf-16-le")
        except UnicodeDecodeError as error:
            raise RuleError(start + error.start, "UTF-16", "half a surrogate pair") from None

    def text8(self) -> str:
        """Bytes up to a NUL, read as Windows does (1252; the five bytes that it leaves open are C1 controls)."""
        start = self.at
        end = self._data.find(b"\0", start)
        if end < 0:
            raise RuleError(start, "a string that ends with NUL", "no end")
        self.at = end + 1
        raw = self._data[start:end]
        try:
            return raw.decode("cp1252")
        except UnicodeDecodeError:
            return "".join(map(_CP1252.__getitem__, raw))

    def texts(self, count: int) -> Texts | None:
        """``count`` CONTENT leaves with one header, read at one go; None when :func:`_tree` must look at each.

        A header never matches inside a string at an even place, for it begins with the NUL that ends the string; at an
        odd place it leaves parts of odd length.
        """
        # Only as far as such a list can reach: the split walks all of the window, and an input of many short ORs must
        # not make it walk everything for each of them. What was looked at in vain is counted (_misses).
        window = self._data[self.at : self.at + count * _FAST_LEAF]
        if self._misses < len(window) or len(window) < _LEAF.size:
            return None
        kind, level, tag, own = _LEAF.unpack_from(window)
        if kind != CONTENT or tag & 0xFFFF != _UNICODE or own & 0xFFFF != _UNICODE:
            return None
        self._misses -= len(window)
        # Cut where a text's NUL is followed by the header of the next leaf. The first header is cut off by hand; the
        # last part is the last text and whatever comes after the list.
        parts = window[_LEAF.size :].split(b"\0\0" + window[: _LEAF.size], count - 1)
        if len(parts) != count:
            return None
        last = _Reader(parts[-1])
        try:
            ending = last.text()
            # One decoding for all. A NUL at an even place inside a text then counts as one text too many.
            text = b"\0\0".join(parts[:-1]).decode("utf-16-le")
        except (RuleError, UnicodeDecodeError):
            return None
        texts = text.split("\0")
        if len(texts) != count - 1 or any(len(part) % 2 for part in parts[:-1]):
            return None
        self._misses += len(window)  # not in vain
        self.at += len(window) - len(parts[-1]) + last.at
        return Texts(level, tag, (*texts, ending))


_CP1252 = [bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256)]


def encode_and(*parts: bytes) -> bytes:
    """An AND of encoded restrictions."""
    return bytes([AND]) + _U32.pack(len(parts)) + b"".join(parts)


def encode_or(*parts: bytes) -> bytes:
    """An OR of encoded restrictions."""
    return bytes([OR]) + _U32.pack(len(parts)) + b"".join(parts)


def encode_not(part: bytes) -> bytes:
    """The negation of an encoded restriction."""
    return bytes([NOT]) + part


def encode_subobject(tag: int, part: bytes) -> bytes:
    """An encoded restriction on a sub-object."""
    return bytes([SUBOBJECT]) + _U32.pack(tag) + part


def encode_texts(level: int, tag: int, texts: Sequence[str]) -> bytes:
    """An OR of CONTENT leaves. Raises ValueError for a text that has no encoding: with NUL or half a surrogate pair."""
    for text in texts:
        if "\0" in text:
            raise ValueError(f"a text in a rule cannot hold NUL: {text!r}")
    header = _LEAF.pack(CONTENT, level, tag, tag)
    return encode_or(*(header + text.encode("utf-16-le") + b"\0\0" for text in texts))


def encode_exist(tag: int) -> bytes:
    """That a property is there."""
    return bytes([EXIST]) + _U32.pack(tag)


def encode_integer(operator: int, tag: int, value: int) -> bytes:
    """A comparison of a 32-bit property with a constant."""
    return bytes([PROPERTY, operator]) + _TWO.pack(tag, tag) + struct.pack("<i", value)
