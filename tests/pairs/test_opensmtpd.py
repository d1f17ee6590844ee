"""Tables for OpenSMTPD, by a real one: who passes the filter behind it, and what `safelist check` finds."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from safelist import sender
from safelist.override import Authentication
from safelist.policy import Candidate, Settings
from safelist.publisher.publish import publish
from safelist.publisher.target import Published
from safelist.publisher.targets import configured, pairs
from safelist.sender import Form
from tests.mail import hostile, world
from tests.pairs import smtpd
from tests.pairs.smtpd import OpenSmtpd
from tests.publisher.site import NOW, Given, voted

pytestmark = pytest.mark.skipif(bool(smtpd.missing()), reason=smtpd.missing())


def write(table: Path, senders: Sequence[str], **keys: Any) -> Published:
    """Publish a table of those, whom two mailboxes trust and who need prove nothing."""
    chosen = pairs.PairsSettings.model_validate({"path": table, "format": "opensmtpd", **keys})
    policy = Settings(authentication=keys.pop("needs", Authentication.NONE), include_domains=True)
    given: list[Candidate] = [voted(sender.parse(each), 2) for each in senders]
    return publish(Given(given), policy, configured("pairs", chosen), chosen, lambda: NOW, allow_shrink=True)


def update(server: OpenSmtpd) -> None:
    """As ``on_change`` does."""
    line = ["nsenter", "-m", "-t", str(server.process.pid), str(server.programs / "smtpctl"), "update", "table"]
    done = subprocess.run([*line, "safelist"], capture_output=True, check=False)
    assert done.returncode == 0, server.log


@pytest.fixture(scope="module")
def server() -> Iterator[OpenSmtpd]:
    with smtpd.laid_out() as directory:
        port = smtpd.free_port()
        write(directory / "table", [])
        (directory / "smtpd.conf").write_text(smtpd.configured(directory, directory / "table", port))
        with smtpd.running(directory, port) as running:
            yield running


def test_who_is_in_the_table_passes_the_filter_behind_it(server: OpenSmtpd) -> None:
    """With the page's lines; an empty table is one."""
    assert not server.lifts(world.ALL)
    done = write(server.directory / "table", [world.ALL, "partner.example.org", ".wide.example"])
    assert [(each.pattern.text, each.why) for each in done.refused] == [
        (".wide.example", "a file of this form can name no domain with its sub-domains")
    ]
    assert not server.lifts(world.ALL), "it reads a new file when somebody says so"
    update(server)
    asked = [
        world.ALL,
        world.BOB,
        "any@partner.example.org",
        "x@sub.partner.example.org",
        "x@wide.example",
        "",
    ]
    assert [server.lifts(each) for each in asked] == [True, False, True, False, False, False]
    assert server.reply("safelist@!")[0] == 553, "what an empty table holds is no sender"


LIFTED = {name: offer.sender == world.ALL for name, offer in world.OFFERS.items()}
"""It asks for no authentication, and knows no recipients: only who is safe for everybody, whoever says so."""


@pytest.mark.parametrize("name", world.OFFERS)
def test_every_offer(server: OpenSmtpd, name: str) -> None:
    write(server.directory / "table", [world.ALL])
    update(server)
    assert server.lifts(world.OFFERS[name].sender) is LIFTED[name]


def test_hostile_senders_are_matched_or_reported_and_nobody_else(server: OpenSmtpd) -> None:
    meant = {each for text in (*hostile.ADDRESSES, *hostile.DOMAINS) if (each := sender.parse(text)).form}
    done = write(server.directory / "table", [each.text for each in meant])
    update(server)
    left_out = {each.pattern for each in done.refused}
    matched = 0
    for each in meant - left_out:
        text = each.text if each.form is Form.ADDRESS else f"probe@{each.text}"
        assert server.lifts(text), each
        matched += 1
    assert matched > 30
    covered = {each.text for each in meant}
    for text in hostile.BYSTANDERS:
        if not covered.intersection(sender.covering(sender.parse(text))):
            assert not server.lifts(text), text


def test_it_takes_an_extension_for_the_address(server: OpenSmtpd) -> None:
    """As the page says; so an address whose extensions may not be safe is left out."""
    write(server.directory / "table", ["bob@partner.example", "ann+x@partner.example"])
    update(server)
    asked = ["bob+news@partner.example", "bob-news@partner.example", "ann@partner.example", "ann+y@partner.example"]
    assert [server.lifts(each) for each in asked] == [True, False, False, False]


@pytest.mark.parametrize(
    ("phase", "rejects", "is_lifted"),
    [
        ("rcpt-to", "rcpt-to", True),
        ("data", "data", True),
        ("mail-from", "rcpt-to", False),
        ("mail-from", "data", False),
    ],
)
def test_it_lifts_in_its_own_phase_alone(phase: str, rejects: str, is_lifted: bool) -> None:
    with smtpd.laid_out() as directory:
        port = smtpd.free_port()
        write(directory / "table", [world.ALL])
        text = smtpd.configured(directory, directory / "table", port, phase, rejects)
        (directory / "smtpd.conf").write_text(text)
        with smtpd.running(directory, port) as running:
            assert (running.lifts(world.ALL), running.lifts(world.BOB)) == (is_lifted, False)


def test_it_does_not_start_without_the_table() -> None:
    with smtpd.laid_out() as directory:
        configuration = directory / "smtpd.conf"
        configuration.write_text(smtpd.configured(directory, directory / "table", 25))
        line = [str(directory / "bin/smtpd"), "-n", "-f", str(configuration)]
        done = subprocess.run(line, capture_output=True, check=False, text=True)
        assert done.returncode == 1
        assert re.search("invalid configuration file .*table for table safelist", done.stderr)
        write(directory / "table", [])
        assert subprocess.run(line, capture_output=True, check=False).returncode == 0
