"""The README is true: its commands, codes, tables and examples are those of the program."""

import re
import tomllib
from pathlib import Path

import pytest

from safelist import config, errors, policy
from safelist.cli.commands import COMMANDS
from safelist.cli.deferred import Group
from safelist.collector.sources.ews.exchange import FailureReason
from safelist.filter import decision
from safelist.sender import Refusal
from safelist.store import Outcome

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> set[str]:
    names = set()
    for name, place in COMMANDS.items():
        names |= {f"{name} {below}" for below in place.commands} if isinstance(place, Group) else {name}
    return names


def test_every_command_is_in_the_table_and_no_other() -> None:
    table = re.findall(r"^\| `safelist ([a-z]+(?: [a-z]+)?)", README, re.MULTILINE)
    assert set(table) == commands()


CODES = [Refusal, FailureReason, Outcome, policy.Reason, decision.VerdictReason]


@pytest.mark.parametrize("codes", CODES, ids=lambda e: e.__module__)
def test_every_reason_has_a_row(codes: type) -> None:
    for code in codes:  # type: ignore[attr-defined]
        assert f"\n| `{code}` | " in README, code


def test_refusals_are_worded_as_the_program_does() -> None:
    for refusal in Refusal:
        assert f"| `{refusal}` | {refusal.sentence} |" in README


def test_exit_codes() -> None:
    codes = {value for name, value in vars(errors).items() if name.startswith("EX_")}
    rows = re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)
    assert {int(row) for row in rows} == codes


def test_the_example_configuration_is_complete(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    text = re.sub("^   ", "", example, flags=re.MULTILINE)
    path = tmp_path / "safelist.toml"
    path.write_text(text + '\n[database]\nurl = "sqlite:///x.db"\n')
    loaded = config.load(path, {})
    assert loaded.exchange is not None
    assert loaded.mailboxes.groups == ("all@example.com",)


@pytest.mark.parametrize("folder", ["postfix", "filter"])
def test_the_postfix_lines_are_those_that_the_test_runs(folder: str) -> None:
    lines = (ROOT / "tests" / folder / "main.cf.in").read_text(encoding="utf-8").strip().splitlines()
    assert "\n".join(f"   {line}" for line in lines) in README


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    table = README[README.index("| library | what for") :].lower()
    for line in wanted:
        name = re.split(r"[\[<>=]", line)[0]
        assert name in table, f"{name} is not in the README's table"
    assert all(f"`{extra}`" in README for extra in extras)


def test_links_inside_the_readme_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", README):
        assert anchor in headings
