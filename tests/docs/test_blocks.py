"""Every fenced block and every command in the documents is run or parsed by a test: a block that none claims fails."""

import ast
import configparser
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from safelist import config, override_file
from safelist.cli.configuration import load_config
from safelist.filter import settings
from tests.docs import command_lines
from tests.docs.documents import PAGES, PROJECT, ROOT, Block

BLOCKS = [block for page in (PAGES | PROJECT).values() for block in page.blocks()]

RUN_BY = {
    "README.md": "tests/docs/test_readme.py::test_the_ten_minutes_in_their_order",
    "docs/install.md": "tests/systemd/test_units.py::machine",
    "docs/filters/amavis.md": "tests/amavis/test_set_up.py::test_the_steps_in_their_order",
    "docs/filters/postfix.md": "tests/postfix/test_set_up.py::test_the_steps_in_their_order",
    "docs/filters/spamassassin.md": "tests/spamassassin/test_set_up.py::test_the_steps_in_their_order",
    "docs/filters/dnsbl-filter.md": (
        "tests/filter/test_introduction.py::test_nobody_is_refused_or_let_in_on_the_way_to_the_filter"
    ),
    "docs/filters/exim.md": "tests/exim/test_set_up.py::test_the_steps_in_their_order",
    "docs/filters/other-filters.md": "tests/pairs/smtpd.py::configured",
    "docs/operations.md": "tests/docs/test_operations.py::test_an_auditor_may_ask_everything_and_change_nothing",
    "docs/web.md": "tests/web/test_behind_web_servers.py::test_what_a_browser_says_of_itself_is_not_believed",
}
"""The test, or what configures the filter of some, that runs a page's lines on the real filter."""

CMDLETS = {
    "New-ManagementScope": {"Name", "RecipientRestrictionFilter"},
    "New-ManagementRoleAssignment": {"Name", "Role", "User", "CustomRecipientWriteScope"},
    "Get-Mailbox": {"ResultSize", "RecipientTypeDetails"},
    "ForEach-Object": set(),
}
"""Of the Exchange Management Shell, with the parameters that its documentation gives them."""


def shell(block: Block) -> None:
    """Every line, by its program; and the whole, by the shell."""
    subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)
    for line in block.text.splitlines():
        command_lines.check(line)


def toml(block: Block) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "file.toml"
        if block.heading == "filter.toml":
            path.write_text(block.text)
            settings.load(path)
        else:
            loaded(block, path)


def loaded(block: Block, path: Path) -> config.Config:
    """The configuration, with the section that every one needs where a page shows only a part."""
    rest = "" if "[database]" in block.text else '\n[database]\nurl = "sqlite:///x.db"\n'
    path.write_text(block.text + rest)
    path.chmod(0o600)
    return load_config(path)


def csv(block: Block) -> None:
    ground = override_file.Circumstances(datetime(2026, 11, 23, tzinfo=UTC), frozenset({"corp.example"}))
    content = override_file.read(block.text.encode(), override_file.Format.CSV, ground)
    assert content.rows
    assert content.faults == []


def unit(block: Block) -> None:
    """A drop-in for a unit that is shipped, which its first line names; a test starts the unit with it."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(block.text)
    edit, name = block.text.splitlines()[0].rsplit(" ", 1)
    assert edit == "# systemctl edit"
    assert (ROOT / "safelist/systemd/system" / f"{name}.service").exists()
    assert set(parser["Service"]) <= {"ReadWritePaths", "LoadCredential", "LoadCredentialEncrypted"}
    restrictions(block)


def restrictions(block: Block) -> None:
    """Lines of a filter's configuration: a test runs those of the page on the real one, and takes them from it."""
    path, _, name = RUN_BY[block.page].partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert f"PAGES['{block.page}']" in {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}


def rspamd_lines(block: Block) -> None:
    """Sections of files below local.d: a test asks as they do, since Debian 12's rspamd cannot."""
    assert block.page == "docs/filters/dnsbl-filter.md"
    assert set(re.findall("^# (.+)$", block.text, re.MULTILINE)) == {
        "/etc/rspamd/local.d/multimap.conf", "/etc/rspamd/local.d/composites.conf",
        "/etc/rspamd/local.d/options.inc",
    }  # fmt: skip
    assert block.text.count("{") == block.text.count("}") == 5
    assert not re.search(r"\{[%=#]", block.text), "rspamd 4 takes it for a template"


