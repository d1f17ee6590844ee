"""The wire format of the DNS (RFC 1035): what is asked as bytes, and bytes that came as an answer. Pure.

Whatever a nameserver or a forger sends becomes a :class:`DnsAnswer`. No text in one holds the name that was asked, for
that may hold a key.

dnspython reads and writes the same, with an object for every name, record and set of records: several times the work
for a question that every mail asks of every list. The tests hold this module against it.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from ipaddress import IPv6Address
from itertools import islice
from typing import NamedTuple

MAX_TTL = 86_400
MAX_NEGATIVE_TTL = 3 * 3600
"""Seconds (RFC 2308 5: one to three hours have been found to work well)."""
NO_SOA_TTL = 60
"""Seconds that a negative answer without a SOA record counts."""
FAILED_TTL = 2
"""Seconds for which a failure is not repeated (RFC 2308 7 allows five minutes)."""

_MAX_RECORDS = 256
_MAX_ALIASES = 16

KINDS = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
"""The kinds of record that can be asked for."""
_NS, _CNAME, _SOA = 2, 5, 6
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_RECURSION_DESIRED = 0x0100
_OPT = bytes.fromhex("00 0029 04d0 00000000 0000")
"""Answers of up to 1,232 octets are welcome (RFC 6891 6.1.2; DNS flag day 2020)."""
_POINTER_TO_QUESTION = b"\xc0\x0c"
_PLAIN_LABEL = re.compile(rb"[!-\-/-~]+")
"""Printable ASCII without dots: text that leads back to the same name when it is asked for."""

_NOERROR, _FORMERR, _NXDOMAIN, _NOTIMP = 0, 1, 3, 4
_CODES = (
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE", "DSOTYPENI",
)  # fmt: skip
"""IANA, DNS RCODEs: what an error is called."""


class Status(StrEnum):
    """How a look-up ended. ``FAILED`` tells nothing about the name."""

    FOUND = "found"
    NO_NAME = "no-name"
    NO_DATA = "no-data"
    FAILED = "failed"


class DnsAnswer(NamedTuple):
    """``values`` of the kind that was asked, each once, in the order of the answer; only ``FOUND`` has any.

    A and AAAA: addresses. PTR: names. MX: ``10 mail.example.com``. TXT: the strings of a record joined, a character
    for each octet (latin-1). Names with a dot or space inside a label are left out. ``why``: for ``FAILED``.
    ``ttl``: the seconds for which it counts.
    """

    status: Status
    values: tuple[str, ...] = ()
    why: str | None = None
    ttl: int = 0


def failed(why: str) -> DnsAnswer:
    """A look-up that told nothing."""
    return DnsAnswer(Status.FAILED, (), why, FAILED_TTL)


def question(name: str, kind: str) -> bytes | None:
    """The question section for ``name`` in class IN; None where that is no name (RFC 1035 2.3.4)."""
    if not name.isascii() or len(name) > 253:
        return None
    labels = name.encode("ascii").split(b".")
    if not all(0 < len(label) < 64 for label in labels):
        return None
    octets = b"".join([b"%c%b" % (len(label), label) for label in labels])
    return octets + b"\0" + KINDS[kind].to_bytes(2, "big") + b"\0\1"


def query(question: bytes, kind: str, *, with_edns: bool) -> bytes:
    """The message that asks, all but its id. EDNS is for kinds whose answers may be large."""
    additional = _OPT if with_edns and may_be_large(kind) else b""
    return _HEADER.pack(0, _RECURSION_DESIRED, 1, 0, 0, 1 if additional else 0)[2:] + question + additional


def may_be_large(kind: str) -> bool:
    """Whether an answer may not fit into the 512 octets that need no EDNS."""
    return kind in ("TXT", "MX", "PTR")


def is_reply(message: bytes, question: bytes) -> bool:
    """A reply to a standard query with this one question; its letters may be in another case (RFC 4343)."""
    if len(message) < 12 + len(question) or message[2] & 0xF8 != 0x80 or message[4:6] != b"\0\1":
        return False
    return message[12 : 12 + len(question)].lower() == question


def is_bare_error(message: bytes) -> bool:
    """What servers that do not know EDNS send: an error without the question that they could not read."""
    is_reply = len(message) == 12 and message[2] & 0xF8 == 0x80 and message[4:] == bytes(8)
    return is_reply and _code(message) in (_FORMERR, _NOTIMP)


def is_truncated(message: bytes) -> bool:
    """Whether the rest has to be asked for over TCP (RFC 7766)."""
    return bool(message[2] & 0x02)


def wants_no_edns(message: bytes) -> bool:
    """Whether it is the error of a server that may not know EDNS (RFC 6891 7)."""
    return _code(message) in (_FORMERR, _NOTIMP)


def _code(message: bytes) -> int:
    return message[3] & 0x0F


class MalformedMessageError(Exception):
    """A message that breaks off or contradicts itself."""


class _ResourceRecord(NamedTuple):
    """Where in the message a record's owner and data lie. ``ttl`` in seconds."""

    owner: int
    kind: int
    ttl: int
    data: int
    length: int


