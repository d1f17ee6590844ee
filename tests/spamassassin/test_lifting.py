"""What a real spamd makes of each mail of the tests' world, with what `safelist publish` wrote for it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist.override import Authentication
from safelist.publisher.targets import spamassassin
from safelist.publisher.targets.spamassassin import TARGET, SpamAssassinSettings, snippet, users
from tests.filter.dns_server import nameserver
from tests.mail.world import ALL, BOB, CLEAN, DESK, EVIL, FORGER, LISTED, OFFERS, OTHER, PLAIN, Offer, zone
from tests.publisher.site import state
from tests.spamassassin.aggregate import published, said
from tests.spamassassin.servers import RULE, SCORE, STOCK, Spamd, missing, received, site, spamd

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

LIFTED = f"SAFELIST_{RULE}"
GIVEN = [said(ALL), said(BOB, DESK), said(PLAIN, DESK), said("b.ob@partner.example", DESK)]


def settings(files: Path, root: Path, **more: object) -> SpamAssassinSettings:
    rules = [f"{RULE} {SCORE:g}", "RCVD_IN_XBL 0 0.724 0 0.375"]
    given = {"dnsbl_rules": rules, "path": files / "safelist",
             "rules_path": STOCK, "site_path": root / "site", **more}  # fmt: skip
    return SpamAssassinSettings.model_validate(given)


def options(chosen: SpamAssassinSettings) -> list[str]:
    """What the snippet says of spamd, for another user and one child."""
    (line,) = [row for row in snippet(chosen.path).splitlines() if row.startswith("OPTIONS=")]
    words = line.partition("=")[2].strip('"').replace("debian-spamd", "nobody").split()
    return [*words, "--max-children=1"]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Spamd, SpamAssassinSettings]]:
    with (
        nameserver({**zone(), "relay.example": {"TXT": [f"v=spf1 ip4:{CLEAN} -all"]}}) as dns,
        site(dns.address) as (root, configuration, files),
    ):
        chosen = settings(files, root)
        published(TARGET, chosen, GIVEN)
        (configuration / "safelist.cf").write_text(snippet(chosen.path).partition("# /etc/default/spamd")[0])
        with spamd(root, options(chosen)) as started:
            yield started, chosen


EXPECTED = {
    "trusted pair": True,
    "other recipient": False,
    "everybody": True,
    "spf fails": False,
    "dkim only": False,
    "dkim without dmarc": False,
    "two recipients": True,
    "forged envelope, own dmarc": False,
    "forged header": False,
    "forged header, signed by another": False,
    "nobody's": False,
}
"""Of "dkim only" the envelope is proven by nothing: see the page. Of two recipients each has a verdict of its own."""


def is_lifted(running: Spamd, message: bytes, recipient: str = DESK) -> bool:
    """Whether what the DNSBL adds is taken back, to the last point; listed it is always."""
    score, fired = running.verdict(recipient, message)
    assert RULE in fired, (score, fired)
    assert (LIFTED in fired) == (score < SCORE - 10)
    return LIFTED in fired


@pytest.mark.parametrize("name", OFFERS)
def test_each_offer(running: tuple[Spamd, SpamAssassinSettings], name: str) -> None:
    offer = OFFERS[name]
    assert is_lifted(running[0], received(offer), offer.recipients[0]) is EXPECTED[name]


def test_of_two_recipients_each_has_a_verdict(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    message = received(OFFERS["two recipients"])
    assert [is_lifted(running[0], message, each) for each in (DESK, OTHER)] == [True, False]


PROVEN = {
    "both sign": (Offer(f"bounce@{'partner.example'}", client=FORGER, header_from=BOB, signer="partner.example"), True),
    "envelope by SPF, header by DKIM": (
        Offer("bounce@plain.example", client=LISTED, header_from=BOB, signer="partner.example"), True
    ),
    "the same address signs, forwarded": (Offer(BOB, client=FORGER, signer="partner.example"), True),
    "null sender, signed": (Offer("", client=FORGER, header_from=BOB, signer="partner.example"), True),
    "null sender, unsigned": (Offer("", client=LISTED, header_from=BOB), False),
    "two authors": (Offer(EVIL, client=FORGER, header_from=f"{BOB}, {EVIL}", signer="evil.example"), False),
    "a forged envelope before an own signature": (
        Offer(BOB, client=FORGER, header_from=EVIL, signer="evil.example"), False
    ),
    "a dot": (Offer("b.ob@partner.example"), True),
    "two dots, which the lists take for one": (Offer("b..ob@partner.example"), False),
}  # fmt: skip


@pytest.mark.parametrize("name", PROVEN)
def test_each_identity_proves_itself(running: tuple[Spamd, SpamAssassinSettings], name: str) -> None:
    offer, lifted = PROVEN[name]
    assert is_lifted(running[0], received(offer)) is lifted


@pytest.mark.parametrize("header", ["Resent-From", "Resent-Sender", "X-Envelope-From", "Envelope-Sender"])
def test_no_other_header_names_a_safe_sender(running: tuple[Spamd, SpamAssassinSettings], header: str) -> None:
    """check_from_in_list looks at all of them, and the forger proves his own two."""
    offer = Offer(EVIL, client=FORGER, signer="evil.example")
    assert not is_lifted(running[0], received(offer, f"{header}: {BOB}"))


def test_two_from_headers_are_no_author(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    offer = Offer(EVIL, client=FORGER, signer="evil.example")
    assert not is_lifted(running[0], received(offer, f"From: {BOB}"))
    assert not is_lifted(running[0], received(Offer(BOB), f"From: {EVIL}"))


def through_a_relay(envelope: str) -> bytes:
    """Of BOB, as it passed a server that is trusted and not internal, which names itself as ``envelope``."""
    return (
        f"Received: from relay.example ([{CLEAN}])\r\n\tby mx.corp.example with esmtp (Exim 4.96)\r\n"
        f"\t(envelope-from <{envelope}>)\r\n\tid 1abcde-000000-01; Fri, 27 Nov 2026 09:00:02 +0000\r\n"
        f"Received: from mx.client.example ([{FORGER}])\r\n\tby relay.example with esmtp (Exim 4.96)\r\n"
        f"\t(envelope-from <{BOB}>)\r\n\tid 1abcde-000000-00; Fri, 27 Nov 2026 09:00:01 +0000\r\n"
    ).encode() + Offer(BOB).message()


def test_the_spf_of_a_relay_proves_nobody_before_it(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    """SPF.pm asks about the relay's own envelope, and the lists about the one before it."""
    _, fired = running[0].verdict(DESK, through_a_relay("list@relay.example"))
    assert {"SPF_PASS", "SAFELIST_UNPROVEN"} <= fired
    assert "SAFELIST" not in fired


