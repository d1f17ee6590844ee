"""What a real amavisd makes of the rows: a DNSBL's points that are taken off or not, mail by mail."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from safelist import sender
from safelist.override import Authentication, Effect, Terms
from safelist.policy import Settings
from safelist.publisher import wblist_rows
from safelist.publisher.publish import publish
from safelist.publisher.target import Published
from safelist.publisher.targets import amavis
from safelist.publisher.targets.amavis import AmavisSettings
from safelist.sender import Form
from safelist.store import Store
from tests.amavis import lookups, schema, servers
from tests.amavis.conftest import trust
from tests.amavis.servers import DSN, RECOMMENDED, Amavisd
from tests.filter.dns_server import nameserver
from tests.mail import hostile, world
from tests.mail.world import ALL, BOB, DESK, OFFERS, OTHER, PLAIN, THIRD, Offer
from tests.postfix.servers import mailboxes
from tests.publisher.site import NOW

LIFTED, REJECTED, LATER = 250, 554, 421


@pytest.fixture
def asked(running: tuple[Amavisd, str]) -> Amavisd:
    """It asks tables in which nothing is."""
    amavisd, url = running
    schema.run(url, [f"DELETE FROM {name}" for name in ("wblist", "mailaddr", "users")])
    return amavisd


@pytest.fixture
def chosen(running: tuple[Amavisd, str], tmp_path: Path) -> AmavisSettings:
    return settings(running[1], tmp_path, unauthenticated=True)


def settings(url: str, directory: Path, **more: Any) -> AmavisSettings:
    return AmavisSettings.model_validate({"url": url, "lock": directory / "lock", **more})


def published(opened: Store, chosen: AmavisSettings, quorum: int = 2, **options: bool) -> Published:
    return publish(opened, Settings(quorum=quorum), amavis.TARGET, chosen, lambda: NOW, **options)


def fill(opened: Store) -> None:
    """Bob and Carol are safe for the desk, and one is for everybody."""
    trust(opened, DESK, BOB, PLAIN)
    for mailbox in (THIRD, "fourth@corp.example"):
        trust(opened, mailbox, ALL)


UNPROVEN: Mapping[str, Sequence[int]] = {
    "trusted pair": [LIFTED], "other recipient": [REJECTED], "everybody": [LIFTED], "spf fails": [LIFTED],
    "dkim only": [LIFTED], "dkim without dmarc": [LIFTED], "two recipients": [LIFTED, REJECTED],
    "forged envelope, own dmarc": [LIFTED], "forged header": [LIFTED], "forged header, signed by another": [LIFTED],
    "nobody's": [REJECTED],
}  # fmt: skip
"""For each recipient of the case: without authentication whoever names Bob is Bob, in the envelope or in From."""


@pytest.mark.parametrize("whitelist", [False, True])
def test_each_case_is_lifted_or_not(asked: Amavisd, opened: Store, chosen: AmavisSettings, whitelist: bool) -> None:
    fill(opened)
    done = published(opened, chosen.model_copy(update={"whitelist": whitelist}))
    assert (done.new, done.refused) == (5, ())
    assert {name: list(asked.offer(offer).values()) for name, offer in OFFERS.items()} == UNPROVEN


def test_whose_mail_must_prove_itself_is_left_out_unless_the_site_says_otherwise(
    asked: Amavisd, opened: Store, chosen: AmavisSettings
) -> None:
    fill(opened)
    allowed = Terms(Effect.ALLOW, sender.parse(BOB), "x", sender.parse(OTHER), authentication=Authentication.NONE)
    opened.make_overrides([allowed], NOW, "root")
    done = published(opened, chosen.model_copy(update={"unauthenticated": False}))
    assert done.added == (f"{OTHER} {BOB} -5",)
    assert {each.pattern.text for each in done.refused} == {BOB, PLAIN, ALL}
    assert all("needs authentication" in each.why for each in done.refused)
    assert asked.offer(Offer(BOB, (DESK, OTHER))) == {DESK: REJECTED, OTHER: LIFTED}


def test_what_nothing_lists_is_let_through_and_before_the_first_publication_nothing_is_lifted(
    asked: Amavisd, opened: Store, chosen: AmavisSettings
) -> None:
    assert list(asked.offer(OFFERS["trusted pair"]).values()) == [REJECTED]
    assert list(asked.offer(Offer(world.EVIL, client=world.CLEAN)).values()) == [LIFTED]
    fill(opened)
    assert published(opened, chosen, dry_run=True).changed
    assert list(asked.offer(OFFERS["trusted pair"]).values()) == [REJECTED]
    published(opened, chosen)
    assert list(asked.offer(OFFERS["trusted pair"]).values()) == [LIFTED]


@pytest.mark.skipif(bool(servers.missing()), reason=servers.missing())
def test_an_sqlite_database_is_asked_and_without_one_all_mail_waits(opened: Store, tmp_path: Path) -> None:
    """amavisd's user has to reach the file."""
    directory = Path(tempfile.mkdtemp(prefix="safelist-amavis-"))
    directory.chmod(0o755)
    (directory / "amavis.db").touch()
    url = f"sqlite:///{directory}/amavis.db"
    schema.run(url, schema.statements("sqlite"))
    fill(opened)
    published(opened, settings(url, tmp_path, unauthenticated=True))
    lines = RECOMMENDED.replace(DSN, f"DBI:SQLite:dbname={directory}/amavis.db").replace("address = 1", "address = 0")
    with (
        nameserver(world.zone()) as names,
        mailboxes() as boxes,
        servers.amavisd(lines, names.address, boxes.port) as it,
    ):
        assert it.offer(OFFERS["two recipients"]) == {DESK: LIFTED, OTHER: REJECTED}
        shutil.rmtree(directory)
        assert it.offer(Offer(BOB, client=world.CLEAN)) == {DESK: LATER}


