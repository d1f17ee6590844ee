"""Senders as a real Postfix hands them over to the filter and to the map, and what blocks and trust make of them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from safelist import policy, sender, snapshot
from safelist.entry import Holding, UserList
from safelist.override import Effect, Override, Terms
from safelist.policy import Candidate
from safelist.publisher.targets import postfix as postfix_map
from tests.filter.dns_server import nameserver
from tests.filter.site import DESK, DNSBL, ZONE, Filter, Forwarding, running, session
from tests.postfix.servers import CLEAN, LISTED, Postfix, missing, postfix, rbldnsd
from tests.publisher.site import NOW, publish_to, settings
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

WRITTEN = {
    '"front desk"@{}': "front desk@{}", '"x@y"@{}': "x@y@{}", "a..b@{}": "a..b@{}",
    f"{'v' * 70}@{{}}": f"{'v' * 70}@{{}}", "prvs=1234567890=bob@{}": "prvs=1234567890=bob@{}",
}  # fmt: skip
"""What a client writes behind MAIL FROM, and what Postfix says that it is."""
every_sender = pytest.mark.parametrize("written", WRITTEN)

SAFE, BLOCKED, SINGLE, HALF = "partner.example", "blocked.example", "single.example", "half.example"
"""A domain that is safe, one that is blocked, one of which only the addresses are safe, and a safe one but for Bob."""
ACCEPTED, BY_DNSBL = "250 2.1.5 Ok", f"554 5.7.1 Service unavailable; Client host [{LISTED}] blocked using {DNSBL}"
DENIED = f"554 5.1.0 <{DESK}>: Recipient address rejected: Sender denied"


def says(number: int, effect: Effect, text: str) -> Override:
    return Override(number, Terms(effect, sender.parse(text), "a test"), NOW - timedelta(days=1), "root")


OVERRIDES = [
    says(1, Effect.ALLOW, f".{SAFE}"), says(2, Effect.BLOCK, f".{BLOCKED}"), says(3, Effect.ALLOW, f".{HALF}"),
    says(4, Effect.BLOCK, f"bob@{HALF}"),
    *(says(number, Effect.ALLOW, text.format(SINGLE)) for number, text in enumerate(WRITTEN, 5) if "prvs" not in text),
    says(9, Effect.ALLOW, f"bob@{SINGLE}"),
]  # fmt: skip


class Running(NamedTuple):
    """A Postfix with a service that asks the filter and one that asks the map; what the map left out, and why."""

    postfix: Postfix
    filter: Filter
    refused: dict[str, str]

    def reply(self, service: str, client: str, written: str) -> str:
        """To RCPT TO."""
        with session(self.postfix, service, client) as smtp:
            assert smtp.docmd("MAIL", f"FROM:<{written}>")[0] == 250
            code, text = smtp.rcpt(DESK)
        return f"{code} {text.decode()}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("senders")
    directory.chmod(0o755)
    refused, found = publish_map(directory / "map"), directory / "snapshot"
    trusted = [Holding(DESK, UserList.SAFE_SENDER_DOMAINS, sender.parse(SAFE), NOW, None)]
    whole = policy.Settings(include_domains=True)
    snapshot.write(found, snapshot.Contents("a test", whole, OVERRIDES[1:], [], [(DESK, trusted)]))
    listed = f"check_sender_access texthash:{directory / 'map'}, reject_rbl_client {DNSBL}"
    with (
        rbldnsd(DNSBL) as dnsbl,
        nameserver(ZONE, Forwarding(dnsbl, {})) as dns,
        running(directory, "filter", found, dns.address, reject_blocked_senders=True) as filter_,
    ):
        assert until(lambda: any("listening on" in line for line in filter_.lines())), filter_.log.read_text()
        asks = f"check_policy_service {{ {filter_.address}, timeout=30s, default_action=DUNNO }}"
        services = {
            name: {
                "smtpd_recipient_restrictions": f"reject_unauth_destination, {restriction}",
                "mynetworks": "192.0.2.1",
            }
            for name, restriction in (("filter", asks), ("map", listed))
        }
        with postfix("", services, dnsbl) as server:
            yield Running(server, filter_, refused)


def publish_map(path: Path) -> dict[str, str]:
    """What was left out, and why."""
    asked = [each.terms.pattern for each in OVERRIDES]
    candidates = [Candidate(each, (), tuple(OVERRIDES)) for each in asked]
    published = publish_to(postfix_map.TARGET, settings(path, "texthash"), candidates)
    return {refused.pattern.text: refused.why for refused in published.refused}


def handed_over(site: Running, text: str) -> list[str | None]:
    """Why the filter answered each mail from ``text``, which is how Postfix's policy protocol named the sender."""
    assert until(lambda: bool(site.filter.verdicts(sender=text))), site.filter.lines()
    return [verdict["safe"] for verdict in site.filter.verdicts(sender=text)]


@every_sender
def test_the_filter_rejects_whom_an_enforced_block_of_the_domain_is_about(site: Running, written: str) -> None:
    assert site.reply("filter", CLEAN, written.format(BLOCKED)) == DENIED
    assert handed_over(site, WRITTEN[written].format(BLOCKED)) == ["enforced-block"]


@every_sender
def test_the_filter_lifts_for_whoever_is_at_a_trusted_domain_that_passes_spf(site: Running, written: str) -> None:
    assert site.reply("filter", LISTED, written.format(SAFE)) == ACCEPTED
    assert handed_over(site, WRITTEN[written].format(SAFE)) == ["trusted-domain"]


@every_sender
def test_the_map_finds_the_domain_whatever_stands_before_it(site: Running, written: str) -> None:
    assert site.reply("map", LISTED, written.format(SAFE)) == ACCEPTED
    assert site.reply("map", LISTED, written.format(f"a.{SAFE}")) == ACCEPTED
    assert site.reply("map", LISTED, written.format(BLOCKED)).startswith(BY_DNSBL)


@every_sender
def test_the_map_finds_an_address_that_can_be_written_and_reports_the_others(site: Running, written: str) -> None:
    is_found = written[0] != '"' and "prvs" not in written
    assert site.reply("map", LISTED, written.format(SINGLE)).startswith(ACCEPTED if is_found else BY_DNSBL)
    assert (written.format(SINGLE) in site.refused) is (written[0] == '"')


@every_sender
def test_the_map_lifts_for_nobody_at_a_domain_with_a_blocked_address(site: Running, written: str) -> None:
    assert site.reply("map", LISTED, written.format(HALF)).startswith(BY_DNSBL)
    assert f"bob@{HALF} must be an exception" in site.refused[f".{HALF}"]
