"""The page about monitoring is true: its states are what is printed, its commands run, its rules name metrics."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from safelist.cli.commands import COMMANDS
from tests.docs.command_lines import program_of
from tests.docs.documents import PAGES
from tests.status.ping_server import monitor
from tests.status.site import Watched, watched
from tests.status.states import STATES, as_on_the_page

PAGE = PAGES["docs/monitoring.md"]
CONFIG, DIRECTORY = "/etc/safelist/safelist.toml", "/var/lib/prometheus/node-exporter"
PING_FILE, PING = "/etc/safelist/ping", "https://hc-ping.com/00000000-0000-0000-0000-000000000000"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path) as found:
        yield found


def timeless(text: str) -> list[str]:
    """The words of each line, without what depends on the moment, the version or the widths of columns."""
    text = re.sub(r"newer than [0-9]{4}, the newest that safelist [0-9.]+ knows", "newer than THIS", text)
    text = re.sub(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2} UTC", "DAY", text)
    text = re.sub(r"'=[0-9]+s;", "'=AGE;", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]


@pytest.mark.parametrize("name", STATES)
def test_the_states_are_printed_as_they_are_shown(site: Watched, name: str) -> None:
    code, bring_about = STATES[name]
    bring_about(site)
    done = site.status()
    (shown,) = PAGE.blocks("output", name)
    assert (done.code, done.err) == (code, "")
    assert timeless(as_on_the_page(done.out, site)) == timeless(shown.text)


def test_the_plugin_prints_what_is_shown(site: Watched) -> None:
    STATES["WARNING"][1](site)
    (shown,) = PAGE.blocks("output", "Nagios and Icinga")
    done = site.status("--nagios")
    assert done.code == 1
    assert timeless(as_on_the_page(done.out, site)) == timeless(shown.text)


def commands() -> Iterator[list[str]]:
    """The words behind ``safelist`` of each command in the page's blocks, whatever calls it there."""
    for block in PAGE.blocks():
        if block.language not in ("sh", "cfg"):
            continue
        text = re.sub(r"command = \[([^]]+)\]", lambda found: " ".join(re.split(r"[,\s]+", found[1])), block.text)
        for line in text.splitlines():
            words = shlex.split(re.sub(r"^[a-zA-Z_.\[\]]+=", "", line), comments=True)
            for at, (program, name) in enumerate(pairwise(words), start=1):
                if program_of(program) == "safelist" and name in COMMANDS:
                    yield words[at:]


def test_every_command_runs(site: Watched, tmp_path: Path) -> None:
    site.run()
    with monitor() as pinged:
        ping_file = tmp_path / "ping"
        ping_file.write_text(f"{pinged.url}\n")
        places = {
            CONFIG: str(site.safelist.config),
            DIRECTORY: str(tmp_path),
            PING_FILE: str(ping_file),
            PING: pinged.url,
        }
        ran = []
        for words in commands():
            for there, here in places.items():
                words = [word.replace(there, here) for word in words]
            assert site.safelist(*words).code == 0, words
            ran.append(words[0])
        assert (ran.count("status"), ran.count("sync")) == (10, 2)
        assert pinged.paths == ["/start", "", "/start", ""]
    assert (tmp_path / "safelist.prom").read_text().startswith("# HELP safelist_status ")


def test_the_rules_name_metrics_and_labels_that_there_are(site: Watched, tmp_path: Path) -> None:
    STATES["CRITICAL"][1](site)
    path = tmp_path / "safelist.prom"
    assert site.status("--prometheus", str(path)).code == 0
    (rules,) = PAGE.blocks("yaml")
    written = path.read_text()
    expressions = re.findall("expr: (.+)", rules.text)
    assert len(expressions) == rules.text.count("- alert: ") == 6
    for name in re.findall(r"\bsafelist_\w+", " ".join(expressions)):
        assert f"# TYPE {name} gauge\n" in written
    for label in set(re.findall(r"\$labels\.(\w+)", rules.text)) - {"instance"}:
        assert f'{{{label}="' in written
