"""The form that people know, welcomelist_auth, with the same mails and the same spamd."""

from collections.abc import Iterator

import pytest

from safelist.override import Authentication
from safelist.publisher.targets.spamassassin import TARGET, SpamAssassinSettings, recipients, snippet
from tests.filter.dns_server import nameserver
from tests.mail.world import ALL, BOB, DESK, EVIL, FORGER, OFFERS, OTHER, PLAIN, Offer, zone
from tests.spamassassin.aggregate import published, said
from tests.spamassassin.servers import RULE, Spamd, missing, received, site, spamd

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

WELCOMED = {"USER_IN_SPF_WELCOMELIST", "USER_IN_DKIM_WELCOMELIST"}
GIVEN = [said(ALL), said(BOB, DESK), said(PLAIN, DESK)]
EXPECTED = {
    "trusted pair": True,
    "other recipient": False,
    "everybody": True,
    "spf fails": False,
    "dkim only": True,
    "dkim without dmarc": True,
    "two recipients": True,
    "forged envelope, own dmarc": False,
    "forged header": False,
    "forged header, signed by another": False,
    "nobody's": False,
}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Spamd, SpamAssassinSettings]]:
    with nameserver(zone()) as dns, site(dns.address) as (root, configuration, files):
        given = {"path": files / "safelist", "form": "welcomelist_auth"}
        chosen = SpamAssassinSettings.model_validate(given)
        published(TARGET, chosen, GIVEN)
        include, _, daemon = snippet(chosen.path).partition("# /etc/default/spamd")
        (configuration / "safelist.cf").write_text(include)
        options = daemon.partition("=")[2].strip().strip('"').replace("debian-spamd", "nobody").split()
        with spamd(root, [*options, "--max-children=1"]) as started:
            yield started, chosen


def is_welcome(running: Spamd, message: bytes, recipient: str = DESK) -> bool:
    score, fired = running.verdict(recipient, message)
    assert RULE in fired
    assert bool(fired & WELCOMED) == (score < -50)
    return bool(fired & WELCOMED)


@pytest.mark.parametrize("name", OFFERS)
def test_each_offer(running: tuple[Spamd, SpamAssassinSettings], name: str) -> None:
    offer = OFFERS[name]
    assert is_welcome(running[0], received(offer), offer.recipients[0]) is EXPECTED[name]


@pytest.mark.parametrize("header", ["Resent-From", "Resent-Sender", "X-Envelope-From", "Envelope-Sender"])
def test_no_other_header_names_a_welcome_sender(running: tuple[Spamd, SpamAssassinSettings], header: str) -> None:
    offer = Offer(EVIL, client=FORGER, signer="evil.example")
    assert not is_welcome(running[0], received(offer, f"{header}: {BOB}"))


def test_of_two_authors_the_one_who_signs_is_not_taken_for_the_other(
    running: tuple[Spamd, SpamAssassinSettings],
) -> None:
    """A signature counts for the author in its own domain only."""
    offer = Offer(EVIL, client=FORGER, header_from=f"{BOB}, {EVIL}", signer="evil.example")
    assert not is_welcome(running[0], received(offer))


def test_whatever_else_the_mail_is_it_is_welcome(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    """The difference, as the page says it: the score of no rule about the content is left."""
    score, _ = running[0].verdict(DESK, received(OFFERS["trusted pair"]))
    assert score < -70


def test_a_recipient_blocks_whom_everybody_welcomes(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    server, chosen = running
    published(TARGET, chosen, [*GIVEN, said(ALL, OTHER, safe=False)])
    assert f"{OTHER} unwelcomelist_auth {ALL}\n" in recipients(chosen.path).read_text()
    message = received(OFFERS["everybody"])
    assert [is_welcome(server, message, each) for each in (OTHER, DESK)] == [False, True]
    published(TARGET, chosen, GIVEN)
    assert is_welcome(server, message, OTHER)


def test_each_authentication_has_its_own_list_and_old_names_are_written(
    running: tuple[Spamd, SpamAssassinSettings],
) -> None:
    chosen = running[1].model_copy(update={"path": running[0].files / "old", "old_names": True})
    given = [said(BOB, needs=Authentication.SPF), said(PLAIN, needs=Authentication.NONE), said(".evil.example")]
    published(TARGET, chosen, given)
    assert chosen.path.read_text().splitlines()[1:] == [
        "whitelist_auth *@evil.example *@*.evil.example", f"whitelist_from {PLAIN}", f"whitelist_from_spf {BOB}",
    ]  # fmt: skip


def test_a_domain_with_an_exception_is_left_out(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    chosen = running[1].model_copy(update={"path": running[0].files / "left"})
    done = published(TARGET, chosen, [said("partner.example"), said(BOB, safe=False), said(PLAIN)])
    assert [each.pattern.text for each in done.refused] == ["partner.example"]
    assert chosen.path.read_text().splitlines()[1:] == [f"welcomelist_auth {PLAIN}"]