def rspamd_rules(block: Block) -> None:
    """A file of local.d: a test runs it on a real rspamd, and takes it from the page."""
    assert block in PAGES[RSPAMD].blocks("ucl")
    assert f'PAGES["{RSPAMD}"]' in (ROOT / "tests/rspamd/test_set_up.py").read_text(encoding="utf-8")


RSPAMD = "docs/filters/rspamd.md"


def rights(block: Block) -> None:
    """Statements for a database's server: a test makes them there, and tries what they allow."""
    if block.page == "docs/web.md":
        assert 'PAGES["docs/web.md"].blocks("sql")' in (ROOT / "tests/store/test_looks.py").read_text(encoding="utf-8")
    else:
        restrictions(block)


def rspamd_files(block: Block) -> None:
    """Lines of rspamd's configuration, by the page that they stand on."""
    (rspamd_rules if block.page == RSPAMD else rspamd_lines)(block)


def exchange_shell(block: Block) -> None:
    """Cmdlets, in a line or a pipeline, with parameters that they have."""
    for words in map(shlex.split, re.split(r"\|\s+|\n", block.text.strip())):
        parameters = {word[1:] for word in words if re.fullmatch(r"-[A-Z]\w+", word)}
        assert parameters <= CMDLETS[words[0]], words


def picture(block: Block) -> None:
    """``test_design`` looks for what it names."""
    assert block.page == "docs/design.md"


def output(block: Block) -> None:
    """``test_explain``, ``test_monitoring`` and ``test_rejections`` compare it with what the program prints."""
    assert block.page in ("docs/explain.md", "docs/monitoring.md", "docs/rejections.md")


def monitoring(block: Block) -> None:
    """Lines of a monitoring system: ``test_monitoring`` runs the commands in them, and looks the metrics up."""
    assert block.page == "docs/monitoring.md"


READERS: Mapping[str, Callable[[Block], None]] = {
    "sh": shell, "toml": toml, "csv": csv, "ini": unit, "cf": restrictions, "smtpd": restrictions,
    "exim": restrictions, "powershell": exchange_shell, "text": picture, "ucl": rspamd_files,
    "nginx": restrictions, "apache": restrictions, "sql": rights, "perl": restrictions, "output": output,
    "cfg": monitoring, "yaml": monitoring,
}  # fmt: skip
"""Who reads the blocks of each language."""


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_read(block: Block) -> None:
    assert block.language in READERS, f"no test claims {block}"
    READERS[block.language](block)


@pytest.mark.parametrize("folder", ["postfix", "filter"])
def test_the_postfix_lines_are_those_that_the_tests_run(folder: str) -> None:
    lines = (ROOT / "tests" / folder / "main.cf.in").read_text(encoding="utf-8").strip()
    assert lines in [block.text.strip() for block in BLOCKS if block.language == "cf"]


def test_the_example_configuration_is_complete(tmp_path: Path) -> None:
    (example,) = PAGES["docs/install.md"].blocks("toml")
    configuration = loaded(example, tmp_path / "safelist.toml")
    assert configuration.exchange is not None
    assert configuration.mailboxes.groups == ("all@example.com",)


def words_of(span: str) -> list[str]:
    """What stands behind the program's name; a line for cron has the times before it."""
    words = re.sub(r"^\S+ \* \* \* \* ", "", span).split()
    return words[1:] if words and command_lines.program_of(words[0]) == "safelist" else []


COMMANDS = {span: words for page in PAGES.values() for span in page.spans() if (words := words_of(span))}
"""Every code span that is a command."""


@pytest.mark.parametrize("span", COMMANDS)
def test_every_command_and_option_in_the_text_exists(span: str) -> None:
    command_lines.options_of(COMMANDS[span])


def test_what_does_not_exist_would_be_found() -> None:
    with pytest.raises(KeyError):
        command_lines.options_of(["synchronise"])
    with pytest.raises(ValueError, match="--loud"):
        command_lines.options_of(["sync", "--loud"])
    with pytest.raises(KeyError):
        command_lines.check("wget https://example.com")
    with pytest.raises(AssertionError):
        test_every_block_is_read(Block("docs/install.md", "The program", "cobol", "print"))
