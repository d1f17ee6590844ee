"""The documents' steps to Exim's lists, on an Exim that knows nothing of safelist yet: no step refuses wanted mail."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist.junkrule import JunkRule
from safelist.publisher import exim_acl
from safelist.publisher.targets import exim
from tests.cli.command import Command, synced
from tests.docs.documents import PAGES
from tests.exchange import Mailbox
from tests.exim.machine import HEAVY, SPLIT_MACROS, Machine, files_of, machine, missing
from tests.exim.site import chosen
from tests.exim.test_exact import PLAIN
from tests.mail.world import ALL, CLEAN, DESK, DNSBL, EVIL, FORGER, LISTED, OTHER, Offer

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PAGE = PAGES["docs/filters/exim.md"]
PATH = "/var/lib/safelist-exim"
BEFORE = {
    "/etc/exim4/exim4.conf.localmacros": "CHECK_RCPT_LOCAL_ACL_FILE = /etc/exim4/site_rcpt\n",
    "/etc/exim4/site_rcpt": f"deny\n  dnslists = {DNSBL}\n",
}


def blocks(heading: str) -> list[str]:
    """What stands in the code blocks below a heading, in their order."""
    return [block.text for block in PAGE.blocks(heading=heading)]


@pytest.fixture
def site() -> Iterator[Machine]:
    with machine(HEAVY) as made:
        made.configure(BEFORE)
        with made.daemon():
            yield made


@pytest.fixture
def safelist(tmp_path: Path) -> Iterator[Command]:
    """Two people trust the sender; nothing is published."""
    people = [Mailbox(each, JunkRule(safe_senders=(ALL,))) for each in (DESK, OTHER)]
    with synced(tmp_path, people) as command:
        yield command


def test_the_steps_in_their_order(site: Machine, safelist: Command) -> None:
    section, first, macro, last = (text.replace(PATH, str(site.lists / "made")) for text in blocks("The way"))
    refuses_only_the_listed(site)
    write_section(safelist, section)
    install, publish, write = first.splitlines()
    assert site.run(*shlex.split(install)).returncode == 0
    printed = published(safelist, publish)
    refuses_only_the_listed(site)
    assert macro in printed["/etc/exim4/exim4.conf.localmacros"]
    assert cut_out(safelist, write) == printed["/etc/exim4/safelist_rcpt"].strip()
    site.write(printed)  # the macro also where the split configuration does not read it
    site.write({SPLIT_MACROS: (site.root / SPLIT_MACROS[1:]).read_text().partition("CHECK_RCPT")[0] + macro})
    refuses_only_the_listed(site)
    update, reload, check = last.splitlines()
    assert site.run(*update.split()).returncode == 0
    refuses_only_the_listed(site)
    assert reload == "systemctl reload exim4"
    site.reload()
    refuses_only_the_listed(site)
    assert reply(site, LISTED, ALL) == 250
    done = checked(site, safelist, check)
    assert done.returncode == 0, done
    assert "no faults" in done.stdout
    assert done.stdout.startswith("# /etc/exim4/exim4.conf.localmacros")


def test_by_dkim_too(site: Machine, safelist: Command) -> None:
    section, macros = (text.replace(PATH, str(site.lists)) for text in blocks("By DKIM, too"))
    write_section(safelist, section)
    printed = published(safelist, "safelist publish")
    assert macros in printed["/etc/exim4/exim4.conf.localmacros"]
    site.configure(printed)
    site.reload()
    refuses_only_the_listed(site)
    signed = site.send(Offer(ALL, client=FORGER, signer="partner.example"))
    assert signed[DESK][0] == 250
    assert site.send(Offer(ALL, client=FORGER))[DESK][0] == 550


def test_the_exim_conf_is_the_one_that_the_tests_run() -> None:
    (block,) = blocks("An exim.conf of your own")
    assert block == PLAIN


def test_the_macros_are_those_that_are_printed() -> None:
    for heading, dkim in (("The way", False), ("By DKIM, too", True)):
        files = exim_acl.files(exim.lists(chosen(Path("/x"), dkim=dkim)))
        assert files["exim4.conf.localmacros"] in blocks(heading)


def write_section(safelist: Command, section: str) -> None:
    written = safelist.config.read_text().partition("[publish.postfix]")[0]
    safelist.config.write_text(written + section + f'dnslists = "{DNSBL}"\n')


def published(safelist: Command, line: str) -> dict[str, str]:
    """What the administrator makes of what publishing prints."""
    assert line.split()[0] == "safelist"
    done = safelist(*line.split()[1:], "--json")
    assert (done.code, done.err) == (0, "")
    return files_of(done.json[0]["use"])


def cut_out(safelist: Command, line: str) -> str:
    """What the line writes of what the check prints, up to the next file."""
    check, _, cut = line.partition(" | ")
    cut, _, file = cut.partition(" > ")
    assert file == "/etc/exim4/safelist_rcpt"
    out = safelist(*check.split()[1:]).out
    done = subprocess.run(shlex.split(cut), input=out, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def checked(site: Machine, safelist: Command, line: str) -> "subprocess.CompletedProcess[str]":
    program = ("env", f"PYTHONPATH={Path(__file__).parents[2]}", sys.executable, "-m")
    return site.run(*program, *line.split(), "--config", str(safelist.config))


def refuses_only_the_listed(site: Machine) -> None:
    asked = [(CLEAN, EVIL), (CLEAN, ALL), (LISTED, EVIL)]
    assert [reply(site, client, sender) for client, sender in asked] == [250, 250, 550]


def reply(site: Machine, client: str, sender: str) -> int:
    return site.send(Offer(sender, client=client))[DESK][0]
