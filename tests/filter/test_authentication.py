"""What counts as a proof that a mail is from its sender, and what only looks like one."""

import asyncio
from ipaddress import ip_address

import pytest

from safelist.filter.authentication import Authenticator
from safelist.filter.decision import AuthenticationResult, SenderAuthentication
from safelist.filter.resolver import Resolver
from tests.filter.dns_server import Zone, nameserver, servfail


def authenticate(record: str, client: str = "192.0.2.1", more: Zone | None = None) -> SenderAuthentication:
    async def main(address: tuple[str, int]) -> SenderAuthentication:
        resolver = Resolver([address], timeout=20)  # on a busy machine, too
        authenticator = Authenticator(resolver, 60)
        try:
            first = await authenticator.authenticate(ip_address(client), "bob@corp.example", "mail.example")
            assert await authenticator.authenticate(ip_address(client), "bob@corp.example", "mail.example") == first
            return first
        finally:
            resolver.close()

    zone = {"corp.example": {"TXT": [record]}, **(more or {})}
    with nameserver(zone, {"broken.example": servfail}) as server:
        return asyncio.run(main(server.address))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", AuthenticationResult.HOLDS),
        ("v=spf1 ip4:192.0.0.0/8 -all", AuthenticationResult.HOLDS),
        ("v=spf1 include:other.example -all", AuthenticationResult.HOLDS),
        ("v=spf1 -all", AuthenticationResult.FAILS),
        ("v=spf1 ~all", AuthenticationResult.FAILS),
        ("v=spf1 ?all", AuthenticationResult.FAILS),
        ("no record", AuthenticationResult.FAILS),
        ("v=spf1 include:broken.example -all", AuthenticationResult.CANNOT_TELL),
        ("v=spf1 +all", AuthenticationResult.FAILS),
        ("v=spf1 all", AuthenticationResult.FAILS),
        ("v=spf1 ip4:0.0.0.0/0 -all", AuthenticationResult.FAILS),
        ("v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", AuthenticationResult.FAILS),
        ("v=spf1 ip4:128.0.0.0/1 -all", AuthenticationResult.FAILS),
        ("v=spf1 include:open.example -all", AuthenticationResult.FAILS),
        ("v=spf1 exists:%{i}.any.example -all", AuthenticationResult.FAILS),
    ],
)
def test_only_a_record_that_tells_clients_apart_proves_anything(record: str, expected: AuthenticationResult) -> None:
    more: Zone = {
        "other.example": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
        "open.example": {"TXT": ["v=spf1 +all"]},
        "*.any.example": {"A": ["127.0.0.2"]},
    }
    assert authenticate(record, more=more)[0] is expected


def test_the_same_for_ipv6() -> None:
    assert authenticate("v=spf1 ip6:2001:db8::/32 -all", "2001:db8::1")[0] is AuthenticationResult.HOLDS
    assert authenticate("v=spf1 ip6:2600::/12 -all", "2600::1")[0] is AuthenticationResult.HOLDS
    assert authenticate("v=spf1 ip6:2600::/10 -all", "2600::1")[0] is AuthenticationResult.FAILS
    found = authenticate("v=spf1 ip6:::/0 -all", "2001:db8::1")
    told = "SPF of corp.example permits 100.0% of all public IPv6 addresses, which proves nothing"
    assert found == (AuthenticationResult.FAILS, f"{told}.", told)


