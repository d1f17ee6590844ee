"""The steps of the page about rspamd, on one that knows nothing of safelist yet."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist.junkrule import JunkRule
from tests.cli.command import Command, synced
from tests.docs.documents import PAGES
from tests.exchange import Mailbox
from tests.mail.world import ALL, BOB, DESK, OFFERS, OTHER, Offer
from tests.rspamd import redis_server, servers
from tests.rspamd.servers import DNSBL, Installation

pytestmark = [
    pytest.mark.skipif(bool(servers.missing()), reason=servers.missing()),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may install the maps' directory: sudo make test"),
]

PAGE = PAGES["docs/filters/rspamd.md"]
RESTART = "systemctl restart rspamd\n"


@pytest.fixture
def site() -> Iterator[Installation]:
    with servers.installed() as found:
        yield found


@pytest.fixture
def safelist(tmp_path: Path) -> Iterator[Command]:
    """Two people trust the one, one of them the other; nothing is published."""
    people = [Mailbox(DESK, JunkRule(safe_senders=(ALL, BOB))), Mailbox(OTHER, JunkRule(safe_senders=(ALL,)))]
    with synced(tmp_path, people) as command:
        yield command


def shell(text: str, site: Installation, safelist: Command) -> str:
    """Run lines of the page, with the system's places replaced by those of the test; what they print."""
    for place, other in (("/var/lib/safelist-rspamd", maps(site)), ("/etc/rspamd", str(site.configuration))):
        text = text.replace(place, other)
    program = f'safelist() {{ "{sys.executable}" -m safelist "$@"; }}\n'
    done = subprocess.run(
        ["sh", "-c", program + text], env=safelist.environment, capture_output=True, check=False, text=True
    )
    return done.stdout + done.stderr


def maps(site: Installation) -> str:
    return f"{site.root}/maps"


def test_the_steps_in_their_order(site: Installation, safelist: Command) -> None:
    """No step refuses or lets in anybody whom rspamd did not before, but for the last."""
    directory, section, rule, check = (block.text for block in PAGE.blocks(heading="The way"))
    assert shell(directory, site, safelist) == ""
    section = section.replace("/var/lib/safelist-rspamd", maps(site)) + f'url = "{site.normal}"\n'
    safelist.config.write_text(safelist.config.read_text().partition("[publish.postfix]")[0] + section)
    assert rule.endswith(RESTART)
    with site.running() as before:
        said = shell(rule.removesuffix(RESTART), site, safelist)
        assert "has not loaded safelist's rule" in said
        assert not before.answer(OFFERS["trusted pair"]).is_lifted
    with site.running() as after:
        assert shell(check, site, safelist).endswith("no faults\n")
        lifted = {
            name for name in ("trusted pair", "other recipient", "everybody") if after.answer(OFFERS[name]).is_lifted
        }
        assert lifted == {"trusted pair", "everybody"}
    once = (site.configuration / "rspamd.local.lua").read_text()
    shell(rule.removesuffix(RESTART), site, safelist)
    assert (site.configuration / "rspamd.local.lua").read_text() == once, "a rule is put in its own place"


@pytest.mark.skipif(bool(redis_server.missing()), reason=redis_server.missing())
def test_the_steps_where_several_share_a_redis(site: Installation, safelist: Command) -> None:
    """Two rspamd, of which the second has no more than the same files, on the machine where nothing is published."""
    section, servers_, rule, check = (block.text for block in PAGE.blocks(heading="Where several rspamd share a Redis"))
    with redis_server.redis_server() as redis:

        def here(text: str) -> str:
            return text.replace("127.0.0.1:6379", f"127.0.0.1:{redis.port}").replace(
                "/var/lib/safelist", f"{site.root}"
            )

        lines = here(section) + f'url = "{site.normal}"\n'
        safelist.config.write_text(safelist.config.read_text().partition("[publish.postfix]")[0] + lines)
        (site.configuration / "local.d/redis.conf").write_text(here(servers_))
        assert "has not been" not in shell(here(rule.removesuffix(RESTART)), site, safelist)
        with site.running() as one:
            assert shell(check, site, safelist).endswith("no faults\n")
            assert one.answer(OFFERS["trusted pair"]).is_lifted
        with servers.installed((site.configuration / "rspamd.local.lua").read_text()) as second:
            (second.configuration / "local.d/redis.conf").write_text(here(servers_))
            with second.running() as other:
                names = ("trusted pair", "other recipient", "everybody")
                assert [other.answer(OFFERS[name]).is_lifted for name in names] == [True, False, True]


def test_a_rule_that_rejects_by_itself_asks_for_the_safelist(site: Installation, safelist: Command) -> None:
    """The page's words; and without the part about the safelist nobody would be let through."""
    (block,) = PAGE.blocks("ucl", heading="Where you reject by force_actions")
    text = block.text.replace("RBL_SPAMHAUS_SBL", DNSBL)
    directory, section, rule, _ = (each.text for each in PAGE.blocks(heading="The way"))
    shell(directory, site, safelist)
    section = section.replace("/var/lib/safelist-rspamd", maps(site)) + f'url = "{site.normal}"\n'
    safelist.config.write_text(safelist.config.read_text().partition("[publish.postfix]")[0] + section)
    shell(rule.removesuffix(RESTART), site, safelist)
    weights = site.configuration / "local.d/rbl_group.conf"
    weights.write_text(f'symbols = {{ "{DNSBL}" {{ weight = 1.0; }} }}')
    for rules, expected in (
        (text, {DESK: False, OTHER: True}),
        (text.replace(" & !SAFELIST", ""), {DESK: True, OTHER: True}),
    ):
        (site.configuration / "local.d/force_actions.conf").write_text(rules)
        with site.running() as running:
            actions = {to: running.answer(Offer(BOB, (to,))).action for to in expected}
        assert {to: action == "reject" for to, action in actions.items()} == expected
