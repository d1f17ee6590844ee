"""What counts as a proof that a mail is from its sender, and what only looks like one."""

import asyncio
from ipaddress import ip_address

import pytest

from safelist.filter.decision import Proof
from safelist.filter.proof import Prover
from safelist.filter.resolver import Resolver
from tests.filter.dns_server import Zone, nameserver, servfail


def prove(record: str, client: str = "192.0.2.1", more: Zone | None = None) -> tuple[Proof, str]:
    async def main(address: tuple[str, int]) -> tuple[Proof, str]:
        resolver = Resolver([address], timeout=1)
        prover = Prover(resolver, 2)
        try:
            first = await prover.prove(ip_address(client), "bob@corp.example", "mail.example")
            assert await prover.prove(ip_address(client), "bob@corp.example", "mail.example") == first
            return first
        finally:
            resolver.close()

    zone = {"corp.example": {"TXT": [record]}, **(more or {})}
    with nameserver(zone, {"broken.example": servfail}) as server:
        return asyncio.run(main(server.address))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", Proof.HOLDS),
        ("v=spf1 ip4:192.0.0.0/8 -all", Proof.HOLDS),
        ("v=spf1 include:other.example -all", Proof.HOLDS),
        ("v=spf1 -all", Proof.FAILS),
        ("v=spf1 ~all", Proof.FAILS),
        ("v=spf1 ?all", Proof.FAILS),
        ("no record", Proof.FAILS),
        ("v=spf1 include:broken.example -all", Proof.CANNOT_TELL),
        ("v=spf1 +all", Proof.FAILS),
        ("v=spf1 all", Proof.FAILS),
        ("v=spf1 ip4:0.0.0.0/0 -all", Proof.FAILS),
        ("v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", Proof.FAILS),
        ("v=spf1 ip4:128.0.0.0/1 -all", Proof.FAILS),
        ("v=spf1 include:open.example -all", Proof.FAILS),
        ("v=spf1 exists:%{i}.any.example -all", Proof.FAILS),
    ],
)
def test_only_a_record_that_tells_clients_apart_proves_anything(record: str, expected: Proof) -> None:
    more: Zone = {
        "other.example": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
        "open.example": {"TXT": ["v=spf1 +all"]},
        "*.any.example": {"A": ["127.0.0.2"]},
    }
    assert prove(record, more=more)[0] is expected


def test_the_same_for_ipv6() -> None:
    assert prove("v=spf1 ip6:2001:db8::/32 -all", "2001:db8::1")[0] is Proof.HOLDS
    found = prove("v=spf1 ip6:::/0 -all", "2001:db8::1")
    assert found == (Proof.FAILS, "SPF of corp.example permits every client there can be, which proves nothing.")