TEN = " ".join(f"ip4:{first}.0.0.0/{length}" for first, length in [
    (1, 8), (2, 7), (4, 6), (8, 7), (11, 8), (12, 6), (16, 4), (32, 3), (64, 2), (128, 1),
])  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 -ip4:0.255.0.1 -ip4:240.0.0.1 +all",
        f"v=spf1 {TEN} -all",
        "v=spf1 ip4:192.0.0.0/6 -all",
        "v=spf1 a/1 -all",
        "v=spf1 mx/2 -all",
        "v=spf1 include:one.example -all",
        "v=spf1 redirect=one.example",
        "v=spf1 REDIRECT=one.example",
        "v=spf1 exists:a.one.example -all",
        "v=spf1 exists:%{l}.any.example -all",
        "v=spf1 -exists:%{i}.nobody.example +all",
        "v=spf1 -include:broken.example +all",
        "v=spf1 -ip4:0.255.0.1 exists:%{i}.any.example -all",
        "v=spf1 include:%{i}.all.example -all",
        "v=spf1 ip4:192.0.2.1 moo=a moo=b +all",
        "v=spf1 ip4:192.0.2.1 include:many.example +all",
    ],
)
def test_however_it_is_written_what_permits_the_internet_proves_nothing(record: str) -> None:
    more: Zone = {
        "corp.example": {"TXT": [record], "A": ["192.0.2.1"], "MX": ["1 a.one.example."]},
        "one.example": {"TXT": ["v=spf1 include:two.example -all"]},
        "two.example": {"TXT": ["v=spf1 -ip4:0.255.0.1 -ip4:240.0.0.1 ip4:0.0.0.0/1 ip4:192.0.0.0/2 ~all"]},
        "a.one.example": {"A": ["192.0.2.1"]},
        "many.example": {"TXT": ["v=spf1 -ip4:0.0.0.0/1 -ip4:128.0.0.0/1 " + "a:x.example " * 11]},
        "*.any.example": {"A": ["127.0.0.2"]},
        "*.all.example": {"TXT": ["v=spf1 +all"]},
    }
    result, told, said = authenticate(record, more=more)
    if record == "v=spf1 -include:broken.example +all":  # nobody passes while that cannot be read
        assert result is AuthenticationResult.CANNOT_TELL
    else:
        assert (result, told.rstrip(".")) == (AuthenticationResult.FAILS, said)
        assert "which proves nothing" in said


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 a:%{h} -all",
        "v=spf1 a:%{h}/32 -all",
        "v=spf1 mx:%{h} -all",
        "v=spf1 include:%{h} -all",
        "v=spf1 redirect=%{h}",
        "v=spf1 exists:%{h} -all",
        "v=spf1 a:%{p} -all",
        "v=spf1 exists:%{p} -all",
        "v=spf1 include:%{p} -all",
        "v=spf1 ptr:%{p} -all",
    ],
)
def test_a_domain_that_the_client_names_himself_proves_nothing(record: str) -> None:
    own = {"A": ["192.0.2.1"], "MX": ["1 mail.example."], "TXT": ["v=spf1 ip4:192.0.2.1 -all"]}
    more: Zone = {"mail.example": own, "1.2.0.192.in-addr.arpa": {"PTR": ["mail.example."]}}
    result, _, said = authenticate(record, more=more)
    assert (result, "which proves nothing" in said) == (AuthenticationResult.FAILS, True), said


GOOGLE = (
    "ip4:35.190.247.0/24 ip4:64.233.160.0/19 ip4:66.102.0.0/20 ip4:66.249.80.0/20 ip4:72.14.192.0/18 "
    "ip4:74.125.0.0/16 ip4:108.177.8.0/21 ip4:173.194.0.0/16 ip4:209.85.128.0/17 ip4:216.58.192.0/19"
)
MICROSOFT = "ip4:40.92.0.0/15 ip4:40.107.0.0/16 ip4:52.100.0.0/15 ip4:52.102.0.0/16 ip4:52.103.0.0/17 ip4:104.47.0.0/17"
AMAZON = "ip4:199.255.192.0/22 ip4:199.127.232.0/22 ip4:54.240.0.0/18 ip4:69.169.224.0/20 ip4:76.223.176.0/20"
LARGE: Zone = {
    "google.example": {"TXT": ["v=spf1 include:blocks.google.example include:blocks2.google.example ~all"]},
    "blocks.google.example": {"TXT": [f"v=spf1 {GOOGLE} ~all"]},
    "blocks2.google.example": {"TXT": ["v=spf1 ip6:2001:4860:4000::/36 ip6:2404:6800:4000::/36 ~all"]},
    "outlook.example": {"TXT": [f"v=spf1 {MICROSOFT} ip6:2a01:111:f400::/48 ip6:2a01:111:f403::/49 -all"]},
    "ses.example": {"TXT": [f"v=spf1 {AMAZON} -all"]},
    "1.2.0.192.in-addr.corp.example.hosted.example": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
    "*.hosted.example": {"TXT": ["v=spf1 -all"]},
    "192.0.2.1.own.example": {"A": ["127.0.0.2"]},
    "h4.example": {"A": ["192.0.2.9"]},
}


@pytest.mark.parametrize(
    ("record", "client"),
    [
        ("v=spf1 include:google.example ~all", "209.85.220.41"),
        ("v=spf1 include:google.example ~all", "2001:4860:4864:20::1"),
        ("v=spf1 include:outlook.example -all", "40.107.22.1"),
        ("v=spf1 include:outlook.example -all", "2a01:111:f400::1"),
        ("v=spf1 a mx include:google.example include:outlook.example include:ses.example -all", "54.240.1.1"),
        ("v=spf1 ip4:17.0.0.0/8 include:google.example include:outlook.example ~all", "17.58.1.1"),
        ("v=spf1 ip4:10.0.0.0/8 ip4:172.16.0.0/12 ip4:192.168.0.0/16 ip4:127.0.0.0/8 ip4:192.0.2.1 -all", "192.0.2.1"),
        ("v=spf1 include:%{ir}.%{v}.%{d}.hosted.example ~all", "192.0.2.1"),
        ("v=spf1 exists:%{i}.own.example -all", "192.0.2.1"),
        ("v=spf1 ip4:192.0.2.0/24 ptr:corp.example -all", "192.0.2.1"),
        ("v=spf1 ip4:192.0.2.0/24 include:broken.example -all", "192.0.2.1"),
        ("v=spf1 ip4:192.0.2.0/24 include:none.example -all", "192.0.2.1"),
    ],
)
def test_a_large_sender_still_proves_itself(record: str, client: str) -> None:
    found = authenticate(record, client, LARGE)
    assert found.result is AuthenticationResult.HOLDS, found.told


