"""Most tests run the command line in their own process: what it says there is what it says in a process of its own."""

import os
import sys

import pytest

from tests.cli.command import Command
from tests.cli.conftest import AOL

ROW = b"effect,sender,reason\nallow,half.example,x\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("--help",),
        ("audit", "--help"),
        ("sync", "--nonsense"),
        ("audit", "who", AOL),
        ("audit", "who", "nobody@corp.example"),
        ("audit", "who", AOL, "--json"),
        ("audit", "mailbox", "desk1@corp.example"),
        ("audit", "history", "--mailbox", "desk1@corp.example", "--csv"),
        ("sync", "--dry-run", "--mailbox", "desk1@corp.example"),
        ("publish", "--dry-run"),
        ("config", "check"),
        ("filter", "sample"),
        ("db", "verify"),
    ],
    ids=" ".join,
)
def test_a_command_says_the_same_in_both(safelist: Command, arguments: tuple[str, ...]) -> None:
    assert safelist("sync").code == 0
    assert safelist(*arguments) == safelist.in_a_process(*arguments)
    if "sync" not in arguments:  # whose bar moves as it can
        line = safelist.line(*arguments)
        assert safelist.on_a_terminal(*arguments) == safelist.in_a_process_on_a_terminal(*line)


@pytest.mark.parametrize("given", [ROW, b"", ROW + b"\xff"], ids=["a row", "nothing", "not UTF-8"])
def test_it_reads_the_same_in_both(safelist: Command, given: bytes) -> None:
    ways = safelist, safelist.in_a_process
    first, second = (way("override", "import", "-", "--format", "csv", "--dry-run", given=given) for way in ways)
    assert first == second


def test_nothing_of_a_command_stays_in_this_process(safelist: Command) -> None:
    def seen() -> tuple[object, ...]:
        descriptors = tuple(os.fstat(number)[:3] for number in range(3))
        streams = (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__)
        return dict(os.environ), list(sys.argv), descriptors, streams

    before = seen()
    assert safelist("sync", "--publish", SAFELIST_DEBUG="1").code == 0
    assert safelist("no-such").code == 64
    assert safelist.on_a_terminal("audit", "who", AOL)[0] == 0
    assert seen() == before


def test_what_only_a_new_interpreter_reads_is_refused(safelist: Command) -> None:
    with pytest.raises(ValueError, match="PYTHONWARNINGS"):
        safelist("--version", PYTHONWARNINGS="error")
