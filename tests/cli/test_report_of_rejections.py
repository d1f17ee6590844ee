"""``safelist audit report --log``: the auditor's page reads logs as ``safelist rejections`` does."""

import gzip
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.audit.test_report import parsed
from tests.cli.command import Command
from tests.cli.conftest import AOL
from tests.cli.test_kept_rejections import ME, NOON, TUESDAY, line, log

HEADING = "What DNS blocklists rejected"


@pytest.fixture
def synced(safelist: Command) -> Command:
    assert safelist("sync").code == 0
    return safelist


def test_every_mail_of_the_page_is_explained_by_the_command_beside_it(synced: Command, tmp_path: Path) -> None:
    """Some are older than the lists, one is of today, and of some the recipient has an extension."""
    (tmp_path / "mail.log.1.gz").write_bytes(gzip.compress("".join(TUESDAY).encode()))
    extended = line(AOL, datetime.now(UTC)).replace(ME, ME.replace("@", "+news@"))
    page = tmp_path / "report.html"
    done = synced(
        "audit", "report", "--html", str(page), "--log", log(tmp_path, extended, line("x@evil.example")),
        "--log", str(tmp_path / "mail.log.1.gz"), "--timezone", "Pacific/Auckland", "--recipient-delimiter", "+",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    tree = parsed(page.read_text())
    assert "because of DNS blocklists" in tree.xpath("string(//section[h2/@id='rejected'])")
    rows = tree.xpath("//table[@aria-labelledby='rejected-saved']/tbody/tr")
    assert len(rows) == 2
    for row in rows:
        reason, command = (element.text_content() for element in row[-1])
        program, *words = shlex.split(command)
        assert program == "safelist"
        answer = synced(*words, "--json")
        assert answer.code == 0, answer
        assert (answer.json["safe"], answer.json["reason"]) == (True, reason)


def test_the_page_has_what_was_kept(synced: Command, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert synced("audit", "report", "--html", str(page)).code == 0
    assert HEADING not in page.read_text()
    path = log(tmp_path, *TUESDAY)
    assert synced("rejections", path, "--keep").code == 0
    assert synced("audit", "report", "--html", str(page)).code == 0
    rows = parsed(page.read_text()).xpath("//table[@aria-labelledby='rejected-months']/tbody/tr")
    assert [[cell.text_content() for cell in row] for row in rows] == [[f"{NOON:%Y-%m}", "1", "4", "1", "1", "1"]]


def test_a_log_may_come_in_by_standard_input(synced: Command) -> None:
    done = synced("audit", "report", "--html", "-", "--log", "-", given="".join(TUESDAY).encode())
    assert done.code == 0
    assert "Read standard input, 6 lines (Postfix)" in done.out


def test_a_log_of_something_else_is_named(synced: Command, tmp_path: Path) -> None:
    done = synced("audit", "report", "--html", str(tmp_path / "report.html"), "--log", log(tmp_path, "hello\n"))
    assert done.code == 0
    assert "mail.log: no line of it is a rejection in a form that safelist knows" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--log", "/no/such.log"), "/no/such.log: there is no such file"),
        (("--log", "-", "--timezone", "Mars/Base"), "--timezone: 'Mars/Base' is no zone"),
        (("--timezone", "UTC"), "--timezone and --recipient-delimiter say how logs are read: name one with --log"),
        (("--recipient-delimiter", "+"), "name one with --log"),
    ],
)
def test_a_wrong_question_writes_no_page(
    synced: Command, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    page = tmp_path / "report.html"
    done = synced("audit", "report", "--html", str(page), *arguments)
    assert (done.code, done.out, page.exists()) == (64, "", False)
    assert says in done.err
