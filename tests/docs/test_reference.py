"""The reference is true: its commands, codes and keys are those of the program."""

import re

import pytest

from safelist import errors, policy
from safelist.cli.commands import COMMANDS
from safelist.cli.deferred import Group
from safelist.collector.failure import FailureReason
from safelist.filter import decision
from safelist.publisher.targets import TARGETS
from safelist.sender import Refusal
from safelist.store import Outcome
from tests.docs import configuration
from tests.docs.documents import PAGES

COMMAND_PAGE = PAGES["docs/reference/commands.md"]
CODES_PAGE = PAGES["docs/reference/exit-codes.md"]
REASONS_PAGE = PAGES["docs/reference/reasons.md"]


def commands() -> set[str]:
    names = set()
    for name, place in COMMANDS.items():
        names |= {f"{name} {below}" for below in place.commands} if isinstance(place, Group) else {name}
    return names


def test_every_command_is_in_the_table_and_no_other() -> None:
    table = re.findall(r"^\| `safelist ([a-z]+(?: [a-z]+)?)", COMMAND_PAGE.text, re.MULTILINE)
    assert set(table) == commands()


def test_every_target_that_can_be_checked_is_named() -> None:
    (row,) = re.findall(r"^\| `safelist check TARGET` \| (.+) \|$", COMMAND_PAGE.text, re.MULTILINE)
    named = set(re.findall("`([a-z-]+)`", row.partition(":")[0]))
    assert named == {name for name, target in TARGETS.items() if target.check}


CODES = {
    "Outcomes of a mailbox": Outcome,
    "Why a mailbox was not read": FailureReason,
    "Who is safe": policy.Reason,
    "Entries that cannot be senders": Refusal,
    "What the filter does": decision.VerdictReason,
}


@pytest.mark.parametrize("heading", CODES)
def test_every_reason_has_a_row_and_no_other(heading: str) -> None:
    section = REASONS_PAGE.text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(.+?)` \| ", section, re.MULTILINE)) == {str(code) for code in CODES[heading]}


def test_refusals_are_worded_as_the_program_does() -> None:
    for refusal in Refusal:
        assert f"| `{refusal}` | {refusal.sentence} |" in REASONS_PAGE.text


def test_exit_codes() -> None:
    codes = {value for name, value in vars(errors).items() if name.startswith("EX_")}
    rows = re.findall(r"^\| (\d+) \| ", CODES_PAGE.text, re.MULTILINE)
    assert {int(row) for row in rows} == codes


def test_the_configuration_is_what_the_program_writes() -> None:
    assert PAGES[configuration.PAGE].text == configuration.written(), "run: python -m tests.docs.configuration"
