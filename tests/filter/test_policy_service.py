"""The service with its real parts: a resolver that asks a nameserver on loopback, and a snapshot."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelist import policy, sender, snapshot
from safelist.entry import Holding, UserList
from safelist.filter import protocol
from safelist.filter.authentication import Authenticator
from safelist.filter.current_snapshot import CurrentSnapshot
from safelist.filter.dnsbl import query_name
from safelist.filter.policy_service import Service
from safelist.filter.protocol import RequestParser
from safelist.filter.providers import Providers
from safelist.filter.resolver import Resolver
from safelist.filter.settings import Filter
from safelist.override import Authentication, Effect, Override, Terms, days
from safelist.policy import Tally
from safelist.used import Key, UseBuffer
from tests.filter.dns_server import Nameserver, nameserver, servfail

BLOCK = {"name": "Block", "lookup_domain": "block.example", "ip_address_match": ("127.0.0.2",)}
SECOND = {"name": "Second", "lookup_domain": "second.example", "any_match": True}
ALLOW = {"name": "Allow", "lookup_domain": "allow.example", "any_match": True}
NOW = datetime.now(UTC)

LISTED, LISTED6, ERROR, VOUCHED = "192.0.2.2", "2001:db8::2", "192.0.2.3", "192.0.2.4"
CLEAN, CLEAN6, LISTED_TWICE = "192.0.2.99", "2001:db8::99", "192.0.2.5"
DESK, OTHER = "desk@corp.example", "other@corp.example"
BOB, BLOCKED, UNREADABLE = "bob@partner.example", "spam@partner.example", "bob@unreadable.example"
QUORUM, ALLOWED, STRANGER = "news@paper.example", "scanner@device.example", "who@stranger.example"


def points_at(lookup_domain: str, answers: Mapping[str, str]) -> dict[str, dict[str, list[str]]]:
    return {query_name(ip_address(client), lookup_domain): {"A": [answer]} for client, answer in answers.items()}


ZONE = {
    **points_at("block.example", dict.fromkeys((LISTED, LISTED6, VOUCHED, LISTED_TWICE), "127.0.0.2")),
    **points_at("block.example", {ERROR: "127.255.255.254"}),
    **points_at("second.example", {LISTED_TWICE: "127.0.0.9"}),
    **points_at("allow.example", {VOUCHED: "127.0.0.1"}),
    **{f"{name}.example": {"TXT": [f"v=spf1 ip4:{LISTED} ip6:{LISTED6} -all"]} for name in ("partner", "paper")},
    "unreadable.example": {},
}


@pytest.fixture(scope="module")
def dns() -> Iterator[Nameserver]:
    with nameserver(ZONE, {"unreadable.example": servfail}) as server:
        yield server


def holding(list_: UserList, text: str) -> Holding:
    return Holding(DESK, list_, sender.parse(text), NOW - timedelta(days=3), None)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot: the desk's entries, a quorum, an override."""
    path = tmp_path_factory.mktemp("service") / "snapshot"
    entries = (
        *(holding(UserList.SAFE_SENDERS, text) for text in (BOB, UNREADABLE)),
        holding(UserList.SAFE_SENDER_DOMAINS, "partner.example"),
        holding(UserList.BLOCKED_SENDERS, BLOCKED),
    )
    allowed = Terms(Effect.ALLOW, sender.parse(ALLOWED), "it has no SPF", authentication=Authentication.NONE)
    contents = snapshot.Contents(
        "a test", policy.Settings(include_domains=True, own_domains=frozenset({"corp.example"})),
        [Override(7, allowed, NOW - timedelta(days=1), "root")], [Tally(sender.parse(QUORUM), 2)], [(DESK, entries)],
    )  # fmt: skip
    snapshot.write(path, contents)
    return path


@dataclass
class Served:
    """What a service said; one of its own each time, with nothing in its cache."""

    actions: list[str] = field(default_factory=list)
    at_once: list[bool] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    used: list[Key] = field(default_factory=list)


