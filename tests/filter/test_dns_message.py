"""The wire format of the DNS, held against dnspython where that reads it: no octets of a forger's do any harm."""

from itertools import pairwise

import dns.exception
import dns.name
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from safelist.filter import dns_message
from safelist.filter.dns_message import DnsAnswer, MalformedMessageError, Status
from tests.filter import dns_server
from tests.filter.dns_server import Fault, answering, record

A, MX, PTR, TXT, AAAA, CNAME, SOA, NS = 1, 15, 12, 16, 28, 5, 6, 2
ADDRESS = bytes((192, 0, 2, 1))
FOUND = (Status.FOUND, ("192.0.2.1",))


def read(fault: Fault, kind: str = "A") -> DnsAnswer:
    """What is read where the right answer about one.example becomes this."""
    question = dns_message.question("one.example", kind)
    assert question
    query = b"\0\7" + dns_message.query(question, kind, with_edns=False)
    (message,) = fault(query, answering(record(A, ADDRESS))(query, b"")[0])
    assert dns_message.is_reply(message, question)
    return dns_message.read_answer(message, question, kind)


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(0, 0), (1, 1), (86_400, 86_400), (86_401, 86_400), ((1 << 31) - 1, 86_400), (1 << 31, 0),
                         ((1 << 32) - 1, 0)],
)  # fmt: skip
def test_absurd_ttls_are_bounded(ttl: int, seconds: int) -> None:
    answer = read(answering(record(A, ADDRESS, ttl=ttl)))
    assert answer[:2] == FOUND
    assert answer.ttl == seconds


def test_the_shortest_ttl_of_a_chain_counts() -> None:
    alias = record(CNAME, b"\1b\xc0\x10", ttl=7)
    address = record(A, ADDRESS, owner=b"\1b\xc0\x10", ttl=300)
    other = record(A, bytes(4), owner=b"\1c\xc0\x10", ttl=1)
    answer = read(answering(address, other, alias))
    assert answer[:2] == FOUND
    assert answer.ttl == 7


POINTER_LOOP = b"\xc0\x1d"
"""At 29, where the first record of an answer for one.example begins, this points to itself."""


def chain(length: int) -> Fault:
    """That many aliases, one after the other, and an address at the end."""
    names = [b"\xc0\x0c", *(b"\3%03d\xc0\x10" % number for number in range(length))]
    aliases = [record(CNAME, target, owner=owner) for owner, target in pairwise(names)]
    return answering(*aliases, record(A, ADDRESS, owner=names[-1]))


@pytest.mark.parametrize(
    "fault",
    [
        dns_server.broken_off,
        answering(record(A, b"\1\2\3")),
        answering(record(A, b"\1\2\3\4\5")),
        answering(record(A, ADDRESS), counts=(2, 0)),
        answering(record(A, ADDRESS), counts=(256, 65_535)),
        answering(record(A, ADDRESS, owner=POINTER_LOOP)),
        answering(record(A, ADDRESS, owner=b"\xc0\xff")),
        answering(record(A, ADDRESS, owner=b"\x80x\0")),
        answering(record(A, ADDRESS, owner=b"\x3fx")),
        answering(record(CNAME, b"\xc0\x29")),
        answering(record(CNAME, b""), record(A, ADDRESS)),
        answering(record(CNAME, b"\1b\xc0\x10x"), record(A, ADDRESS, owner=b"\1b\xc0\x10")),
        answering(record(CNAME, b"\xc0\x0c")),
        answering(record(CNAME, b"\xff\xff\xff")),
        answering(record(CNAME, b"\1b\xc0\x10"), record(CNAME, b"\xc0\x0c", owner=b"\1b\xc0\x10")),
        chain(16),
        chain(200),
    ],
)
def test_malformed_answers_fail(fault: Fault) -> None:
    assert read(fault)[:3] == (Status.FAILED, (), "a malformed answer")


def test_a_chain_of_fifteen_aliases_is_followed() -> None:
    assert read(chain(15))[:2] == FOUND


def test_authorities_are_not_read_where_there_is_an_answer() -> None:
    assert read(answering(record(A, ADDRESS), counts=(1, 65_535)))[:2] == FOUND