_Owner = tuple[bytes, ...] | None
"""Labels in lower case; None is the name that was asked for."""


def read_answer(message: bytes, question: bytes, kind: str) -> DnsAnswer:
    """What a reply to ``question`` (:func:`is_reply`) says. Never raises."""
    code = _code(message)
    if code not in (_NOERROR, _NXDOMAIN):
        return failed(f"the nameserver answers {_CODES[code] if code < len(_CODES) else code}")
    answers, authorities = struct.unpack_from("!HH", message, 6)
    if answers > _MAX_RECORDS:
        return failed(f"{answers} records in an answer, at most {_MAX_RECORDS} are read")
    try:
        records = _records(message, 12 + len(question), answers + min(authorities, _MAX_RECORDS))
        values, ttl = _values(message, kind, islice(records, answers))
        if values and code == _NOERROR:
            return DnsAnswer(Status.FOUND, values, None, ttl)
        return _negative(message, code, list(records), ttl)
    except (MalformedMessageError, IndexError, struct.error):
        return failed("a malformed answer")


def _negative(message: bytes, code: int, authority: list[_ResourceRecord], most: int) -> DnsAnswer:
    """NXDOMAIN or no data, for as long as the SOA record says (RFC 2308 5); a referral is neither."""
    status = Status.NO_NAME if code == _NXDOMAIN else Status.NO_DATA
    ttl = NO_SOA_TTL
    for record in authority:
        if record.kind == _SOA and record.length >= 22:
            end = record.data + record.length
            ttl = min(record.ttl, _seconds(int.from_bytes(message[end - 4 : end], "big")), MAX_NEGATIVE_TTL)
            break
    else:
        if not message[3] & 0x80 and any(record.kind == _NS for record in authority):
            return failed("a referral: the nameserver does not recurse")
    return DnsAnswer(status, (), None, min(ttl, most))


def _records(message: bytes, at: int, count: int) -> Iterator[_ResourceRecord]:
    for _ in range(count):
        owner, at = at, _after_name(message, at)
        kind, _, ttl, length = _RECORD.unpack_from(message, at)
        data, at = at + _RECORD.size, at + _RECORD.size + length
        if at > len(message):
            raise MalformedMessageError
        yield _ResourceRecord(owner, kind, _seconds(ttl), data, length)


def _seconds(ttl: int) -> int:
    """RFC 2181 8: with the highest bit set it counts as 0."""
    return min(ttl, MAX_TTL) if ttl < 1 << 31 else 0


def _after_name(message: bytes, at: int) -> int:
    while length := message[at]:
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise MalformedMessageError
        at += 1 + length
    return at + 1


