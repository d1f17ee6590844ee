"""The documents' way to the filter, line by line, on a real Postfix: before, observing, restarting, enforcing.

At no step is a listed stranger accepted, nor a mail refused that was accepted before.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command
from tests.docs.documents import PAGES
from tests.filter.dns_server import nameserver, servfail
from tests.filter.site import (
    BOB,
    DESK,
    DNSBL,
    FORGER,
    LISTEN,
    NEWS,
    STRANGER,
    ZONE,
    Filter,
    Forwarding,
    offer,
    published,
    running,
    session,
)
from tests.filter.test_end_to_end import ACCEPTED, UNPROVEN, listed, refused
from tests.postfix.servers import CLEAN, LISTED, Postfix, _free_port, mailboxes, missing, postfix, rbldnsd
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

OBSERVING, ENFORCING = (block.text for block in PAGES["docs/filters/dnsbl-filter.md"].blocks("cf"))
MAILS = [(CLEAN, STRANGER), (LISTED, NEWS), (LISTED, STRANGER), (LISTED, BOB), (FORGER, NEWS)]
"""The second is safe for everybody (so it is in the map), the fourth for one user; the last forges the second."""


def by_postfix(client: str) -> str:
    words = f"Service unavailable; Client host [{client}] blocked using {DNSBL}; listed for a test"
    return f"554 5.7.1 {words}"


STRANGER_REFUSED = refused(DESK, listed(LISTED))
AS_BEFORE = [ACCEPTED, ACCEPTED, by_postfix(LISTED), by_postfix(LISTED), ACCEPTED]
BOTH = [ACCEPTED, ACCEPTED, STRANGER_REFUSED, by_postfix(LISTED), refused(DESK, UNPROVEN)]
ENFORCED = [ACCEPTED, ACCEPTED, STRANGER_REFUSED, ACCEPTED, refused(DESK, UNPROVEN)]


@dataclass
class Way:
    """The machine on which the administrator works."""

    directory: Path
    safelist: Command
    dns: tuple[str, int]
    server: Postfix
    port: int
    filter: ExitStack = field(default_factory=ExitStack)
    step: int = 0
    started: Filter | None = None

    def configure_and_start(self, mode: str) -> None:
        """What `systemctl restart` does, but for the stop."""
        snapshot, listen = self.directory / "snapshot", [f"inet:127.0.0.1:{self.port}"]
        one = running(self.directory, "filter", snapshot, self.dns, mode=mode, listen=listen)
        self.started = self.filter.enter_context(one)
        assert until(lambda: any("listening on" in line for line in self.started.lines()))  # type: ignore[union-attr]

    def verdicts(self) -> list[dict[str, Any]]:
        """What the filter has said since it was started."""
        return self.started.verdicts() if self.started else []

    def write(self, lines: str) -> None:
        """Put these lines into main.cf, then `postfix reload`; the host's name tells when they count.

        No parameter stands twice: each program warns of that, and what logs through postlogd's short queue while that
        starts anew waits for it, master included, which would have to start it.
        """
        self.step += 1
        lines = re.sub(r"(check_sender_access )\S+:\S+?(,)", rf"\1texthash:{self.safelist.map}\2", lines)
        lines = lines.replace("zen.spamhaus.org", DNSBL).replace(LISTEN, f"inet:127.0.0.1:{self.port}")
        path = self.server.configuration / "main.cf"
        kept = path.read_text().partition("# The administrator's\n")[0]
        kept = re.sub("^(myhostname|smtpd_recipient_restrictions) = .*\n", "", kept, flags=re.MULTILINE)
        path.write_text(f"{kept}# The administrator's\nmyhostname = step{self.step}.corp.example\n{lines}")
        command = ["postfix", "-c", str(self.server.configuration), "reload"]
        subprocess.run(command, check=True, capture_output=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def replies(self) -> list[str]:
        """To RCPT TO of each of MAILS, of an smtpd that has read what main.cf says now."""
        return [self._reply(*mail) for mail in MAILS]

    def _reply(self, client: str, sender: str) -> str:
        replies: list[str] = []

        def ask() -> bool:
            with session(self.server, "mx", client) as smtp:
                if (smtp.ehlo_resp or b"").startswith(f"step{self.step}.".encode()):
                    replies.extend(offer(smtp, sender, [DESK], "x").recipients)
            return bool(replies)

        assert until(ask), self.server.log.read_text()
        return replies[0]

    def check(self) -> list[str]:
        """The faults that `safelist filter check` finds."""
        configuration = str(self.directory / "filter.toml")
        directory = str(self.server.configuration)
        done = self.safelist("filter", "check", "--config", configuration, "--json", MAIL_CONFIG=directory)
        faults = [row["text"] for row in done.json if row["fault"]]
        assert done.code == (78 if faults else 0), done
        return faults


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    """A Postfix with the map and the DNSBL, and what the collector publishes for both."""
    with ExitStack() as stack:
        dnsbl = stack.enter_context(rbldnsd(DNSBL, [LISTED, FORGER]))
        dns = stack.enter_context(nameserver(ZONE, Forwarding(dnsbl, {"flaky.example": servfail})))
        safelist = stack.enter_context(published(tmp_path))
        inboxes = stack.enter_context(mailboxes())
        mail = f"transport_maps = inline:{{ {{ corp.example = lmtp:inet:127.0.0.1:{inboxes.port} }} }}\n"
        mail += "lmtp_connection_cache_on_demand = no\nsmtpd_recipient_restrictions = reject\n"
        patient = {"smtpd_soft_error_limit": "10000", "smtpd_hard_error_limit": "20000"}
        server = stack.enter_context(postfix(mail, {"mx": patient}, dnsbl))
        found = Way(tmp_path, safelist, dns.address, server, _free_port())
        with found.filter:
            yield found


def test_the_map_is_named_as_its_own_page_names_it() -> None:
    """A type that is not the one it was published in would answer all mail with 451."""
    (of_the_map,) = PAGES["docs/filters/postfix.md"].blocks("cf")
    line = next(line.strip() for line in OBSERVING.splitlines() if "check_sender_access" in line)
    assert line in of_the_map.text


def test_nobody_is_refused_or_let_in_on_the_way_to_the_filter(way: Way) -> None:
    before = re.sub(r" +check_policy_service.*\n", "", OBSERVING)
    assert before.count("\n") == OBSERVING.count("\n") - 1
    way.write(before)
    assert way.replies() == AS_BEFORE

    way.configure_and_start("observe")
    (fault,) = way.check()
    assert "the filter is asked nowhere" in fault

    way.write(OBSERVING)
    assert way.replies() == AS_BEFORE
    reasons = ["not-listed", "lifted", "listed", "lifted", "not-authenticated"]
    assert until(lambda: len(way.verdicts()) == len(reasons))
    assert [(verdict["mode"], verdict["reason"]) for verdict in way.verdicts()] == [("observe", r) for r in reasons]
    assert way.check() == []

    way.filter.close()  # the first half of the restart
    assert way.replies() == AS_BEFORE
    way.configure_and_start("enforce")
    assert way.replies() == BOTH
    (fault,) = way.check()
    assert f"reject_rbl_client {DNSBL} in smtpd_recipient_restrictions rejects whatever the filter says: take" in fault

    way.write(ENFORCING)
    assert way.replies() == ENFORCED
    assert way.check() == []


def test_the_other_order_is_told_before_and_would_let_strangers_in(way: Way) -> None:
    """The proof that the test above can fail, and what the check says to whoever has hurried."""
    way.configure_and_start("observe")
    way.write(ENFORCING)
    assert way.replies() == [ACCEPTED] * len(MAILS)
    (fault,) = way.check()
    assert f"write reject_rbl_client {DNSBL} behind check_policy_service" in fault
