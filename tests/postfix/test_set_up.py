"""The documents' steps to a map, on a Postfix that knows nothing of safelist yet: no step refuses wanted mail."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist.junkrule import JunkRule
from tests.cli.command import Command, synced
from tests.docs.documents import PAGES
from tests.exchange import Mailbox
from tests.postfix.servers import CLEAN, LISTED, MAP, RECOMMENDED, ZONE, Postfix, missing, postfix, rbldnsd
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PAGE = PAGES["docs/filters/postfix.md"]
DNSBL = "dnsbl.safelist.example"
SAFE, STRANGER, OURS = "friend@example.org", "spam@aol.example", "reception@corp.example"
BEFORE = RECOMMENDED.replace(f"    check_sender_access {MAP},\n", "").replace(ZONE, DNSBL)


def blocks() -> list[str]:
    """What stands in the code blocks of the way to a map, in its order."""
    return [block.text for block in PAGE.blocks(heading="The way")]


@pytest.fixture
def site() -> Iterator[Postfix]:
    assert BEFORE != RECOMMENDED
    with rbldnsd(DNSBL) as nameserver, postfix(BEFORE, {"mx": {}}, nameserver) as running:
        yield running


@pytest.fixture
def safelist(tmp_path: Path) -> Iterator[Command]:
    """Two people trust the sender; nothing is published."""
    people = [Mailbox(f"desk{n}@corp.example", JunkRule(safe_senders=(SAFE,))) for n in range(2)]
    with synced(tmp_path, people) as command:
        yield command


def test_the_steps_in_their_order(site: Postfix, safelist: Command) -> None:
    section, commands, main = (block.replace("/var/lib/safelist-map/postfix", str(safelist.map)) for block in blocks())
    publish, look_up = commands.splitlines()
    refuses_only_the_listed(site)
    written = safelist.config.read_text().partition("[publish.postfix]")[0]
    safelist.config.write_text(written + section)
    assert "is not there: run `safelist publish`" in safelist("config", "check", MAIL_CONFIG=mail_config(site)).out
    assert publish.split()[0] == "safelist"
    done = safelist(*publish.split()[1:], "--json", MAIL_CONFIG=mail_config(site))
    assert (done.code, done.err) == (0, "")
    refuses_only_the_listed(site)
    assert shell(look_up, site) == "permit_auth_destination\n"
    kept = (site.configuration / "main.cf").read_text().partition("smtpd_recipient_restrictions")[0]
    (site.configuration / "main.cf").write_text(kept + main.replace(ZONE, DNSBL))
    refuses_only_the_listed(site)
    assert done.json[0]["use"] in shell("postconf -x smtpd_recipient_restrictions", site)
    shell("postfix reload", site)
    assert until(lambda: reply(site, LISTED, SAFE) == 250)
    refuses_only_the_listed(site)


def test_in_another_order_all_mail_is_deferred(site: Postfix, safelist: Command) -> None:
    """Why the order is what it is; and the proof that the test above can fail."""
    main = blocks()[-1].replace("/var/lib/safelist-map/postfix", str(safelist.map)).replace(ZONE, DNSBL)
    kept = (site.configuration / "main.cf").read_text().partition("smtpd_recipient_restrictions")[0]
    (site.configuration / "main.cf").write_text(kept + main)
    shell("postfix reload", site)
    assert until(lambda: reply(site, CLEAN, STRANGER) == 451)


def refuses_only_the_listed(site: Postfix) -> None:
    asked = [(CLEAN, STRANGER), (CLEAN, SAFE), (LISTED, STRANGER)]
    assert [reply(site, client, sender) for client, sender in asked] == [250, 250, 554]


def reply(site: Postfix, client: str, sender: str) -> int:
    return site.send("mx", client, sender, OURS)[0]


def mail_config(site: Postfix) -> str:
    return str(site.configuration)


def shell(line: str, site: Postfix) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": mail_config(site)}
    return subprocess.run(["sh", "-c", line], env=environment, capture_output=True, check=True, text=True).stdout
