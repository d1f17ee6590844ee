"""The reference is true: its commands, codes and keys are those of the program."""

import re

import pytest

from safelist import errors, policy
from safelist.collector.failure import FailureReason
from safelist.filter import decision
from safelist.publisher.targets import TARGETS
from safelist.sender import Refusal
from safelist.store import Outcome
from tests.docs import commands as every_option
from tests.docs import configuration
from tests.docs.documents import PAGES

COMMAND_PAGE = PAGES["docs/reference/commands.md"]
CODES_PAGE = PAGES["docs/reference/exit-codes.md"]
REASONS_PAGE = PAGES["docs/reference/reasons.md"]


def test_every_command_is_in_the_table_and_no_other() -> None:
    table = re.findall(r"^\| `safelist ([a-z]+(?: [a-z]+)?)", COMMAND_PAGE.text, re.MULTILINE)
    assert set(table) == set(every_option.commands())


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


def section(heading: str) -> str:
    return REASONS_PAGE.text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("heading", CODES)
def test_every_reason_has_its_heading_and_no_other(heading: str) -> None:
    """In the order of the codes. One code that stands in two sections says in its heading where it is."""
    named = re.findall(r"^### `(.+?)`(?: in the filter)?$", section(heading), re.MULTILINE)
    assert sorted(named) == sorted(str(code) for code in CODES[heading])
    assert section(heading).count("\n### ") == len(named)


def test_the_rows_of_the_policy_stand_in_their_order() -> None:
    said = re.findall(r"^### `(.+?)`\n\nRow (\d+), (safe|not safe)\.", section("Who is safe"), re.MULTILINE)
    rows = [(str(row.reason), str(n), "safe" if row.safe else "not safe") for n, row in enumerate(policy.TABLE, 1)]
    assert said == rows


def test_refusals_are_worded_as_the_program_does() -> None:
    for refusal in Refusal:
        sentence = refusal.sentence[0].upper() + refusal.sentence[1:]
        assert f"### `{refusal}`\n\n{sentence}." in REASONS_PAGE.text


def test_every_option_is_what_the_program_says() -> None:
    assert PAGES[every_option.PAGE].text == every_option.written(), "run: python -m tests.docs.commands"


def test_exit_codes() -> None:
    codes = {value for name, value in vars(errors).items() if name.startswith("EX_")}
    rows = re.findall(r"^\| (\d+) \| ", CODES_PAGE.text, re.MULTILINE)
    assert {int(row) for row in rows} == codes


def test_the_configuration_is_what_the_program_writes() -> None:
    assert PAGES[configuration.PAGE].text == configuration.written(), "run: python -m tests.docs.configuration"
