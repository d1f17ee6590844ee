"""The page about rejections: its commands are run as they stand there, and its tables are the program's."""

import shlex
from pathlib import Path

import pytest

from tests.cli.command import Command, Done
from tests.docs import fingerprints
from tests.docs.documents import PAGES
from tests.rejections.test_bounce import SAID, bounced

PAGE = PAGES[fingerprints.PAGE]
LINES = [line for block in PAGE.blocks("sh", "Asking") for line in block.text.splitlines()]


@pytest.fixture
def safelist(tmp_path: Path) -> Command:
    (tmp_path / "bounce.eml").write_bytes(bounced())
    (tmp_path / "second.eml").write_bytes(bounced().replace(b"corp.example", b"other.example"))
    (tmp_path / "passed.eml").write_text("Received: from a by b\nX-Mimecast-Spam-Score: 0\nSubject: x\n\nhello\n")
    return Command(tmp_path)


def run(safelist: Command, line: str) -> Done:
    """Run a line as it stands in the page, in the directory where its files are."""
    program, *words = shlex.split(line, comments=True)
    assert program == "safelist"
    given = None
    if "<" in words:
        at = words.index("<")
        given = (safelist.directory / words[at + 1]).read_bytes()
        del words[at : at + 2]
    return safelist(*(str(safelist.directory / word) if word.endswith(".eml") else word for word in words), given=given)


ANSWERS = (
    SAID,
    "mx.corp.example to mail.partner.example about you@corp.example",
    '"remote": "mx.corp.example"',
    "the box is on your side of the path",
    "Mimecast",
)
"""What stands in the answer to each line, in their order."""


@pytest.mark.parametrize(("line", "answer"), list(zip(LINES, ANSWERS, strict=True)))
def test_every_line_is_answered(safelist: Command, line: str, answer: str) -> None:
    done = run(safelist, line)
    assert (done.code, done.err) == (0, "")
    assert answer in done.out


def test_the_answer_is_what_the_program_prints(safelist: Command) -> None:
    (shown,) = PAGE.blocks("output")
    assert run(safelist, LINES[0]).out == shown.text


def test_the_tables_are_those_of_the_program() -> None:
    rest = PAGE.text.partition(fingerprints.HEADING)[2]
    assert rest == fingerprints.written(), "run: python -m tests.docs.fingerprints"
