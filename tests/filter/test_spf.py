"""SPF of senders, their records served on loopback: RFC 7208, and records that are meant to harm."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelist.filter import spf
from safelist.filter.resolver import Resolver
from safelist.filter.spf import SpfCheck, SpfResult, Work
from tests.filter import dns_server
from tests.filter.dns_server import Fault, Zone, answering, nameserver, record, silent

CLIENT, STRANGER = "192.0.2.1", "203.0.113.66"
SENDER, HELO = "alice@corp.example", "mail.corp.example"


def check(
    zone: Zone,
    client: str = CLIENT,
    sender: str = SENDER,
    helo: str = HELO,
    faults: Mapping[str, Fault] | None = None,
    **options: Any,
) -> SpfCheck:
    with nameserver(zone, faults) as server:
        return ask(server.address, client, sender, helo, **options)


def ask(
    address: tuple[str, int],
    client: str = CLIENT,
    sender: str = SENDER,
    helo: str = HELO,
    timeout: float = 5,
    dns_timeout: float = 0.4,
) -> SpfCheck:
    async def main() -> SpfCheck:
        resolver = Resolver([address], timeout=dns_timeout)
        try:
            return await spf.check(resolver, ip_address(client), sender, helo, timeout)
        finally:
            resolver.close()

    return asyncio.run(main())


def publishing(record: str, **others: str) -> Zone:
    """A zone where corp.example has this SPF record, and others theirs (``_`` for the dots of their names)."""
    zone = {name.replace("_", "."): {"TXT": [text]} for name, text in others.items()}
    return {"corp.example": {"TXT": ["unrelated \xff", record]}} | zone


HOSTS: Zone = {
    "mx.corp.example": {"A": [CLIENT], "AAAA": ["2001:db8::1"]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["mx.corp.example."]},
    "66.113.0.203.in-addr.arpa": {"PTR": ["mx.corp.example."]},
    "192.0.2.1.allowed.example": {"A": ["127.0.0.2"]},
    "alice.users.example": {"A": ["127.0.0.2"]},
}


@pytest.mark.parametrize(
    ("record", "client", "result"),
    [
        ("v=spf1 ip4:192.0.2.0/28 -all", CLIENT, SpfResult.PASS),
        ("v=spf1 ip4:192.0.2.0/28 -all", STRANGER, SpfResult.FAIL),
        ("v=spf1 ip4:192.0.2.0/28 ~all", STRANGER, SpfResult.SOFTFAIL),
        ("v=spf1 ip4:192.0.2.0/28 ?all", STRANGER, SpfResult.NEUTRAL),
        ("v=spf1 ip4:192.0.2.0/28", STRANGER, SpfResult.NEUTRAL),
        ("V=SPF1 IP4:192.0.2.1 -ALL", CLIENT, SpfResult.PASS),
        ("v=spf1 ip6:2001:db8::/32 -all", "2001:db8::5", SpfResult.PASS),
        ("v=spf1 ip6:2001:db8::/32 -all", CLIENT, SpfResult.FAIL),
        ("v=spf1 ip4:192.0.2.0/28 -all", "::ffff:192.0.2.1", SpfResult.PASS),
        ("v=spf1 a:mx.corp.example -all", CLIENT, SpfResult.PASS),
        ("v=spf1 a:mx.corp.example -all", "2001:db8::1", SpfResult.PASS),
        ("v=spf1 a:mx.corp.example -all", STRANGER, SpfResult.FAIL),
        ("v=spf1 ptr:corp.example -all", CLIENT, SpfResult.PASS),
        ("v=spf1 ptr:corp.example -all", STRANGER, SpfResult.FAIL),
        ("v=spf1 exists:%{i}.allowed.example -all", CLIENT, SpfResult.PASS),
        ("v=spf1 exists:%{i}.allowed.example -all", STRANGER, SpfResult.FAIL),
        ("v=spf1 exists:%{l}.users.example -all", STRANGER, SpfResult.PASS),
        ("v=spf1 +all", STRANGER, SpfResult.PASS),
        ("v=spf10 +all", STRANGER, SpfResult.NONE),
        ("v=spf2.0/pra +all", STRANGER, SpfResult.NONE),
        ("v=spf1 ipv4:192.0.2.1 -all", CLIENT, SpfResult.PERMERROR),
        ("v=spf1 ip4:192.0.2.1 nonsense -all", CLIENT, SpfResult.PERMERROR),
        ("v=spf1 ip4:192.0.2.1/33 -all", CLIENT, SpfResult.PERMERROR),
        ("v=spf1 a:%{x}.example -all", CLIENT, SpfResult.PERMERROR),
        ("v=spf1 ip4:192.0.2.1 \xe9 -all", CLIENT, SpfResult.PERMERROR),
    ],
)
def test_a_record_decides(record: str, client: str, result: SpfResult) -> None:
    outcome = check({**publishing(record), **HOSTS}, client)
    assert outcome.result is result
    assert outcome.authenticated is (result is SpfResult.PASS)
    assert outcome.domain == "corp.example"
    assert outcome.milliseconds > 0


def test_a_spoofed_sender_fails() -> None:
    """The spammer's own HELO name and address pass, which changes nothing for the sender that he claims."""
    zone = {**publishing("v=spf1 ip4:192.0.2.1 -all"), "spam.example": {"TXT": ["v=spf1 +all"], "A": [STRANGER]}}
    outcome = check(zone, STRANGER, SENDER, "spam.example")
    assert outcome.result is SpfResult.FAIL
    assert not outcome.authenticated


