"""The README's ten minutes, line by line in their order, on an Exchange and a Postfix that know nothing of safelist.

What makes a virtual environment, and what tells systemd of the units, is run by tests/systemd on a whole machine; here
these lines are only read.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist.cli.commands import COMMANDS
from safelist.demo.organisation import DistributionGroup, DlMember
from safelist.junkrule import JunkRule
from tests.cli.command import Command, Done
from tests.docs.command_lines import program_of
from tests.docs.documents import PAGES, Block
from tests.exchange import DemoServer, Mailbox, Organisation, ServiceAccount
from tests.postfix.servers import CLEAN, LISTED, RECOMMENDED, ZONE, Postfix, missing, postfix, rbldnsd
from tests.waiting import until

README = PAGES["README.md"]
BLOCKS = README.blocks(heading="In ten minutes")
FRIEND, STRANGER, OURS = "friend@example.org", "spam@stranger.example", "reception@corp.example"
PEOPLE = [f"{name}@example.com" for name in ("you", "reception")]
DNSBL, PROGRAM = "dnsbl.safelist.example", "/opt/safelist/bin/safelist"
ELSEWHERE = ("/usr/bin/python3", "pip", "ln", "systemctl", "systemd-sysusers", "systemd-tmpfiles")
"""Programs whose lines other tests run."""


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Exchange with the account and the group of the example; two people trust the sender."""
    everybody = DistributionGroup("all@example.com", tuple(DlMember(address) for address in PEOPLE))
    mailboxes = [Mailbox(address, JunkRule(safe_senders=(FRIEND,))) for address in PEOPLE]
    organisation = Organisation.of(mailboxes, [everybody])
    organisation.account = ServiceAccount("svc-safelist@example.com", domain="EXAMPLE")
    with DemoServer(organisation) as running:
        yield running


@pytest.fixture
def site() -> Iterator[Postfix]:
    """Postfix as it is before: it rejects by the DNSBL, and names no map."""
    before = "".join(line for line in RECOMMENDED.splitlines(True) if "check_sender_access" not in line)
    with rbldnsd(DNSBL) as nameserver, postfix(before.replace(ZONE, DNSBL), {"mx": {}}, nameserver) as running:
        yield running


class Administrator:
    """Types what the README says; only the places of the files are the test's own."""

    def __init__(self, directory: Path, server: DemoServer, site: Postfix) -> None:
        self.safelist, self.server, self.site = Command(directory), server, site
        (self.map,) = re.findall(r'^path = "(.+)"$', self.toml, re.MULTILINE)
        self.said: dict[str, Done] = {}

    toml = next(block.text for block in BLOCKS if block.language == "toml")

    def carry_out(self, block: Block) -> None:
        """What a block says."""
        if block.language == "toml":
            self.fill_in()
        elif block.language == "cf":
            path = self.site.configuration / "main.cf"
            kept = path.read_text().partition("smtpd_recipient_restrictions")[0]
            path.write_text(kept + self.here(block.text).replace(ZONE, DNSBL))
        else:
            for line in block.text.splitlines():
                self.type(line)

    def here(self, text: str) -> str:
        """The same with the test's own files and servers."""
        for there, here in {
            self.map: str(self.safelist.map),
            str(Path(self.map).parent): str(self.safelist.directory),
            "/etc/safelist/secret": str(self.secret),
            "smtp://localhost": f"smtp://127.0.0.1:{self.site.ports['mx']}",
            "--mail-rcpt you@example.com": f"--mail-rcpt {OURS}",
        }.items():
            text = text.replace(there, here)
        return text

    @property
    def secret(self) -> Path:
        return self.safelist.directory / "secret"

    def type(self, line: str) -> None:
        """Run one line, and expect that it ends well."""
        program, *words = shlex.split(line, comments=True)
        if program_of(program) in ELSEWHERE:
            return
        done = self.call(words) if program_of(program) == "safelist" else self.run(self.here(line))
        assert done.code == 0, (line, done)
        self.said[line] = done

    def call(self, words: list[str]) -> Done:
        """Run safelist; the database and the units are the test's own."""
        places = {"init": ["--database", f"sqlite:///{self.safelist.database}"]}
        places["install"] = ["--directory", str(self.safelist.directory / "units"), "--program", PROGRAM]
        return self.safelist(*words, *places.get(words[0], []), MAIL_CONFIG=str(self.site.configuration))

    def run(self, line: str) -> Done:
        """Run another program."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": str(self.site.configuration)}
        ended = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, check=False)
        return Done.of(ended.returncode, ended.stdout, ended.stderr)

    def fill_in(self) -> None:
        """Put the keys where the file that ``init`` wrote has a line for them, and the password into its own."""
        self.secret.write_text(self.server.organisation.account.password + "\n")
        sample = self.safelist.config.read_text()
        keys = self.here(self.toml).replace("https://mail.example.com/EWS/Exchange.asmx", self.server.url)
        for section in re.split(r"\n(?=\[)", keys.strip()):
            heading, _, lines = section.partition("\n")
            for line in lines.strip().splitlines():
                found = re.compile(rf"^#?{line.split()[0]} = .*$", re.MULTILINE).search(
                    sample, sample.index(f"\n{heading}\n")
                )
                assert found, f"`init` writes no {line.split()[0]} into {heading}"
                sample = f"{sample[: found.start()]}{line}{sample[found.end() :]}"
        self.safelist.config.write_text(sample)

    def saw(self, *words: str) -> str:
        """What the line that holds these words printed."""
        (line,) = (line for line in self.said if all(word in line for word in words))
        return self.said[line].out

    def reply(self, client: str, sender: str) -> int:
        """What the site's Postfix says to a mail from outside."""
        return self.site.send("mx", client, sender, OURS)[0]


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_the_ten_minutes_in_their_order(tmp_path: Path, server: DemoServer, site: Postfix) -> None:
    administrator = Administrator(tmp_path, server, site)
    assert administrator.reply(LISTED, FRIEND) == 554
    for block in BLOCKS:
        administrator.carry_out(block)
        assert administrator.reply(CLEAN, STRANGER) == 250, f"after {block} wanted mail is refused"
    assert administrator.secret.stat().st_mode & 0o077 == 0
    assert FRIEND in administrator.saw("--dry-run", "--mailbox")
    assert "(quorum)" in administrator.saw("audit why")
    assert administrator.saw("postmap -q") == "permit_auth_destination\n"
    assert until(lambda: administrator.reply(LISTED, FRIEND) == 250)
    assert administrator.reply(LISTED, STRANGER) == 554


def test_every_command_is_in_the_table() -> None:
    table = README.text.partition("## The commands\n")[2].partition("\n## ")[0]
    assert {span.split()[1] for span in re.findall("`(safelist [^`]+)`", table)} == set(COMMANDS)


def test_the_lines_before_it_are_those_of_the_page_about_rejections() -> None:
    (block,) = README.blocks("sh", "See what it would have saved, before you change a line of main.cf")
    known = PAGES["docs/rejections.md"].text
    lines = [line.partition("#")[0].strip() for line in block.text.splitlines()]
    assert [line for line in lines if f"{line}\n" not in known and f"{line} " not in known] == []