class _Log(logging.Handler):
    def __init__(self, served: Served) -> None:
        super().__init__()
        self._served = served

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        assert text.isascii()
        assert text.isprintable()
        if text.startswith("{"):
            self._served.verdicts.append(json.loads(text))
        elif record.levelno > logging.INFO:
            self._served.warnings.append(text)


def serve(dns: Nameserver, path: Path, *requests: Mapping[str, str | bytes], **keys: Any) -> Served:
    """Answer ``requests`` one after another; every action has passed the protocol's own check."""
    served = Served()
    handler, logger = _Log(served), logging.getLogger("safelist.filter")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        asyncio.run(_serve(served, dns, path, requests, keys))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return served


async def _serve(
    served: Served, dns: Nameserver, path: Path, requests: tuple[Mapping[str, str | bytes], ...], keys: dict[str, Any]
) -> None:
    lists = {"providers": (BLOCK, SECOND), "allow_providers": (ALLOW,)}
    chosen = Filter.model_validate({"snapshot": path, "trusted_networks": ()} | lists | keys)
    resolver, uses = Resolver([dns.address], timeout=5), UseBuffer()
    current = CurrentSnapshot(path, days(chosen.max_age))
    try:
        await current.refresh()
        asked = Providers(resolver, chosen.providers, chosen.allow_providers, 5)
        service = Service(chosen, asked, current, Authenticator(resolver, 5), uses, lambda: NOW)
        served.counts = service.counts
        for request in requests:
            (read,) = RequestParser().feed(wire(request))
            answer = service.answer(read)
            served.at_once.append(isinstance(answer, str))
            served.actions.append(answer if isinstance(answer, str) else await answer)
            assert protocol.answer(served.actions[-1])
        served.used = [Key(*row[:3]) for row in uses.take()]  # type: ignore[arg-type]
    finally:
        current.close()
        resolver.close()