@pytest.mark.parametrize("zone", [{}, {"corp.example": {"A": [CLIENT]}}, {"corp.example": {"TXT": ["hello", ""]}}])
def test_without_a_record_there_is_no_best_guess(zone: Zone) -> None:
    outcome = check({**zone, "1.2.0.192.in-addr.arpa": {"PTR": ["corp.example."]}})
    assert (outcome.result, outcome.explanation) == (SpfResult.NONE, "the domain has no SPF record")


def test_no_forwarder_is_trusted() -> None:
    trusted = {"spf.trusted-forwarder.org": {"TXT": ["v=spf1 +all"]}, "trusted-forwarder.org": {"TXT": ["v=spf1 +all"]}}
    with nameserver({**publishing("v=spf1 -all"), **trusted}) as server:
        assert ask(server.address).result is SpfResult.FAIL
        assert list(server.queries) == [("corp.example", "TXT")]


@pytest.mark.parametrize(
    ("included", "result"),
    [
        ("v=spf1 ip4:192.0.2.1 -all", SpfResult.PASS), ("v=spf1 -all", SpfResult.SOFTFAIL),
        ("v=spf1 ?all", SpfResult.SOFTFAIL), ("nothing", SpfResult.PERMERROR), ("v=spf1 bad", SpfResult.PERMERROR),
    ],
)  # fmt: skip
def test_include(included: str, result: SpfResult) -> None:
    zone = publishing("v=spf1 include:provider.example ~all", provider_example=included)
    assert check(zone).result is result


@pytest.mark.parametrize(
    ("target", "result"),
    [("v=spf1 ip4:192.0.2.1 -all", SpfResult.PASS), ("v=spf1 -all", SpfResult.FAIL), ("nothing", SpfResult.PERMERROR)],
)
def test_redirect(target: str, result: SpfResult) -> None:
    assert check(publishing("v=spf1 redirect=other.example", other_example=target)).result is result


def test_two_records_are_an_error() -> None:
    assert check({"corp.example": {"TXT": ["v=spf1 +all", "v=spf1 -all"]}}).result is SpfResult.PERMERROR


def mail_hosts(count: int) -> Zone:
    names = [f"mx{number}.corp.example" for number in range(count)]
    corp = {"TXT": ["v=spf1 mx -all"], "MX": [f"{number} {name}." for number, name in enumerate(names)]}
    return {"corp.example": corp} | {name: {"A": [f"192.0.2.{at + 100}"]} for at, name in enumerate(names)}


def test_mx_hosts_are_bounded() -> None:
    assert check(mail_hosts(10), "192.0.2.109").result is SpfResult.PASS
    assert check(mail_hosts(10), STRANGER).result is SpfResult.FAIL
    assert check(mail_hosts(11), "192.0.2.100").result is SpfResult.PERMERROR


def test_mx_hosts_without_ipv6_do_not_count_one_by_one() -> None:
    assert check(mail_hosts(8), "2001:db8::99").result is SpfResult.FAIL