@pytest.mark.parametrize(
    ("record", "told", "said"),
    [
        ("no record", "corp.example publishes no SPF record.",
         "corp.example publishes no SPF record, so nothing shows that this mail is from it"),
        ("v=spf1 ?all", "SPF of corp.example: neutral (access neither permitted nor denied).",
         "the SPF record of corp.example does not say whether your IP may use this sender (neutral)"),
        ("v=spf1 ~all", "SPF of corp.example: softfail (domain owner discourages use of this host).",
         "SPF of corp.example says that your IP probably may not use this sender (softfail)"),
        ("v=spf1 -all", "SPF of corp.example: fail (SPF fail - not authorized).",
         "SPF does not permit your IP to use this sender"),
        ("v=spf1 moo", "SPF of corp.example: permerror (SPF Permanent Error: Unknown mechanism found: moo).",
         "the SPF record of corp.example is in error (permerror)"),
        ("v=spf1 ip4:192.0.2.1 -all", "SPF of corp.example: pass (sender SPF authorized).", ""),
    ],
)  # fmt: skip
def test_what_spf_found_is_said_as_it_is(record: str, told: str, said: str) -> None:
    assert authenticate(record)[1:] == (told, said)


def test_a_provider_that_owns_a_public_suffix_as_its_reverse_names_permits_anybody_there() -> None:
    names: Zone = {
        "1.2.0.192.in-addr.arpa": {"PTR": ["host.shop.co.uk."]},
        "host.shop.co.uk": {"A": ["192.0.2.1"]},
    }
    assert authenticate("v=spf1 ptr:co.uk -all", more=names).result is AuthenticationResult.FAILS
    assert authenticate("v=spf1 ptr:shop.co.uk -all", more=names).result is AuthenticationResult.HOLDS


IP4 = " ".join(f"ip4:10.0.{number // 250}.{number % 250}" for number in range(700))
NAMES = [f"x{number}.corp.example" for number in range(8)]
TOO_MUCH = "the SPF record of corp.example proves nothing: to evaluate it takes more work than any one mail is given"


@pytest.mark.parametrize(
    "record",
    [
        f"v=spf1 ip4:192.0.2.1 {IP4} {' '.join(f'mx:{name}' for name in NAMES)} +all",
        f"v=spf1 {' '.join(f'mx:{name}' for name in NAMES)} ip4:192.0.2.1 -all",
        f"v=spf1 {IP4} ip4:192.0.2.1 exists:{'%{i}.' * 60}s.example -all",
    ],
    ids=["in the measurement", "before the client's address", "for strangers"],
)
def test_what_takes_too_much_work_proves_nothing(record: str) -> None:
    """However the work is spread over the evaluation, the measurement and the strangers; at most it is tried again."""
    more: Zone = {
        **{name: {"MX": [f"1 h{at}.{name}." for at in range(10)]} for name in NAMES},
        **{f"*.{name}": {"A": [f"198.51.100.{at}" for at in range(70)]} for name in NAMES},
    }
    result, told, said = authenticate(record, more=more)
    assert result is (AuthenticationResult.CANNOT_TELL if "mx:" in record else AuthenticationResult.FAILS)
    assert (told, said) == (f"T{TOO_MUCH[1:]}.", TOO_MUCH)


def test_a_large_honest_record_is_proof_with_and_without_a_cache() -> None:
    """Eleven records of a kilobyte each, and a name that differs from client to client, as the largest senders have."""
    names = [f"s{number}.corp.example" for number in range(9)]
    parts: Zone = {
        name: {"TXT": [f"v=spf1 {' '.join(f'ip4:198.18.{at}.{host}' for host in range(60))} -all"]}
        for at, name in enumerate(names)
    }
    record = f"v=spf1 {' '.join(f'include:{name}' for name in names)} exists:%{{i}}.s.example ip4:192.0.2.1 -all"
    assert authenticate(record, more=parts).result is AuthenticationResult.HOLDS
