"""What every command about the audit and the overrides prints as JSON and CSV, character by character."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from safelist import used
from safelist.demo import DemoServer
from safelist.demo.sample import sample
from tests.cli.command import Command

ANSWERS = Path(__file__).with_name("audit_answers.txt")
"""Commands and what they answer; what differs from run to run is a word in capitals."""
MADE = (
    "override allow new@aol.com --reason customer --ticket T-1 --expires 30d --actor robot",
    "override allow partner.example --with-subdomains --reason partner --authentication spf --level default",
    "override block news@bulk.example --reason phished",
    "override allow old@aol.com --reason customer --recipient sales1@corp.example",
    "override revoke 3 --reason mistaken",
    "override allow old@aol.com --reason customer --recipient sales1@corp.example --expires 1y --replace",
)
_VALUES = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00"), "TIME"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?( UTC)?"), "DAY"),
    (re.compile(r"\bW[yz][\w-]{10,}"), "POSITION"),
    (re.compile(r'(?<="change_sets": )\d+'), "COUNT"),
)


def asked() -> list[tuple[str, str]]:
    """The commands of the file, each with its answer."""
    parts = ANSWERS.read_text(encoding="utf-8").split("$ safelist ")
    return [(line, answer) for line, _, answer in (part.partition("\n") for part in parts[1:])]


def said(here: Command, line: str) -> str:
    """What ``safelist`` prints on standard output, and its exit code where that is not 0."""
    done = here(*line.split(), SUDO_USER="root")
    return done.out + (f"exit code {done.code}\n" if done.code else "")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The sample organisation, collected and published, with overrides; and what the filter noted of it."""
    here = Command(tmp_path_factory.mktemp("answers"))
    organisation, noted = sample(), here.directory / "used.db"
    with DemoServer(organisation) as server:
        filter_ = {"path": str(here.directory / "snapshot"), "used": str(noted)}
        here.configure(server, sorted(organisation.mailboxes), **{"publish.filter": filter_})
        for line in ("db upgrade", "sync --workers 1 --publish", *MADE, "publish"):
            said(here, line)
    uses = used.UseBuffer()
    uses.note(used.Key("quorum", "press@agency.example", ""), datetime.now(UTC))
    uses.note(used.Key("trusted-address", "lab@institute.example", "quality1@corp.example"), datetime.now(UTC))
    used.add(noted, uses.take())
    return here


@pytest.mark.parametrize(("line", "answer"), asked(), ids=[line for line, _ in asked()])
def test_the_answer_is_the_same_to_the_last_character(here: Command, line: str, answer: str) -> None:
    found = said(here, line).replace(str(here.directory), "DIRECTORY")
    for pattern, value in _VALUES:
        found = pattern.sub(value, found)
    assert found == answer