def test_a_null_mx_matches_nobody() -> None:
    assert check({"corp.example": {"TXT": ["v=spf1 mx -all"], "MX": ["0 ."]}}).result is SpfResult.FAIL


@pytest.mark.parametrize("count", [10, 11])
def test_ten_look_ups_are_allowed(count: int) -> None:
    names = [f"i{number}.example" for number in range(count)]
    zone = publishing(f"v=spf1 {' '.join(f'include:{name}' for name in names)} ip4:192.0.2.1 -all")
    outcome = check({**zone, **{name: {"TXT": ["v=spf1 ?all"]} for name in names}})
    assert outcome.result is (SpfResult.PASS if count == 10 else SpfResult.PERMERROR)


def test_more_than_two_void_look_ups_are_an_error() -> None:
    voids = [f"a:no{number}.example" for number in range(3)]
    assert check(publishing(f"v=spf1 {' '.join(voids[:2])} ip4:192.0.2.1 -all")).result is SpfResult.PASS
    assert check(publishing(f"v=spf1 {' '.join(voids)} ip4:192.0.2.1 -all")).result is SpfResult.PERMERROR


@pytest.mark.parametrize("host", [{"AAAA": ["2001:db8::1"]}, {"CNAME": ["real.example."]}, {"TXT": ["a name"]}])
def test_a_host_that_exists_is_no_void_look_up(host: Mapping[str, Sequence[str]]) -> None:
    names = [f"h{number}.example" for number in range(4)]
    record = f"v=spf1 {' '.join(f'a:{name}' for name in names)} ip4:192.0.2.1 -all"
    zone = {**publishing(record), **dict.fromkeys(names, host), "real.example": {"AAAA": ["2001:db8::2"]}}
    assert check(zone).result is SpfResult.PASS
    assert check(zone, STRANGER).result is SpfResult.FAIL


def test_a_host_of_the_other_ip_version_denies_no_pass() -> None:
    zone = {**publishing("v=spf1 a:1.example a:2.example a:3.example ip6:2001:db8::/32 -all")}
    hosts: Zone = {f"{number}.example": {"A": [CLIENT]} for number in (1, 2, 3)}
    assert check({**zone, **hosts}, "2001:db8::5").result is SpfResult.PASS


@pytest.mark.parametrize(
    ("modifiers", "result"),
    [
        ("moo=a moo=b", SpfResult.PASS),
        ("moo=a MOO=b moo.x_y-1=c moo=a", SpfResult.PASS),
        ("default=a default=b op=a op=b", SpfResult.PASS),
        ("moo=a moo=%(b)", SpfResult.PERMERROR),
        ("moo=%(a)", SpfResult.PERMERROR),
        ("exp=a.example exp=b.example", SpfResult.PERMERROR),
        ("exp=a.example EXP=b.example", SpfResult.PERMERROR),
        ("redirect=a.example redirect=b.example", SpfResult.PERMERROR),
        ("redirect=a.example Redirect=b.example", SpfResult.PERMERROR),
    ],
)
def test_only_known_modifiers_may_not_be_repeated(modifiers: str, result: SpfResult) -> None:
    assert check(publishing(f"v=spf1 ip4:192.0.2.1 {modifiers}")).result is result


def test_the_name_of_a_modifier_is_the_same_in_any_case() -> None:
    zone = publishing("v=spf1 Redirect=b.example", b_example="v=spf1 ip4:192.0.2.1 -all")
    assert check(zone).result is SpfResult.PASS


@pytest.mark.parametrize(
    "zone",
    [
        publishing("v=spf1 include:corp.example -all"),
        publishing("v=spf1 redirect=corp.example"),
        publishing("v=spf1 include:b.example -all", b_example="v=spf1 include:corp.example -all"),
        publishing("v=spf1 redirect=b.example", b_example="v=spf1 redirect=corp.example"),
        publishing("v=spf1 include:b.example", b_example="v=spf1 include:b.example include:corp.example ?all"),
        {"*.corp.example": {"TXT": ["v=spf1 include:x.%{d} -all"]}, **publishing("v=spf1 include:x.%{d} -all")},
    ],
)
def test_loops_are_errors(zone: Zone) -> None:
    with nameserver(zone) as server:
        assert ask(server.address).result is SpfResult.PERMERROR
        assert sum(server.queries.values()) <= 12


