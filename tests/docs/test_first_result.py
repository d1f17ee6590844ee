"""The README's shortest way to a first result, line by line: from nothing to a map with the sender of the example."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist.demo.organisation import DistributionGroup, DlMember
from safelist.junkrule import JunkRule
from tests.cli.command import Command
from tests.docs.command_lines import program_of
from tests.docs.documents import README
from tests.exchange import DemoServer, Mailbox, Organisation, ServiceAccount

HEADING = "The shortest way to a first result"
FRIEND = "friend@example.org"
PEOPLE = [f"{name}@example.com" for name in ("you", "reception")]


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Exchange with the account and the group of the example; two people trust the sender."""
    everybody = DistributionGroup("all@example.com", tuple(DlMember(address) for address in PEOPLE))
    mailboxes = [Mailbox(address, JunkRule(safe_senders=(FRIEND,))) for address in PEOPLE]
    organisation = Organisation.of(mailboxes, [everybody])
    organisation.account = ServiceAccount("svc-safelist@example.com", domain="EXAMPLE")
    with DemoServer(organisation) as running:
        yield running


def lines_of_safelist() -> list[list[str]]:
    """The words of each line that calls safelist, without its name."""
    lines = [line for block in README.blocks("sh", HEADING) for line in block.text.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [rest for program, *rest in words if program_of(program) == "safelist"]


def as_said(sample: str, server: DemoServer, directory: Path) -> str:
    """The file that ``init`` wrote, with the README's keys filled in; only their places are this test's."""
    (example,) = README.blocks("toml", HEADING)
    secret = directory / "secret"
    secret.write_text(server.organisation.account.password + "\n")
    secret.chmod(0o600)
    keys = example.text.replace("https://mail.example.com/EWS/Exchange.asmx", server.url)
    keys = keys.replace("/etc/safelist/secret", str(secret)).replace("/etc/postfix/safelist", str(directory / "map"))
    for section in re.split(r"\n(?=\[)", keys.strip()):
        heading, _, lines = section.partition("\n")
        assert f"\n{heading}\n" in sample
        for line in lines.strip().splitlines():
            key = line.split()[0]
            start = sample.index(f"\n{heading}\n")
            found = re.compile(rf"^#?{key} = .*$", re.MULTILINE).search(sample, start)
            assert found, f"`init` writes no {key} into {heading}"
            sample = f"{sample[: found.start()]}{line}{sample[found.end() :]}"
    return sample.replace('#map_type = "lmdb"', 'map_type = "texthash"')


def test_every_line_leads_to_the_first_result(server: DemoServer, tmp_path: Path) -> None:
    safelist = Command(tmp_path)
    init, check, look, collect, ask = lines_of_safelist()
    assert safelist(*init, "--database", f"sqlite:///{safelist.database}").code == 0
    safelist.config.write_text(as_said(safelist.config.read_text(), server, tmp_path))
    assert safelist(*check).code == 0
    assert FRIEND in safelist(*look).out
    assert (safelist(*collect).code, safelist(*collect).err) == (0, "")
    assert safelist(*ask, "--json").json["reason"] == "quorum"
    assert safelist("publish").code == 0
    assert f"{FRIEND} permit_auth_destination\n" in safelist.map.read_text()
