"""The manual pages as man(1) shows them: nothing of a command or a configuration is missing, and nobody complains."""

import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

import safelist
from manual import files, tables, written
from safelist import config
from safelist.cli import command
from safelist.cli.configuration import target_sections
from safelist.cli.deferred import Deferred
from safelist.collector import sources
from safelist.filter import settings
from tests import programs

MISSING = programs.installation({"man": "man-db", "mandoc": "mandoc"})
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

SAMPLES = {
    "safelist.toml.5": config.sample("sqlite:///x.db", target_sections(), sources.sections()),
    "safelist-filter.toml.5": settings.sample(),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all pages are, in man1 and man5."""
    made = tmp_path_factory.mktemp("man")
    written.write(made, safelist.__version__)
    return made


@pytest.fixture(scope="module")
def pages(directory: Path) -> list[str]:
    return sorted(str(path) for path in directory.glob("man?/*"))


@cache
def shown(path: Path) -> str:
    """The page as it is read, each paragraph on one line."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "2000", "MAN_KEEP_FORMATTING": ""}
    man = subprocess.run(["man", "-l", str(path)], env=environment, capture_output=True, text=True, check=True)
    return man.stdout


def walk(words: tuple[str, ...], found: Any) -> Iterator[tuple[str, Any]]:
    real = found.real() if isinstance(found, Deferred) else found
    yield "-".join(words), real
    for name, each in (real.commands if isinstance(real, TyperGroup) else {}).items():
        yield from walk((*words, name), each)


COMMANDS = dict(walk(("safelist",), command()))


def section(text: str, title: str) -> str:
    return re.split(r"^(?=\S)", text.partition(f"\n{title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_command_has_a_page_and_both_files(pages: list[str]) -> None:
    assert {Path(page).name for page in pages} == {f"{name}.1" for name in COMMANDS} | SAMPLES.keys()


def test_no_formatter_complains(pages: list[str]) -> None:
    man = subprocess.run(
        ["man", "--warnings=w", "-E", "UTF-8", "-l", *pages],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert man.stderr == ""
    assert man.stdout.count("\nSEE ALSO") == len(pages)
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *pages], capture_output=True, text=True, check=False)
    assert (lint.stdout, lint.returncode) == ("", 0)


def test_apropos_finds_every_page(pages: list[str]) -> None:
    found = subprocess.run(["lexgrog", *pages], capture_output=True, text=True, check=True).stdout
    assert found.count(': "safelist') == len(pages)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_says_all_that_the_command_knows(directory: Path, name: str) -> None:
    text, made = shown(directory / "man1" / f"{name}.1"), COMMANDS[name]
    context = made.make_context(name, [], resilient_parsing=True)
    options = section(text, "OPTIONS")
    for parameter in made.params:
        if parameter.param_type_name == "option":
            names, told = parameter.get_help_record(context)
            assert re.search(
                rf"^ +{re.escape(names)}(\n +| +){re.escape(' '.join(told.split()))}$", options, re.MULTILINE
            )
        else:
            assert f" {parameter.help.replace('`', '')}\n" in section(text, "ARGUMENTS")
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXIT STATUS", "SEE ALSO"):
        assert section(text, title), title
    for variable in (parameter.envvar for parameter in made.params if getattr(parameter, "envvar", None)):
        assert f" {variable}\n" in section(text, "ENVIRONMENT")
    assert {code for code, _ in tables.exit_codes()} == set(
        re.findall(r"^ +(\d+) ", section(text, "EXIT STATUS"), re.MULTILINE)
    )


def test_a_group_names_its_commands_and_a_command_its_lines_to_type(directory: Path) -> None:
    group = shown(directory / "man1" / "safelist-audit.1")
    assert re.search(
        r"safelist-audit-who\(1\)\n +Every mailbox that trusts or blocks SENDER", section(group, "COMMANDS")
    )
    assert "safelist-audit-who(1)" in section(group, "SEE ALSO")
    sync = section(shown(directory / "man1" / "safelist-sync.1"), "EXAMPLES")
    assert "safelist sync --publish\n" in sync
    override = section(shown(directory / "man1" / "safelist-override-allow.1"), "SYNOPSIS")
    assert override.strip() == "safelist override allow --reason TEXT [OPTIONS] SENDER"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_key_of_a_configuration_is_told_with_its_comment(directory: Path, name: str) -> None:
    text, sample = shown(directory / "man5" / name), SAMPLES[name]
    keys = re.findall(r"^#*([a-z_0-9]+ = .+)$", sample, re.MULTILINE)
    for written_ in keys:
        assert f" {written_}\n" in text.replace("sqlite:////var/lib/safelist/safelist.db", "sqlite:///x.db")
    for header in re.findall(r"^#?(\[\[?[a-z._-]+\]\]?)$", sample, re.MULTILINE):
        assert f"\n   {header}\n" in text
    words = " ".join(text.split())
    for comment in re.findall(r"^#+ (.+)$", sample.partition("\n\n")[2], re.MULTILINE):
        assert comment.replace("`", "") in words
    assert len(keys) == sum(len(each.keys) for each in files.sections(sample))