def test_an_alias_loop_is_a_dns_failure() -> None:
    assert check({"corp.example": {"CNAME": ["corp.example."]}}).result is SpfResult.TEMPERROR


@pytest.mark.parametrize("fault", [dns_server.drop, dns_server.servfail, dns_server.refused, dns_server.broken_off])
@pytest.mark.parametrize("faulty", ["corp.example", "b.example", "a.example", "mx.example", "e.example"])
def test_any_dns_failure_is_a_temporary_error(fault: Fault, faulty: str) -> None:
    zone = publishing(
        "v=spf1 include:b.example a:a.example mx:mx.example exists:e.example ip4:192.0.2.1 -all",
        b_example="v=spf1 ?all",
    )
    names = {name: {"A": ["192.0.2.77"]} for name in ("a.example", "mx.example")}
    outcome = check({**zone, **names, "e.example": {"AAAA": ["::1"]}}, faults={faulty: fault}, dns_timeout=0.1)
    assert outcome.result is SpfResult.TEMPERROR
    assert not outcome.authenticated


def test_reverse_names_that_cannot_be_looked_up_do_not_match() -> None:
    faults = {"1.2.0.192.in-addr.arpa": dns_server.servfail, "1.113.0.203.in-addr.arpa": dns_server.drop}
    assert check(publishing("v=spf1 ptr ip4:192.0.2.1 -all"), faults=faults).result is SpfResult.PASS
    assert check(publishing("v=spf1 ptr ip4:192.0.2.1 -all"), "203.0.113.1", faults=faults).result is SpfResult.FAIL


def test_a_reverse_name_must_lead_back() -> None:
    zone = {**publishing("v=spf1 ptr -all"), "66.113.0.203.in-addr.arpa": {"PTR": ["corp.example.", "x.corp.example."]}}
    faults = {"x.corp.example": dns_server.servfail}
    assert check(zone, STRANGER, faults=faults).result is SpfResult.FAIL


def test_the_whole_time_is_limited() -> None:
    names = [f"i{number}.example" for number in range(10)]
    zone = publishing(f"v=spf1 {' '.join(f'include:{name}' for name in names)} -all")
    faults = dict.fromkeys(names, dns_server.delayed(0.2))
    began = time.monotonic()
    outcome = check(
        {**zone, **{name: {"TXT": ["v=spf1 ?all"]} for name in names}}, faults=faults, timeout=0.5, dns_timeout=5
    )
    assert (outcome.result, outcome.explanation) == (SpfResult.TEMPERROR, "no result within 0.5 s")
    assert time.monotonic() - began < 1.5
    assert 400 < outcome.milliseconds < 1500


def test_slow_senders_hold_nobody_up() -> None:
    async def main(address: tuple[str, int]) -> tuple[int, list[SpfCheck]]:
        resolver = Resolver([address], timeout=60)
        slow = [
            asyncio.create_task(spf.check(resolver, ip_address(CLIENT), f"a@slow{number}.example", HELO))
            for number in range(100)
        ]
        while server.queries.total() < 100:
            await asyncio.sleep(0.01)
        quick = await spf.check(resolver, ip_address(CLIENT), SENDER, HELO)
        waiting = sum(not each.done() for each in slow)
        resolver.close()
        return waiting, [quick, *await asyncio.gather(*slow)]

    faults = dict.fromkeys((f"slow{number}.example" for number in range(100)), dns_server.drop)
    with nameserver(publishing("v=spf1 ip4:192.0.2.1 -all"), faults) as server:
        waiting, outcomes = asyncio.run(main(server.address))
    assert [outcome.result for outcome in outcomes] == [SpfResult.PASS] + [SpfResult.TEMPERROR] * 100
    assert waiting == 100


def test_a_cancelled_check_ends_at_once() -> None:
    async def main(address: tuple[str, int]) -> None:
        resolver = Resolver([address], timeout=5)
        try:
            async with asyncio.timeout(0.1):
                await spf.check(resolver, ip_address(CLIENT), SENDER, HELO)
        finally:
            resolver.close()

    with silent() as address, pytest.raises(TimeoutError):
        asyncio.run(main(address))