def _values(message: bytes, kind: str, answers: Iterable[_ResourceRecord]) -> tuple[tuple[str, ...], int]:
    """The values at the end of the chain of aliases, and the seconds for which the whole chain counts."""
    values: dict[_Owner, list[str]] = {}
    aliases: dict[_Owner, _Owner] = {}
    ttls: dict[_Owner, int] = {}
    for record in answers:
        if record.kind not in (KINDS[kind], _CNAME):
            continue
        owner = _owner(message, record.owner)
        ttls[owner] = min(record.ttl, ttls.get(owner, MAX_TTL))
        if record.kind == _CNAME:
            if _after_name(message, record.data) != record.data + record.length:
                raise MalformedMessageError
            aliases[owner] = _owner(message, record.data)
        else:
            values.setdefault(owner, []).extend(_READERS[kind](message, record.data, record.length))
    owner, ttl = _follow(aliases, ttls)
    return tuple(dict.fromkeys(values.get(owner, ()))), ttl


def _follow(aliases: Mapping[_Owner, _Owner], ttls: Mapping[_Owner, int]) -> tuple[_Owner, int]:
    owner: _Owner = None
    ttl = ttls.get(None, MAX_TTL)
    for _ in range(_MAX_ALIASES):
        if owner not in aliases:
            return owner, ttl
        owner = aliases[owner]
        ttl = min(ttl, ttls.get(owner, MAX_TTL))
    raise MalformedMessageError


def _owner(message: bytes, at: int) -> _Owner:
    if message[at : at + 2] == _POINTER_TO_QUESTION:
        return None
    labels = read_name(message, at)
    return None if labels == read_name(message, 12) else labels


_MAX_POINTERS = 16
"""In one name, as dnspython has it; a nameserver needs one."""


def read_name(message: bytes, at: int) -> tuple[bytes, ...]:
    """The labels of the name there, in lower case; a pointer leads back, never forth (RFC 1035 4.1.4: a prior name).

    Raises MalformedMessageError or IndexError. Every pointer must lead before the part that holds it, and what is read
    there must end before that part begins, so no name is read twice and none goes round in circles: without that, one
    packet of pointers to pointers would keep the thread busy for seconds.
    """
    labels, size, hops, begin, end = [], 1, 0, at, len(message)
    while length := message[at]:
        following = at + (2 if length >= 0xC0 else 1 + length)
        if following >= end and (following > end or length < 0xC0):
            raise MalformedMessageError
        if length >= 0xC0:
            at, hops = int.from_bytes(message[at:following], "big") & 0x3FFF, hops + 1
            if at >= begin or hops > _MAX_POINTERS:
                raise MalformedMessageError
            begin, end = at, begin  # what it leads to ends before the part that leads there
            continue
        labels.append(message[at + 1 : following].lower())
        size += 1 + length
        at = following
        if length > 63 or size > 255:
            raise MalformedMessageError
    return tuple(labels)


def _ipv4(message: bytes, at: int, length: int) -> Iterable[str]:
    if length != 4:
        raise MalformedMessageError
    return (".".join(map(str, message[at : at + 4])),)


def _ipv6(message: bytes, at: int, length: int) -> Iterable[str]:
    if length != 16:
        raise MalformedMessageError
    return (str(IPv6Address(message[at : at + 16])),)


def _text(message: bytes, at: int, length: int) -> Iterable[str]:
    strings, end = [], at + length
    while at < end:
        start, at = at + 1, at + 1 + message[at]
        strings.append(message[start:at])
    if at != end:
        raise MalformedMessageError
    return (b"".join(strings).decode("latin-1"),)


def _host(message: bytes, at: int, length: int) -> Iterable[str]:
    labels = read_name(message, at)
    if _after_name(message, at) != at + length:
        raise MalformedMessageError
    is_plain = all(map(_PLAIN_LABEL.fullmatch, labels))
    return (b".".join(labels).decode("ascii") or ".",) if is_plain else ()


def _exchange(message: bytes, at: int, length: int) -> Iterable[str]:
    preference = int.from_bytes(message[at : at + 2], "big")
    return (f"{preference} {host}" for host in _host(message, at + 2, length - 2))


_READERS: Mapping[str, Callable[[bytes, int, int], Iterable[str]]] = {
    "A": _ipv4, "AAAA": _ipv6, "MX": _exchange, "PTR": _host, "TXT": _text,
}  # fmt: skip
