"""A day of mail at a Postfix that rejects by a DNSBL: the report names exactly what the filter then lets through."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from safelist.junkrule import JunkRule
from tests.cli.command import Command, synced
from tests.exchange import Mailbox
from tests.filter.dns_server import nameserver, servfail
from tests.filter.site import DNSBL, FORGER, RECOMMENDED, Forwarding, running
from tests.postfix.servers import CLEAN, LISTED, Postfix, missing, postfix, rbldnsd
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

DESK, OTHER, THIRD = "desk@corp.example", "other@corp.example", "third@corp.example"
AOL, YAHOO, NEWS = "old.friend@aol.com", "supplier@yahoo.com", "news@paper.example"
LISTS = {DESK: (AOL, NEWS), OTHER: (YAHOO, NEWS), THIRD: ()}
ZONE = {
    domain: {"TXT": [f"v=spf1 ip4:{LISTED} ip4:{CLEAN} -all"]}
    for domain in ("aol.com", "yahoo.com", "paper.example", "stranger.example")
}
REJECTING = "permit_sasl_authenticated, reject_unauth_destination, reject_rbl_client " + DNSBL


class Offered(NamedTuple):
    """A mail of the day."""

    client: str
    sender: str
    recipient: str


DAY = [
    Offered(client, sender, recipient)
    for client in (LISTED, FORGER, CLEAN)
    for sender in (AOL, YAHOO, NEWS, "Old.Friend@AOL.com", "spam@stranger.example", "")
    for recipient in (DESK, OTHER, THIRD)
]


class Day(NamedTuple):
    """What came of it: the log of the Postfix that rejects, and which mails the filter lets through."""

    safelist: Command
    log: Path
    nameserver: str
    refused: set[Offered]
    let_through: set[Offered]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    directory = tmp_path_factory.mktemp("day")
    with ExitStack() as stack:
        dnsbl = stack.enter_context(rbldnsd(DNSBL, [LISTED, FORGER]))
        dns = stack.enter_context(nameserver(ZONE, Forwarding(dnsbl, {"flaky.example": servfail})))
        people = [Mailbox(box, JunkRule(safe_senders=senders)) for box, senders in LISTS.items()]
        safelist = stack.enter_context(synced(directory, people))
        with safelist.config.open("a") as config:
            config.write(f'\n[publish.filter]\npath = "{directory}/snapshot"\n')
        assert safelist("publish").code == 0
        asked = stack.enter_context(running(directory, "filter", directory / "snapshot", dns.address))
        assert until(partial(asked.has_said, "listening on")), asked.log.read_text()
        services = {
            "before": REJECTING,
            "after": RECOMMENDED.partition("=")[2].replace("inet:127.0.0.1:10045", asked.address),
        }
        patient = {"smtpd_soft_error_limit": "10000", "smtpd_hard_error_limit": "20000"}
        server = stack.enter_context(
            postfix("", {name: {"smtpd_recipient_restrictions": it} | patient for name, it in services.items()}, dnsbl)
        )
        before, after = ({it for it in DAY if not accepts(server, name, it)} for name in services)
        yield Day(safelist, server.log, "{}:{}".format(*dns.address), before, before - after)


def accepts(server: Postfix, service: str, mail: Offered) -> bool:
    code, reply = server.send(service, mail.client, mail.sender, mail.recipient)
    assert code in (250, 550, 554), reply
    return code == 250


def folded(mail: Offered) -> Offered:
    """The mail as the report counts it: whichever way the sender's letters are written."""
    return mail._replace(sender=mail.sender.lower())


def test_the_dnsbl_refused_what_it_lists(day: Day) -> None:
    assert day.refused == {mail for mail in DAY if mail.client != CLEAN}
    assert len(day.let_through) == 6


def test_the_report_names_exactly_what_the_filter_lets_through(day: Day) -> None:
    found = day.safelist(
        "rejections", str(day.log), "--timezone", "UTC", "--spf", "--nameserver", day.nameserver, "--json", "--saved"
    ).json
    assert found["unread"] == 0
    named = {folded(Offered(it["client"], it["sender"], it["recipient"])): it["spf_today"] for it in found["saved"]}
    assert {mail for mail, spf in named.items() if spf == "pass"} == set(map(folded, day.let_through))
    assert {mail.client for mail, spf in named.items() if spf != "pass"} == {FORGER}
    assert found["by_dns_lists"] == len(set(map(folded, day.refused)))
    assert {it["provider"] for it in found["providers"]} == {DNSBL}


def test_ten_lines_say_it(day: Day) -> None:
    done = day.safelist("rejections", str(day.log), "--timezone", "UTC", "--spf", "--nameserver", day.nameserver)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) <= 10
    assert "Today SPF says: fail 5, pass 5" in done.out