def test_the_null_sender_is_checked_by_helo_and_never_authenticated() -> None:
    zone = {"mail.corp.example": {"TXT": ["v=spf1 ip4:192.0.2.1 exists:%{l}.users.example -all"]}}
    outcome = check(zone, sender="")
    assert (outcome.result, outcome.domain) == (SpfResult.PASS, HELO)
    assert outcome.is_null_sender
    assert not outcome.authenticated
    users = {"postmaster.users.example": {"A": ["127.0.0.2"]}}
    assert check({**zone, **users}, STRANGER, "").result is SpfResult.PASS


@pytest.mark.parametrize(
    "helo", ["", "localhost", "[192.0.2.1]", "192.0.2.1", "-", "a..b", "x" * 4000, "\0", "%{d}", "a@b.c"]
)
def test_a_helo_that_is_no_domain_is_nothing(helo: str) -> None:
    with nameserver({"*.c": {"TXT": ["v=spf1 +all"]}, "b.c": {"TXT": ["v=spf1 +all"]}}) as server:
        assert ask(server.address, sender="", helo=helo).result is SpfResult.NONE
        assert ask(server.address, helo=helo).result is SpfResult.NONE


@pytest.mark.parametrize(
    "sender",
    [
        "alice", "<>", "alice@", "alice@localhost", "alice@[192.0.2.1]", "alice@[IPv6:::1]", "alice@192.0.2.1",
        "alice@corp..example", "alice@corp.example>", "alice@SMTP:corp.example", "alice@.corp.example",
        "alice@corp.example\n", "alice@corp example", "alice@*.corp.example", "alice@" + "x" * 64 + ".example",
        "a" * 70_000 + "@corp.example", "alice@" + "x." * 200 + "corp.example",
        "\ud800@\ud800.example", "a@\u2028.example",
    ],
)  # fmt: skip
def test_a_sender_without_a_domain_has_no_result(sender: str) -> None:
    outcome = check(publishing("v=spf1 +all"), sender=sender)
    assert outcome[:2] == (SpfResult.NONE, "there is no domain name in the sender or HELO") or (
        sender == "alice@corp.example\n" and outcome.result is SpfResult.PASS
    )


@pytest.mark.parametrize(
    "sender", ["Alice@CORP.Example", "@corp.example", "alice@corp.example.", '"a@b.example"@corp.example']
)
def test_the_domain_is_what_follows_the_last_at(sender: str) -> None:
    zone = {**publishing("v=spf1 ip4:192.0.2.1 -all"), "b.example": {"TXT": ["v=spf1 -all"]}}
    outcome = check(zone, sender=sender)
    assert (outcome.result, outcome.domain) == (SpfResult.PASS, "corp.example")


def test_nobody_passes_with_a_quoted_at() -> None:
    zone = {**publishing("v=spf1 -all"), "spam.example": {"TXT": ["v=spf1 +all"]}}
    assert check(zone, STRANGER, '"x@spam.example"@corp.example').result is SpfResult.FAIL
    assert check(zone, STRANGER, "x@spam.example@corp.example").result is SpfResult.FAIL


def test_other_letters_are_asked_for_in_a_labels() -> None:
    zone = {"xn--mller-kva.example": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}}
    for sender in ("a@müller.example", "ä@MÜLLER.example", "a@xn--mller-kva.example"):
        outcome = check(zone, sender=sender)
        assert (outcome.result, outcome.domain) == (SpfResult.PASS, "xn--mller-kva.example")


def test_a_local_part_in_other_letters_matches_no_name() -> None:
    with nameserver(publishing("v=spf1 exists:%{l}.users.example -all")) as server:
        assert ask(server.address, sender="älice@corp.example").result is SpfResult.FAIL
        assert list(server.queries) == [("corp.example", "TXT")]


@pytest.mark.parametrize("local", ["a" * 64, "a.b..c", "..", "%{d}", '"a b"', "a\x00b", "a/b", "x" * 250])
def test_odd_local_parts_do_no_harm(local: str) -> None:
    zone = publishing("v=spf1 exists:%{l}.%{l}.%{l}.%{l}.%{l1r-}.users.example ip4:192.0.2.1 -all")
    assert check(zone, sender=f"{local}@corp.example").result in (SpfResult.PASS, SpfResult.PERMERROR)


