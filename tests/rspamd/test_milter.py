"""Mail through a real Postfix that asks rspamd's proxy as a milter, as most sites have it."""

import os
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from safelist.publisher.targets import rspamd
from safelist.publisher.targets.rspamd import RspamdSettings
from tests.mail.world import ALL, BOB, DESK, LISTED, OFFERS, OTHER, PLAIN, Offer
from tests.postfix.servers import Postfix, postfix
from tests.postfix.servers import missing as postfix_is_missing
from tests.rspamd import servers
from tests.rspamd.conftest import write
from tests.rspamd.test_mail import LIFTED, everybody, pair

WHY_NOT = servers.missing() or postfix_is_missing()
pytestmark = [
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start Postfix: sudo make test"),
]

QUOTED = r'"a\\b c"@partner.example'
_PROXY = """\
enabled = true; milter = yes; bind_socket = "127.0.0.1:{port}"; count = 1;
upstream "local" {{ default = yes; self_scan = yes; }}
"""
_MAIN = """\
smtpd_milters = inet:127.0.0.1:{port}
milter_default_action = tempfail
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_recipient_restrictions = reject_unauth_destination
recipient_delimiter = +
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Postfix]:
    with servers.directory() as maps:
        settings, port = RspamdSettings(path=maps / "senders"), servers.free_port()
        write(settings, [everybody(ALL)], [pair(BOB), pair(PLAIN), pair(QUOTED)])
        more = {"worker-proxy.inc": _PROXY.format(port=port)}
        with (
            servers.installed(rspamd.rule(settings), more) as found,
            found.running(),
            postfix(_MAIN.format(port=port), {"mx": {}}, "127.0.0.1") as running,
        ):
            yield running


@contextmanager
def connected(site: Postfix, client: str) -> Iterator[smtplib.SMTP]:
    """A connection that Postfix takes for one of the client."""
    with smtplib.SMTP("127.0.0.1", site.ports["mx"], timeout=60) as smtp:
        smtp.ehlo("client.example")
        assert smtp.docmd("XCLIENT", f"ADDR={client} NAME=[UNAVAILABLE] HELO=client.example")[0] == 220
        smtp.ehlo("client.example")
        yield smtp


def is_taken(smtp: smtplib.SMTP, offer: Offer) -> bool:
    """Whether the mail itself is; what rspamd rejects is refused with its own words."""
    smtp.mail(offer.sender)
    assert {smtp.rcpt(each)[0] for each in offer.recipients} == {250}
    code, text = smtp.data(offer.message())
    assert code == 250 or (code, text) == (554, b"5.7.1 Spam message rejected"), text
    return code == 250


@pytest.mark.parametrize("name", OFFERS)
def test_each_offer(site: Postfix, name: str) -> None:
    with connected(site, OFFERS[name].client) as smtp:
        assert is_taken(smtp, OFFERS[name]) is LIFTED[name]


@pytest.mark.parametrize(
    ("sender", "recipient", "expected"),
    [(QUOTED, DESK, True), ("prvs=1234567890=bob@partner.example", DESK, True), ("BOB@Partner.Example", DESK, True),
     ("bob+x@partner.example", DESK, False), (BOB, "desk+x@corp.example", False)],
)  # fmt: skip
def test_addresses_come_as_the_client_wrote_them(site: Postfix, sender: str, recipient: str, expected: bool) -> None:
    """Postfix hands them over before it takes an extension off."""
    with connected(site, LISTED) as smtp:
        assert is_taken(smtp, Offer(sender, (recipient,))) is expected


def test_mails_of_one_connection_are_judged_each_by_itself(site: Postfix) -> None:
    with connected(site, LISTED) as smtp:
        assert [is_taken(smtp, Offer(BOB, (each,))) for each in (DESK, OTHER, DESK)] == [True, False, True]