def wire(request: Mapping[str, str | bytes]) -> bytes:
    """As Postfix sends it."""
    lines = {"request": "smtpd_access_policy", "protocol_state": "RCPT", "helo_name": "client.example", **request}
    return b"".join(
        b"%b=%b\n" % (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in lines.items()
    ) + b"\n"  # fmt: skip


def mail(client: str = LISTED, sender: str = STRANGER, recipient: str = DESK, **more: str) -> dict[str, str]:
    return {"client_address": client, "sender": sender, "recipient": recipient, **more}


REJECTED = "550 5.7.1 Recipient not authorized, your IP has been found on a block list (Block)"
NOT_READ = "the SPF record of unreadable.example could not be read now (temperror)"
LIFTED = "PREPEND X-Safelist: lifted the listing by Block ({}, authentication {})"


def only(served: Served) -> dict[str, Any]:
    (verdict,) = served.verdicts
    return verdict


def test_who_has_logged_in_is_not_looked_up(dns: Nameserver, path: Path) -> None:
    before = dns.queries.total()
    served = serve(dns, path, mail(sasl_username="bob"))
    assert (served.actions, only(served)["reason"]) == (["DUNNO"], "trusted-client")
    assert dns.queries.total() == before
    assert served.at_once == [True]


@pytest.mark.parametrize("client", [LISTED, f"::ffff:{LISTED}", LISTED6, f"{LISTED6}%eth0"])
@pytest.mark.parametrize("key", ["trusted_networks", "allow_list"])
def test_trusted_and_allowed_networks_are_not_looked_up(dns: Nameserver, path: Path, client: str, key: str) -> None:
    before = dns.queries.total()
    served = serve(dns, path, mail(client), **{key: ("192.0.2.0/24", "2001:db8::/32")})
    reason = {"trusted_networks": "trusted-client", "allow_list": "allowed-client"}[key]
    assert (served.actions, only(served)["reason"]) == (["DUNNO"], reason)
    assert dns.queries.total() == before


@pytest.mark.parametrize(
    ("recipient", "delimiter", "is_bypassed"),
    [
        (OTHER, "", True),
        (OTHER.upper(), "", True),
        ("other+news@corp.example", "+", True),
        ("other+a+b@corp.example", "+", True),
        ("desk+list@corp.example", "+", True),
        ("desk+list@corp.example", "", True),
        ("desk+lists@corp.example", "+", False),
        ("other+news@corp.example", "", False),
        ("other-news@corp.example", "+", False),
        ("+other@corp.example", "+", False),
        ('"other +news"@corp.example', "+", False),
        (DESK, "+", False),
        ("", "+", False),
    ],
)
def test_a_bypassed_recipient_gets_everything(
    dns: Nameserver, path: Path, recipient: str, delimiter: str, is_bypassed: bool
) -> None:
    keys = {"bypassed_recipients": (OTHER, "desk+list@corp.example"), "recipient_delimiter": delimiter}
    served = serve(dns, path, mail(recipient=recipient), **keys)
    expected = ("DUNNO", "bypassed-recipient") if is_bypassed else (REJECTED, "listed")
    assert (*served.actions, only(served)["reason"]) == expected


def test_an_extension_is_no_part_of_the_mailbox(dns: Nameserver, path: Path) -> None:
    asked = mail(sender=BOB, recipient="Desk+orders@corp.example")
    assert serve(dns, path, asked, recipient_delimiter="+").actions == [LIFTED.format("trusted-address", "holds")]
    assert serve(dns, path, asked).actions == [REJECTED]


@pytest.mark.parametrize(
    ("client", "seen", "action"),
    [
        (LISTED, LISTED, REJECTED),
        (LISTED6, LISTED6, REJECTED),
        (f"::ffff:{LISTED}", LISTED, REJECTED),
        (f"::FFFF:{LISTED}", LISTED, REJECTED),
        (LISTED6.upper(), LISTED6, REJECTED),
        (CLEAN, CLEAN, "DUNNO"),
        (CLEAN6, CLEAN6, "DUNNO"),
        (f"::ffff:{CLEAN}", CLEAN, "DUNNO"),
    ],
)
def test_clients_of_both_families(dns: Nameserver, path: Path, client: str, seen: str, action: str) -> None:
    template = {"providers": ({**BLOCK, "rejection_response": "{0} is listed"},)}
    served = serve(dns, path, mail(client), mail(client), **template)
    expected = f"550 5.7.1 {seen} is listed" if action == REJECTED else action
    assert served.actions == [expected, expected]
    assert served.at_once == [False, True]
    assert {verdict["client"] for verdict in served.verdicts} == {seen}


@pytest.mark.parametrize("client", [LISTED, LISTED6, f"::ffff:{LISTED}"])
def test_spf_is_asked_for_clients_of_both_families(dns: Nameserver, path: Path, client: str) -> None:
    assert serve(dns, path, mail(client, BOB)).actions == [LIFTED.format("trusted-address", "holds")]


@pytest.mark.parametrize(
    ("request_", "reason", "safe", "action"),
    [
        (mail(sender=STRANGER), "listed", "nobody", REJECTED),
        (mail(sender=""), "listed", "not-a-sender", REJECTED),
        (mail(sender=BLOCKED), "listed", "blocked-address", REJECTED),
        (mail(sender="x@partner.example"), "lifted", "trusted-domain", LIFTED.format("trusted-domain", "holds")),
        (mail(sender=BOB.upper()), "lifted", "trusted-address", LIFTED.format("trusted-address", "holds")),
        (mail(sender=QUORUM, recipient=OTHER), "lifted", "quorum", LIFTED.format("quorum", "holds")),
        (mail(sender=ALLOWED), "lifted", "enforced-allow", LIFTED.format("enforced-allow", "not asked for")),
        (mail(sender=BOB, recipient=OTHER), "listed", "nobody", REJECTED),
        (
            mail(LISTED_TWICE, BOB), "not-authenticated", "trusted-address",
            f"{REJECTED}; SPF does not permit your IP to use this sender",
        ),
        (
            mail(sender=UNREADABLE), "cannot-authenticate", "trusted-address",
            f"451 4.7.1 Your IP is on a block list, and {NOT_READ}; try again later",
        ),
        (mail(VOUCHED), "allow-listed", None, "DUNNO"),
        (mail(CLEAN), "not-listed", None, "DUNNO"),
    ],
)  # fmt: skip
def test_each_reason(
    dns: Nameserver, path: Path, request_: dict[str, str], reason: str, safe: str | None, action: str
) -> None:
    served = serve(dns, path, request_, request_)
    assert served.actions == [action, action]
    assert [(verdict["reason"], verdict["safe"]) for verdict in served.verdicts] == [(reason, safe)] * 2
    assert served.counts == {(served.verdicts[0]["action"], reason): 2}


def test_an_observer_says_nothing_to_postfix(dns: Nameserver, path: Path) -> None:
    served = serve(dns, path, mail(), mail(sender=BOB), mail(sender=UNREADABLE), mode="observe")
    assert served.actions == ["DUNNO"] * 3
    assert [verdict["action"] for verdict in served.verdicts] == ["reject", "lift", "defer"]


def test_other_stages_of_smtp_are_of_no_interest(dns: Nameserver, path: Path) -> None:
    stages = ("CONNECT", "EHLO", "MAIL", "DATA", "END-OF-MESSAGE", "VRFY")
    served = serve(dns, path, *(mail(protocol_state=stage) for stage in stages))
    assert served.actions == ["DUNNO"] * len(stages)
    assert not served.counts


def test_every_list_of_a_client_is_told(dns: Nameserver, path: Path) -> None:
    served = serve(dns, path, mail(LISTED_TWICE))
    assert only(served)["providers"] == ["Block", "Second"]
    assert served.actions == [REJECTED]


def test_what_an_administrator_may_choose(dns: Nameserver, path: Path) -> None:
    assert serve(dns, path, mail(sender=BOB), header="").actions == ["DUNNO"]
    assert serve(dns, path, mail(sender=UNREADABLE), defer_unproven=False).actions[0].startswith(f"{REJECTED}; the SPF")
    blocked = serve(dns, path, mail(CLEAN, BLOCKED), mail(CLEAN, BLOCKED, OTHER), reject_blocked_senders=True)
    assert blocked.actions == ["554 5.1.0 Sender denied", "DUNNO"]


def test_an_error_of_a_list_is_no_listing_and_is_said_once(dns: Nameserver, path: Path) -> None:
    served = serve(dns, path, *[mail(ERROR), mail(ERROR, BOB)] * 3)
    assert served.actions == ["DUNNO"] * 6
    assert {(verdict["reason"], *verdict["failed"]) for verdict in served.verdicts} == {("unreachable", "Block")}
    (said,) = served.warnings
    assert "Block answers 127.255.255.254: asked through a public resolver" in said


@pytest.mark.parametrize("age", [timedelta(days=8), timedelta(days=3000)])
def test_a_stale_snapshot_makes_nobody_safe(dns: Nameserver, path: Path, tmp_path: Path, age: timedelta) -> None:
    old = tmp_path / "snapshot"
    old.write_bytes(path.read_bytes())
    then = (NOW - age).timestamp()
    os.utime(old, (then, then))
    served = serve(dns, old, *(mail(sender=text) for text in (BOB, QUORUM, ALLOWED)), mail(CLEAN))
    assert served.actions == [*[REJECTED] * 3, "DUNNO"]
    assert "too old" in served.verdicts[0]["why"]
    assert serve(dns, old, mail(sender=BOB), max_age=f"{age.days + 1}d").actions[0].startswith("PREPEND")


def test_without_a_snapshot_nobody_is_safe(dns: Nameserver, tmp_path: Path) -> None:
    served = serve(dns, tmp_path / "none", mail(sender=BOB), mail(CLEAN))
    assert served.actions == [REJECTED, "DUNNO"]
    assert served.warnings[0].endswith("nobody is safe until there is one")


def looked(caplog: pytest.LogCaptureFixture, path: Path, *between: Callable[[], object]) -> list[str]:
    """What is complained of by a look at ``path``, and again after each of these."""

    async def look() -> None:
        current = CurrentSnapshot(path, timedelta(days=7))
        await current.refresh()
        for change in between:
            change()
            await current.refresh()
        current.close()

    asyncio.run(look())
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_snapshot_that_goes_twice_is_missed_twice(
    caplog: pytest.LogCaptureFixture, path: Path, tmp_path: Path
) -> None:
    here, aside = tmp_path / "snapshot", tmp_path / "aside"
    here.write_bytes(path.read_bytes())
    go, come = (lambda: here.rename(aside)), (lambda: aside.rename(here))
    said = looked(caplog, here, go, here.exists, come, go, here.exists)
    assert len(said) == 2
    assert all("No such file" in line and line.endswith("the last good snapshot stays in use") for line in said)


def test_a_disk_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    (said,) = looked(caplog, Path("/proc/self/mem"), os.getpid, os.getpid)
    assert "Input/output error" in said
    assert said.endswith("nobody is safe until there is one")


def test_a_refused_snapshot_that_was_mended_is_taken(path: Path, tmp_path: Path) -> None:
    here, whole = tmp_path / "snapshot", path.read_bytes()

    async def safe() -> list[bool]:
        current, found = CurrentSnapshot(here, timedelta(days=7)), []
        for data in (whole[:-1] + bytes([whole[-1] ^ 1]), whole):
            here.write_bytes(data)
            os.utime(here, (NOW.timestamp(), NOW.timestamp()))  # as a tool that keeps times does
            for again in (False, True):
                await current.refresh(again=again)
                found.append(current.decide(sender.parse(BOB), DESK, NOW).safe)
        current.close()
        return found

    assert asyncio.run(safe()) == [False, False, False, True]


def test_a_snapshot_that_was_rewritten_where_it_is_counts(path: Path, tmp_path: Path) -> None:
    here, empty = tmp_path / "snapshot", tmp_path / "empty"
    snapshot.write(empty, snapshot.Contents("of nobody", policy.Settings(), [], [], []))
    size = max(path.stat().st_size, empty.stat().st_size)
    assert size == min(path.stat().st_size, empty.stat().st_size), "the same inode and size tell nothing"

    async def safe() -> list[bool]:
        current, found = CurrentSnapshot(here, timedelta(days=7)), []
        for seconds, file in enumerate((path, empty)):
            with here.open("r+b" if here.exists() else "wb") as target:
                target.write(file.read_bytes())
            os.utime(here, (NOW.timestamp() + seconds, NOW.timestamp() + seconds))
            await current.refresh()
            found.append(current.decide(sender.parse(BOB), DESK, NOW).safe)
        current.close()
        return found

    assert asyncio.run(safe()) == [True, False]


@pytest.mark.parametrize(("ahead", "is_safe"), [(timedelta(minutes=59), True), (timedelta(minutes=61), False)])
def test_a_snapshot_of_the_future_makes_nobody_safe(
    dns: Nameserver, path: Path, tmp_path: Path, ahead: timedelta, is_safe: bool
) -> None:
    here, then = tmp_path / "snapshot", (NOW + ahead).timestamp()
    here.write_bytes(path.read_bytes())
    os.utime(here, (then, then))
    served = serve(dns, here, mail(sender=BOB))
    assert served.actions[0].startswith("PREPEND") == is_safe
    assert ("in the future" in only(served)["why"]) != is_safe


def test_a_block_counts_at_once_where_the_publishers_clock_goes_before_the_filters(tmp_path: Path) -> None:
    here, made = tmp_path / "snapshot", NOW + timedelta(minutes=30)
    blocks = Override(1, Terms(Effect.BLOCK, sender.parse(BOB), "forged"), made, "root")
    entries = [holding(UserList.SAFE_SENDERS, BOB)]
    snapshot.write(here, snapshot.Contents("one", policy.Settings(), [blocks], [], [(DESK, entries)]))
    os.utime(here, (made.timestamp(), made.timestamp()))

    async def decided() -> policy.Decision:
        current = CurrentSnapshot(here, timedelta(days=7))
        await current.refresh()
        found = current.decide(sender.parse(BOB), DESK, NOW)
        current.close()
        return found

    found = asyncio.run(decided())
    assert (found.safe, found.reason) == (False, policy.Reason.ENFORCED_BLOCK)


def test_a_fifo_is_no_snapshot(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (said,) = looked(caplog, tmp_path / "fifo", os.getpid)
    assert "no regular file" in said


def test_a_list_that_lists_everybody_counts_as_unreachable_until_it_does_no_more(path: Path) -> None:
    providers = Filter.model_validate({"snapshot": path, "providers": (BLOCK,)}).providers
    zone: dict[str, dict[str, list[str]]] = {}

    async def look(server: Nameserver) -> list[tuple[int, tuple[str, ...], list[str]]]:
        resolver, seen = Resolver([server.address], timeout=5), []
        lists = Providers(resolver, providers, (), 5)
        for points in (["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2"], []):
            zone.clear()
            zone.update(points_at("block.example", dict.fromkeys((LISTED, *points), "127.0.0.2")))
            told = await lists.check_test_points()
            found = await lists.ask(ip_address(LISTED))
            seen.append((len(found.block), found.failed, told))
        resolver.close()
        return seen

    with nameserver(zone, ttl=0, negative_ttl=0) as server:
        good, open_, mended, lacking = asyncio.run(look(server))
    assert good == mended == (1, (), [])
    assert open_[:2] == (0, ("Block",))
    assert "and so everybody" in open_[2][0]
    assert lacking[:2] == (1, ())
    assert "does not list the test address" in lacking[2][0]


def test_only_what_let_a_mail_through_is_noted(dns: Nameserver, path: Path) -> None:
    others = (mail(), mail(CLEAN, BOB), mail(LISTED_TWICE, BOB), mail(sender=UNREADABLE), mail(VOUCHED, BOB))
    assert not serve(dns, path, *others).used
    lifted = (mail(sender=BOB), mail(sender="x@partner.example"), mail(sender=QUORUM), mail(sender=ALLOWED))
    assert serve(dns, path, *others, *lifted, *lifted).used == [
        Key("trusted-address", BOB, DESK),
        Key("trusted-domain", "partner.example", DESK),
        Key("quorum", QUORUM, ""),
        Key("enforced-allow", ALLOWED, ""),
    ]


def test_a_header_is_prepended_once_a_mail(dns: Nameserver, path: Path) -> None:
    first = [mail(sender=QUORUM, recipient=recipient, instance="1a.2") for recipient in (DESK, OTHER)]
    refused_, second = mail(instance="1a.2"), mail(sender=QUORUM, instance="1a.3")
    header = LIFTED.format("quorum", "holds")
    served = serve(dns, path, *first, refused_, second, mail(sender=QUORUM), mail(sender=QUORUM))
    assert served.actions == [header, "DUNNO", REJECTED, header, header, header]
    assert {verdict["action"] for verdict in served.verdicts} == {"lift", "reject"}
    others = [mail(sender=text, instance="1a.2") for text in (QUORUM, BOB, QUORUM, BOB)]
    assert serve(dns, path, *others).actions == [header, LIFTED.format("trusted-address", "holds"), "DUNNO", "DUNNO"]


@pytest.mark.parametrize("text", ["partner.example", ".partner.example", "SMTP:partner.example"])
def test_a_domain_is_no_sender(dns: Nameserver, path: Path, text: str) -> None:
    """Postfix makes a local address of what has no @, so a trust in a domain of that name must not hold."""
    served = serve(dns, path, mail(sender=text))
    assert (served.actions, only(served)["safe"]) == ([REJECTED], "not-a-sender")


@pytest.mark.parametrize("client", ["", "unknown", "192.0.2", "192.0.2.2.", " 192.0.2.2", "0x7f.1", "::1::", "127.1"])
def test_a_client_without_an_address_is_let_be(dns: Nameserver, path: Path, client: str) -> None:
    served = serve(dns, path, mail(client))
    assert (served.actions, only(served)["reason"], only(served)["client"]) == (["DUNNO"], "no-address", None)


ODD = ["front desk", "a..b", "x@y", "v" * 70, "*", "", 'say "hi"', "a\x07b"]


@pytest.mark.parametrize("local", ODD)
@pytest.mark.parametrize("name", ["partner.example", "PARTNER.example."])
def test_whatever_stands_before_the_at_the_trust_in_its_domain_counts(
    dns: Nameserver, path: Path, local: str, name: str
) -> None:
    """As Postfix hands senders over: unquoted. The domain vouches for all of its addresses (SPF)."""
    served = serve(dns, path, mail(sender=f"{local}@{name}"), mail(CLEAN6, f"{local}@{name}"))
    assert served.actions == [LIFTED.format("trusted-domain", "holds"), "DUNNO"]


@pytest.mark.parametrize("local", [*ODD, "spam", "prvs=1234567890=spam"])
def test_an_enforced_block_of_a_domain_holds_for_every_sender_there(
    dns: Nameserver, tmp_path: Path, local: str
) -> None:
    block = Terms(Effect.BLOCK, sender.parse(".blocked.example"), "spam")
    whole = snapshot.Contents(
        "a test", policy.Settings(), [Override(1, block, NOW - timedelta(days=1), "root")], [], []
    )
    snapshot.write(tmp_path / "snapshot", whole)
    senders = [f"{local}@{name}" for name in ("blocked.example", "a.Blocked.example.", "a_1.blocked.example")]
    requests = [mail(CLEAN, each) for each in (*senders, f"{local}@a..blocked.example", "blocked.example!x")]
    served = serve(dns, tmp_path / "snapshot", *requests, reject_blocked_senders=True)
    assert served.actions == ["554 5.1.0 Sender denied"] * 5
    free = serve(dns, tmp_path / "snapshot", mail(CLEAN, f"{local}@notblocked.example"), reject_blocked_senders=True)
    assert free.actions == ["DUNNO"]


def test_an_address_counts_behind_a_batv_tag_where_spf_holds(dns: Nameserver, path: Path) -> None:
    tagged, unproven = f"prvs=1234567890={QUORUM}", mail(LISTED_TWICE, f"prvs=1234567890={QUORUM}")
    served = serve(dns, path, mail(sender=tagged), unproven, mail(sender=f"btv1==0123abc==prvs=1234567890={BLOCKED}"))
    assert served.actions[0] == LIFTED.format("quorum", "holds")
    assert served.actions[1].startswith(f"{REJECTED}; ")
    assert served.actions[2] == REJECTED
    assert [verdict["safe"] for verdict in served.verdicts] == ["quorum", "quorum", "blocked-address"]
    assert f"{tagged} is {QUORUM} behind a tag" in served.verdicts[0]["why"]


def is_action(text: str) -> bool:
    """One of access(5) that this service may say, whoever asks."""
    return text == "DUNNO" or text == REJECTED or text.startswith((f"{REJECTED}; SPF", "451 4.7.1 ", "PREPEND X-Saf"))


HOSTILE = [
    b"", b"x" * 10_000, b"x" * 5000 + b"@partner.example", b"\x1b[31mred@partner.example", b"a\rb@c.example",
    "ö@bücher.example".encode(), b"\xff\xfe@\x80.example", b"a@" + b"x." * 200 + b"example", b"@" * 500,
    b"<bob@partner.example>", b"bob@partner.example 550", b"550 5.7.1 x", b"PREPEND X: y",
    b"{0}{1}{2}%s%n%(x)s", b'"bob\\"@x"@partner.example', b"bob@[192.0.2.2]", "\u202ebob@partner.example".encode(),
    b"action=OK", b"bob@partner.example\x00"[:-1] + b"\x7f", b"\\x0a\\u0000", b"a" * 64 + b"@partner.example",
]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["client_address", "sender", "recipient", "helo_name", "sasl_username", "protocol_state"]
)
def test_hostile_attributes(dns: Nameserver, path: Path, name: str) -> None:
    plain = mail(sender=BOB)
    hostile: list[dict[str, str | bytes]] = [{**plain, name: value} for value in HOSTILE]
    served = serve(dns, path, *hostile, {}, {})
    assert all(map(is_action, served.actions)), served.actions
    assert all(len(json.dumps(verdict)) < 4000 for verdict in served.verdicts)


def test_a_sender_too_long_for_spf_proves_nothing_though_its_domain_is_trusted(dns: Nameserver, path: Path) -> None:
    served = serve(dns, path, *(mail(sender=f"{'v' * length}@partner.example") for length in (300, 400)))
    assert served.actions[0] == LIFTED.format("trusted-domain", "holds")
    assert served.actions[1] == f"{REJECTED}; SPF cannot tell of this sender: it has no domain, or is too long"
    assert [verdict["safe"] for verdict in served.verdicts] == ["trusted-domain"] * 2


octets = st.binary(max_size=60).map(lambda data: data.translate(None, b"\0\n").rstrip(b"\r"))
values = octets | st.sampled_from(HOSTILE) | st.sampled_from([DESK.encode(), BOB.encode(), LISTED.encode()])
asked = st.fixed_dictionaries({"client_address": values, "sender": values, "recipient": values})
of_a_length_that_is_read = asked.filter(lambda each: sum(map(len, each.values())) < 16_000)


@settings(max_examples=25, deadline=None)
@given(st.lists(of_a_length_that_is_read, max_size=20))
def test_any_attributes(dns: Nameserver, path: Path, requests: list[dict[str, bytes]]) -> None:
    assert all(map(is_action, serve(dns, path, *requests).actions))


def test_a_zone_of_an_address_is_not_believed(dns: Nameserver, path: Path) -> None:
    """What stands behind the % may be anything, of any length."""
    served = serve(dns, path, mail(f"{LISTED6}%{'x' * 5000}"), mail(f"{LISTED6}%\x1b[31m", BOB))
    assert served.actions == [REJECTED, LIFTED.format("trusted-address", "holds")]
    assert {verdict["client"] for verdict in served.verdicts} == {LISTED6}


def test_what_is_asked_by_hand_believes_no_list_that_lists_everybody(path: Path, tmp_path: Path) -> None:
    config = tmp_path / "filter.toml"
    zone = points_at("block.example", dict.fromkeys((LISTED, "127.0.0.1", "127.0.0.2"), "127.0.0.2"))
    with nameserver(zone) as server:
        config.write_text(
            f'snapshot = "{path}"\ntrusted_networks = []\nresolvers = ["127.0.0.1:{server.address[1]}"]\n'
            '[[providers]]\nname = "Block"\nlookup_domain = "block.example"\nany_match = true\n'
        )
        command = [sys.executable, "-m", "safelist", "filter", "ask", "--config", str(config), "--json"]
        mail = ["--client", LISTED, "--sender", STRANGER, "--recipient", DESK]
        done = subprocess.run([*command, *mail], capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["reason"] == "unreachable"