def test_what_pyspf_stumbles_over_is_a_permanent_error() -> None:
    """It cannot encode half a character for the upper-case macro."""
    outcome = check(publishing("v=spf1 exists:%{L}.users.example +all"), sender="\ud800@corp.example")
    assert outcome[:2] == (SpfResult.PERMERROR, "the record cannot be evaluated (UnicodeEncodeError)")


def test_a_name_that_expands_too_long_loses_labels_on_the_left() -> None:
    label = "x" * 60
    zone = {**publishing(f"v=spf1 exists:%{{l}}.{label}.{label}.{label}.{label}.users.example -all"),
            f"{label}.{label}.{label}.users.example": {"A": ["127.0.0.2"]}}  # fmt: skip
    assert check(zone, STRANGER).result is SpfResult.PASS


def test_an_explanation_is_never_the_senders_own() -> None:
    zone = publishing("v=spf1 -all exp=why.example", why_example="Buy at spam.example, %{i}")
    with nameserver(zone) as server:
        assert ask(server.address).explanation == "SPF fail - not authorized"
        assert list(server.queries) == [("corp.example", "TXT")]


@pytest.mark.parametrize("term", ["bad\r\n550", "\x1b[31m", "x" * 500, "a:\x00.example", "ip4:1.2.3.4\n", "é"])
def test_an_explanation_is_one_line_of_ascii(term: str) -> None:
    outcome = check(publishing(f"v=spf1 {term} -all"))
    assert outcome.result in (SpfResult.PERMERROR, SpfResult.FAIL)
    assert outcome.explanation.isascii()
    assert outcome.explanation.isprintable()
    assert 0 < len(outcome.explanation) <= spf.MAX_EXPLANATION


SLOW = [
    "v=spf1 a:x." + "a" * 60_000 + "_ -all",
    "v=spf1 " + "a:x." + ".".join(["a" * 128] * 3) + "_ " * 30,
    "v=spf1 " + " ".join(f"ip4:10.0.{n // 250}.{n % 250}" for n in range(1100)) + " -all",
    "v=spf1 " + "exists:" + "%{s}" * 120 + ".example -all",
    "v=spf1 " + " ".join(["exists:" + "%{S99999R}" * 20 + ".example"] * 12) + " -all",
    "v=spf1 " + "%{" * 8000,
    "v=spf1 " + "a:" + "%{d}." * 100 + "example " + "ptr " * 2000,
    "v=spf1 " + "." * 60_000,
    "v=spf1 " + " " * 16_000,
    "v=spf1 " + "/" * 60_000,
    "v=spf1 ip6:" + ":" * 60_000,
    "v=spf1 a/" + "9" * 10_000,
    "v=spf1 a:%{d" + "9" * 5000 + "}.example",
    "v=spf1 a:%{d" + "9" * 480 + "}.example",
    "v=spf1 a:%{d0}.example a:%{}.example",
    "v=spf1 " + "x=" * 8000,
    "v=spf1 " + "redirect=" * 800,
    "v=spf1 -all" + "\x00" * 1000,
]


@pytest.mark.parametrize("record", SLOW)
def test_no_record_is_too_much_work(record: str) -> None:
    """Each would keep pyspf busy for minutes or more; the limit on a test's time is what they would run into."""
    with nameserver({"corp.example": {"TXT": [record]}}) as server:
        outcome = ask(server.address, sender="x" * 60 + "@corp.example", timeout=60, dns_timeout=30)
    assert outcome.result in (SpfResult.PERMERROR, SpfResult.FAIL, SpfResult.NEUTRAL, SpfResult.NONE)


def work_of(zone: Zone) -> tuple[SpfCheck, Work]:
    async def main(address: tuple[str, int]) -> tuple[SpfCheck, Work]:
        resolver, work = Resolver([address], timeout=20), Work()
        try:
            return await spf.check(resolver, ip_address(CLIENT), SENDER, HELO, 60, work=work), work
        finally:
            resolver.close()

    with nameserver(zone) as server:
        return asyncio.run(main(server.address))


