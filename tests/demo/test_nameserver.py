"""The demo's nameserver, asked by the filter's own resolver and by dnspython."""

import asyncio
import socket

import dns.message
import dns.query
import dns.rcode
import pytest

from safelist.demo.nameserver import AOL_SERVER, DNSBL, ZONE, DemoNameserver, answer
from safelist.filter.dns_message import Status
from safelist.filter.dnsbl import test_names as points_of
from safelist.filter.resolver import Resolver
from safelist.filter.settings import nameserver

LISTED = f"25.2.0.192.{DNSBL}"


def test_it_answers_the_filter_s_resolver() -> None:
    with DemoNameserver() as running:

        async def ask() -> list[tuple[Status, tuple[str, ...]]]:
            resolver = Resolver([nameserver(running.address)], timeout=10.0)
            asked = [(LISTED, "A"), (f"9.2.0.192.{DNSBL}", "A"), ("AOL.com", "TXT"), ("aol.com", "MX")]
            try:
                return [(found.status, found.values) for each in asked for found in [await resolver.query(*each)]]
            finally:
                resolver.close()

        assert asyncio.run(ask()) == [
            (Status.FOUND, ("127.0.0.4",)),
            (Status.NO_NAME, ()),
            (Status.FOUND, (f"v=spf1 ip4:{AOL_SERVER} -all",)),
            (Status.NO_DATA, ()),
        ]


def test_the_list_has_its_test_point_and_does_not_list_everybody() -> None:
    points = points_of(DNSBL)
    assert ZONE[points.listed]["A"] == "127.0.0.2"
    assert points.not_listed not in ZONE


@pytest.mark.parametrize("noise", [b"", b"\0", b"\xff" * 40, bytes(12)])
def test_noise_ends_nothing(noise: bytes) -> None:
    with DemoNameserver() as running, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        host, _, port = running.address.partition(":")
        client.sendto(noise, (host, int(port)))
        query = dns.message.make_query(LISTED, "A")
        reply = dns.query.udp(query, host, timeout=20, port=int(port))
    assert reply.answer[0][0].to_text() == "127.0.0.4"


def test_what_it_does_not_know_is_no_name() -> None:
    reply = dns.message.from_wire(answer(dns.message.make_query("www.example.org", "AAAA").to_wire()))
    assert (reply.rcode(), reply.answer) == (dns.rcode.NXDOMAIN, [])