@pytest.mark.parametrize(("flags", "status"), [(0x8180, Status.NO_DATA), (0x8183, Status.NO_NAME)])
def test_an_empty_answer_says_no(flags: int, status: Status) -> None:
    assert read(answering(flags=flags)).status is status


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (TXT, b"\5abc"), (TXT, b"\3abc\xff"), (MX, b""), (MX, b"\0"), (MX, b"\0\x0a"), (MX, b"\0\x0a\1a"),
        (MX, b"\0\x0a\xc0\x0cx"), (PTR, b""), (PTR, b"\xc0\x29"), (PTR, b"\1a\0x"), (AAAA, ADDRESS),
    ],
)  # fmt: skip
def test_malformed_data_fails(kind: int, data: bytes) -> None:
    text = {TXT: "TXT", MX: "MX", PTR: "PTR", AAAA: "AAAA"}[kind]
    assert read(answering(record(kind, data)), text).why == "a malformed answer"


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0"])
def test_a_text_may_be_empty(data: bytes) -> None:
    assert read(answering(record(TXT, data)), "TXT")[:2] == (Status.FOUND, ("",))


def test_records_of_other_names_are_not_the_answer() -> None:
    poison = record(A, bytes((6, 6, 6, 6)), owner=b"\4evil\xc0\x10")
    assert read(answering(poison)).status is Status.NO_DATA
    assert read(answering(poison, record(A, ADDRESS)))[:2] == FOUND


def test_the_owner_may_be_written_out_in_another_case() -> None:
    assert read(answering(record(A, ADDRESS, owner=b"\3ONE\7eXample\0")))[:2] == FOUND


def test_an_answer_beside_nxdomain_does_not_count() -> None:
    assert read(answering(record(A, ADDRESS), flags=0x8183)).status is Status.NO_NAME


def test_a_referral_is_a_failure() -> None:
    referral = answering(record(NS, b"\2ns\xc0\x0c"), flags=0x8100, counts=(0, 1))
    assert "does not recurse" in (read(referral).why or "")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.sampled_from([0x8180, 0x8183, 0x8400]), st.tuples(*[st.integers(0, 600)] * 2),
       st.sampled_from(["A", "AAAA", "MX", "PTR", "TXT"]))  # fmt: skip
def test_any_octets_are_read_without_harm(body: bytes, flags: int, counts: tuple[int, int], kind: str) -> None:
    question = dns_message.question("one.example", kind)
    assert question
    header = flags.to_bytes(2, "big") + b"\0\1" + b"".join(count.to_bytes(2, "big") for count in counts) + b"\0\0"
    answer = dns_message.read_answer(b"\0\0" + header + question + body, question, kind)
    assert (answer.status is Status.FOUND) is bool(answer.values)


_OWNERS = st.sampled_from([b"\xc0\x0c", b"\1b\xc0\x10", b"\1c\xc0\x10", b"\0", b"\xc0\x1d"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.builds(record, st.sampled_from([A, AAAA, TXT, MX, PTR, CNAME, SOA, NS, 46]),
                          st.one_of(_OWNERS, st.binary(max_size=30)), _OWNERS, st.integers(0, 2**32 - 1)), max_size=12),
       st.sampled_from(["A", "AAAA", "MX", "PTR", "TXT"]), st.integers(0, 12))  # fmt: skip
def test_any_records_are_read_without_harm(records: list[bytes], kind: str, answers: int) -> None:
    question = dns_message.question("one.example", kind)
    assert question
    counts = b"".join(count.to_bytes(2, "big") for count in (answers, max(0, len(records) - answers)))
    header = b"\0\0\x81\x80\0\1" + counts + b"\0\0"
    answer = dns_message.read_answer(header + question + b"".join(records), question, kind)
    assert 0 <= answer.ttl <= dns_message.MAX_TTL


@given(st.text(max_size=300))
def test_a_question_is_what_dnspython_makes_of_the_name(name: str) -> None:
    question = dns_message.question(name, "A")
    if question is not None:
        labels = tuple(label.encode() for label in name.split("."))
        assert dns.name.from_wire(question, 0) == (dns.name.Name((*labels, b"")), len(question) - 4)


_FEW = [0, 1, 2, 3, 63, 64, 65, 97, 0xC0, 0xC1, 0xFF]
"""Octets of which pointers and labels come often."""


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(_FEW), max_size=40).map(bytes), st.integers(0, 40))
@example(b"\0" + b"".join(bytes([0xC0, max(2 * n - 1, 0)]) for n in range(17)), 33)
@example(b"\0" + b"".join(bytes([0xC0, max(2 * n - 1, 0)]) for n in range(16)), 31)
@example(b"\x01\xc0\x00", 1)  # leads to a label that holds the pointer itself
def test_names_are_read_as_dnspython_reads_them(message: bytes, at: int) -> None:
    try:
        expected = tuple(label.lower() for label in dns.name.from_wire(message, at)[0].labels[:-1])
    except (dns.exception.DNSException, ValueError):
        with pytest.raises((MalformedMessageError, IndexError)):
            dns_message.read_name(message, at)
    else:
        assert dns_message.read_name(message, at) == expected
