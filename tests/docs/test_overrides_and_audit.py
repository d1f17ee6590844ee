"""The commands of the pages about overrides and about the audit, run on the demo's organisation as they stand there."""

import shlex
from datetime import UTC, datetime

import pytest

from safelist import used
from safelist.demo import DemoServer, sample
from tests import aggregate
from tests.cli.command import Command, Done
from tests.docs.documents import PAGES

OVERRIDES = PAGES["docs/policy.md"].blocks("sh", "Overrides")
QUESTIONS = PAGES["docs/audit.md"].blocks("sh", "The questions")
REPORT = "report.html"


def run(safelist: Command, line: str) -> Done:
    """Run a line as it stands in the page; what it writes to goes into the test's own directory."""
    program, *words = shlex.split(line, comments=True)
    assert program == "safelist"
    return safelist(*(str(safelist.directory / word) if word == REPORT else word for word in words))


@pytest.fixture(scope="module")
def safelist(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The organisation is collected, and every override of the page made."""
    command, organisation = Command(tmp_path_factory.mktemp("lines")), sample()
    aggregate.create(command.database)
    noted, uses = command.directory / "used.db", used.UseBuffer()
    uses.note(used.Key("quorum", "press@agency.example", ""), datetime.now(UTC))
    used.add(noted, uses.take())
    with DemoServer(organisation) as server:
        filter_ = {"path": str(command.directory / "snapshot"), "used": str(noted)}
        command.configure(server, sorted(organisation.mailboxes), **{"publish.filter": filter_})
        assert command("sync").code == 75  # one mailbox there denies access
    (block,) = OVERRIDES
    for line in block.text.splitlines():
        done = run(command, line)
        assert (done.code, done.out.split()[0]) == (0, "override"), (line, done)
    return command


def test_overrides_are_what_the_page_says(safelist: Command) -> None:
    found = safelist("override", "list", "--all", "--json").json
    assert [(each["sender"], each["effect"], each["for"], each["state"]) for each in found] == [
        ("billing@partner.example", "allow", None, "revoked"),
        (".partner.example", "allow", "corp.example", "in-force"),
        ("bob@aol.com", "block", "sales1@corp.example", "in-force"),
        ("fax@gateway.example", "allow", None, "in-force"),
        ("billing@partner.example", "block", None, "in-force"),
    ]


ANSWERS = {
    "who": "override 3 blocks bob@aol.com",
    "why": "bob@aol.com to ",
    "mailbox": "orders.north@yahoo.com",
    "history": "override-made",
    "search": "bob@aol.com",
    "runs": "override",
    "changes": "billing@partner.example",
    "report": "account was taken over",
    "used": "tickets@vendor.example",
    "verify": "unbroken",
}
"""What stands in the answer to each question."""


@pytest.mark.parametrize("line", [line for block in QUESTIONS for line in block.text.splitlines()])
def test_every_question_is_answered(safelist: Command, line: str) -> None:
    done = run(safelist, line)
    assert done.code == 0, done
    answer = (safelist.directory / REPORT).read_text() if REPORT in line else done.out
    assert ANSWERS[shlex.split(line)[2]] in answer


def test_every_question_has_an_answer_here() -> None:
    (block,) = QUESTIONS
    assert {shlex.split(line)[2] for line in block.text.splitlines()} == set(ANSWERS)