def test_an_exception_counts_before_what_is_wider_and_is_no_blacklisting(
    asked: Amavisd, opened: Store, chosen: AmavisSettings
) -> None:
    """Also from a listed client it is only rejected for the DNSBL's points; a clean one's mail is delivered."""
    allow, block = (Terms(effect, sender.parse("x.example"), "x") for effect in (Effect.ALLOW, Effect.BLOCK))
    opened.make_overrides(
        [
            allow._replace(pattern=sender.parse(".partner.example")),
            block._replace(pattern=sender.parse("s.partner.example")),
            block._replace(pattern=sender.parse("t.partner.example"), scope=sender.parse(DESK)),
        ],
        NOW, "root",
    )  # fmt: skip
    published(opened, chosen)

    def code(who: str, client: str = world.LISTED) -> list[int]:
        return list(asked.offer(Offer(who, (DESK, OTHER), client)).values())

    assert code("a@partner.example") == code("a@deep.u.partner.example") == [LIFTED, LIFTED]
    assert code("a@s.partner.example") == [REJECTED, REJECTED]
    assert code("a@t.partner.example") == [REJECTED, LIFTED]
    assert code("a@s.partner.example", world.CLEAN) == [LIFTED, LIFTED]
    assert code("a@evilpartner.example") == code("a@partner.example.evil.example") == [REJECTED, REJECTED]


def given(texts: Sequence[str]) -> dict[str, str]:
    """What a target is given of these texts, and how each stands in an envelope."""
    found = [each for each in map(sender.parse, texts) if each.form is not Form.REFUSED]
    return {each.text: sender.unquoted(each) if each.form is Form.ADDRESS else each.text for each in found}


def without_from(text: str, recipient: str = DESK) -> Offer:
    return Offer(text, (recipient,), header_from="nobody@else.example")


def test_the_hostile_corpus_matches_what_it_says_or_is_left_out(
    asked: Amavisd, opened: Store, chosen: AmavisSettings, running: tuple[Amavisd, str]
) -> None:
    texts = given([*hostile.ADDRESSES, *hostile.BROKEN])
    trust(opened, DESK, *hostile.ADDRESSES, *hostile.BROKEN)
    for mailbox in (THIRD, "fourth@corp.example"):
        trust(opened, mailbox, *hostile.ADDRESSES)
    left_out = {each.pattern.text for each in published(opened, chosen).refused}
    assert {text for text in texts if wblist_rows.why_not(text)} == left_out
    written = {text: raw for text, raw in texts.items() if text not in left_out}
    assert len(written) > 40
    for recipient in (DESK, OTHER):
        assert lookups.safe(running[1], recipient, list(texts.values())) >= {texts[text] for text in written} - {
            texts[text] for text in given(hostile.BROKEN) if recipient == OTHER
        }
    codes = {text: asked.offer(without_from(text))[DESK] for text in written}
    assert {text for text, code in codes.items() if code != LIFTED} == set()
    for text in (
        *hostile.BYSTANDERS,
        "\x01@hostile.example",
        "\u00e9\u00e9@hostile.example".encode().decode("latin-1"),
    ):
        if text.isascii():
            assert asked.offer(without_from(text))[DESK] == REJECTED, text
        assert lookups.safe(running[1], DESK, [text]) == set(), text


def test_hostile_domains_and_recipients_match_what_they_say_or_are_left_out(
    asked: Amavisd, opened: Store, chosen: AmavisSettings
) -> None:
    domains = given(hostile.DOMAINS)
    allow = Terms(Effect.ALLOW, sender.parse("x.example"), "x")
    opened.make_overrides([allow._replace(pattern=sender.parse(each)) for each in domains], NOW, "root")
    recipients = given(hostile.RECIPIENTS)
    for each in recipients:
        trust(opened, each, BOB)
    left_out = {each.pattern.text for each in published(opened, chosen, quorum=99).refused}
    assert left_out == {each for each in recipients if not each.isascii()}
    for text in domains:
        assert asked.offer(without_from(f"any@{text.removeprefix('.')}", OTHER))[OTHER] == LIFTED, text
    assert asked.offer(without_from("any@sub.hostile-domain.example", OTHER))[OTHER] == LIFTED
    assert asked.offer(without_from("any@sub.xn--bcher-kva.example", OTHER))[OTHER] == REJECTED
    for text in hostile.BYSTANDERS:
        assert asked.offer(without_from(text, OTHER))[OTHER] == REJECTED, text
    for text in set(recipients) - left_out:
        assert asked.offer(without_from(BOB, text))[text] == LIFTED, text
    for text in ("a@corp.example", "e@corp.example", "d@corp.example", "front@corp.example"):
        assert asked.offer(without_from(BOB, text))[text] == REJECTED, text