@pytest.mark.parametrize(
    "zone",
    [
        mail_hosts(10),
        {**publishing("v=spf1 ptr ptr:b.example ptr:c.example -all"),
         "1.2.0.192.in-addr.arpa": {"PTR": [f"h{number}.example." for number in range(10)]},
         **{f"h{number}.example": {"A": [CLIENT]} for number in range(10)}},
    ],
)  # fmt: skip
def test_hosts_are_asked_for_at_once(zone: Zone) -> None:
    """The record, its names, their addresses; then everything is known."""
    outcome, work = work_of(zone)
    assert (outcome.result, work.evaluations) == (SpfResult.FAIL, 4)


IP4 = " ".join(f"ip4:10.0.{number // 250}.{number % 250}" for number in range(700))


def test_what_is_read_again_is_not_parsed_again() -> None:
    names = [f"e{number}.example" for number in range(5)]
    zone = publishing(f"v=spf1 {IP4} {' '.join(f'exists:{name}' for name in names)} -all")
    outcome, work = work_of({**zone, **{name: {"AAAA": ["::1"]} for name in names}})
    assert (outcome.result, work.evaluations) == (SpfResult.FAIL, 7)
    assert len(work.mechanisms) == 700 + 5 + 1
    record = len(zone["corp.example"]["TXT"][1])
    assert (work.begun, work.spent) == (record + 4 * (record // 4), record // 4)


MANY = [f"x{number}.example" for number in range(8)]
COSTLY: Mapping[str, Zone] = {
    "addresses": {
        **publishing(f"v=spf1 {' '.join(f'mx:{name}' for name in MANY)} -all"),
        **{name: {"MX": [f"1 h{at}.{name}." for at in range(10)]} for name in MANY},
        **{f"*.{name}": {"A": [f"198.51.100.{at}" for at in range(70)]} for name in MANY},
    },
    "macros": {
        **publishing("v=spf1 " + " ".join(f"exists:{'%{d}' * 20}.{name}" for name in MANY)),
        **{f"*.{name}": {"AAAA": ["::1"]} for name in MANY},
    },
}  # fmt: skip


@pytest.mark.parametrize("zone", COSTLY.values(), ids=COSTLY)
def test_one_mail_gets_no_more_work_than_there_is(zone: Zone) -> None:
    outcome, work = work_of(zone)
    assert (outcome.result, work.is_exceeded) == (SpfResult.PERMERROR, True), work.spent
    assert outcome.explanation.endswith(spf.TOO_MUCH_WORK)
    assert work.spent < 1.5 * work.limit


def test_ten_thousand_records_fail_in_time() -> None:
    many = answering(*(record(16, b"\x01x") for _ in range(400)), counts=(10_000, 0))
    assert check({}, faults={"corp.example": many}).result is SpfResult.TEMPERROR


_TERMS = st.one_of(
    st.sampled_from(["a", "mx", "ptr", "-all", "?include:corp.example", "exists:%{p}.example", "redirect=b.example",
                     "ip4:1.2.3.4", "ip6:::1", "a:%{d1r}.%{l}.example//64", "exp=%{p}.x.example", "op=x"]),
    st.text(st.characters(max_codepoint=255, exclude_characters=" "), max_size=20),
    st.text(st.sampled_from("amxip46:/%{}lsodiphcrtv0129.-_=+~?"), max_size=30),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(_TERMS, max_size=8), min_size=2, max_size=2))
def test_any_record_has_a_result(records: Sequence[Sequence[str]]) -> None:
    first, second = ("v=spf1 " + " ".join(terms) for terms in records)
    hosts = {"TXT": [first], "MX": ["5 b.example."], "A": ["192.0.2.9"]}
    zone = {"corp.example": hosts, "b.example": {"TXT": [second]}, "1.2.0.192.in-addr.arpa": {"PTR": ["b.example."]}}
    outcome = check(zone)
    assert outcome.explanation.isprintable()
    assert outcome.explanation.isascii()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.ip_addresses())
def test_any_envelope_has_a_result(sender: str, helo: str, client: Any) -> None:
    assert isinstance(ask(dns_server.unused_address(), str(client), sender, helo).result, SpfResult)


def test_a_link_local_client_has_a_result() -> None:
    zone = publishing("v=spf1 exists:%{i}.allowed.example ip6:fe80::/10 -all")
    assert check(zone, "fe80::1%eth0").result is SpfResult.PASS