def test_nothing_but_the_dnsbl_is_lifted(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    """What else the mail is counts as before: the score is what it would be from an unlisted client."""
    bad = received(OFFERS["trusted pair"]).replace(
        b"Please find it below.", b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
    )
    score, fired = running[0].verdict(DESK, bad)
    assert {LIFTED, "GTUBE"} <= fired
    assert score > 900


def test_what_is_taken_back_is_what_was_added(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    lifted, _ = running[0].verdict(DESK, received(OFFERS["trusted pair"]))
    listed, _ = running[0].verdict(OTHER, received(OFFERS["trusted pair"]))
    assert listed - lifted == pytest.approx(SCORE, abs=0.11)


def test_spamassassin_itself_says_which_rules_ask_a_dnsbl_and_takes_the_files_without_a_complaint(
    running: tuple[Spamd, SpamAssassinSettings], tmp_path: Path
) -> None:
    asking = running[1].model_copy(update={"dnsbl_rules": None, "path": tmp_path / "safelist"})
    published(TARGET, asking, GIVEN)
    stock = spamassassin.rules(asking.path).read_text()
    assert "score SAFELIST_RCVD_IN_PBL 0 -3.558 0 -3.335\n" in stock
    assert f"score {LIFTED} -20 -20 -20 -20\n" in stock
    assert "RCVD_IN_DNSWL_HI" not in stock
    site = tmp_path / "site"
    shutil.copytree(running[0].site, site)
    (site / "safelist.cf").write_text(snippet(asking.path).partition("# /etc/default/spamd")[0])
    line = ["spamassassin", "--lint", "-C", str(STOCK), "--siteconfigpath", str(site)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, [row for row in done.stderr.splitlines() if "netset" not in row]) == (0, [])


def test_what_has_not_changed_is_not_touched(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    before = state(running[1].path.parent)
    assert not published(TARGET, running[1], GIVEN).changed
    assert state(running[1].path.parent) == before


def test_a_recipient_counts_from_the_next_mail_on_and_no_longer_when_gone(
    running: tuple[Spamd, SpamAssassinSettings],
) -> None:
    server, chosen = running
    message = received(Offer(BOB, (OTHER,)))
    published(TARGET, chosen, [*GIVEN, said(BOB, OTHER)])
    assert is_lifted(server, message, OTHER)
    published(TARGET, chosen, GIVEN)
    assert not is_lifted(server, message, OTHER)
    assert not (users(chosen.path) / "corp.example/other").exists()


def test_what_counts_for_everybody_counts_from_the_reload_on_and_a_recipient_may_block_it(
    running: tuple[Spamd, SpamAssassinSettings],
) -> None:
    server, chosen = running
    message = received(Offer(BOB, (OTHER,)))
    published(TARGET, chosen, [*GIVEN, said(BOB), said(BOB, OTHER, safe=False)])
    server.reload()
    assert not is_lifted(server, message, OTHER)
    assert is_lifted(server, message, "third@corp.example")
    published(TARGET, chosen, GIVEN)
    server.reload()
    assert not is_lifted(server, message, "third@corp.example")


def test_domains_and_their_exceptions(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    server, chosen = running
    given = [
        said("partner.example"), said("bob@partner.example", safe=False), said(".evil.example"),
    ]  # fmt: skip
    published(TARGET, chosen, given)
    server.reload()
    try:
        asked = {
            "x@partner.example": LISTED, BOB: LISTED, f"prvs=1234567890={BOB}": LISTED, EVIL: FORGER,
            "x@sub.partner.example": LISTED,
        }  # fmt: skip
        found = {each: is_lifted(server, received(Offer(each, client=client)), OTHER) for each, client in asked.items()}
        assert found == {
            "x@partner.example": True, BOB: False, f"prvs=1234567890={BOB}": False, EVIL: True,
            "x@sub.partner.example": False,
        }  # fmt: skip
    finally:
        published(TARGET, chosen, GIVEN)
        server.reload()


def test_spf_alone_can_be_demanded_and_nothing_at_all(running: tuple[Spamd, SpamAssassinSettings]) -> None:
    server, chosen = running
    given = [said(BOB, DESK, needs=Authentication.SPF), said(PLAIN, DESK, needs=Authentication.NONE)]
    published(TARGET, chosen, given)
    signed = Offer(BOB, client=FORGER, signer="partner.example")
    assert not is_lifted(server, received(signed))
    assert is_lifted(server, received(Offer(BOB)))
    assert is_lifted(server, received(Offer(PLAIN, client=FORGER)))
    published(TARGET, chosen, GIVEN)
