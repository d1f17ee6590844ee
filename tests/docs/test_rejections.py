"""The page about rejections, and the README's first look: run line by line, as they stand there, on the same log."""

import gzip
import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from safelist.rejections.formats import FORMATS
from tests.cli.command import Command, Done, synced
from tests.docs import log_formats, refused_day
from tests.docs.documents import PAGES, README
from tests.filter.dns_server import nameserver

PAGE = PAGES[log_formats.PAGE]
FIRST, MORE, READ = "The first look", "More of it", "Logs, and where they are read from"
ON_THE_README = "See what it would have saved, before you change a line of main.cf"
MACHINES = "/var/log/"
"""Where a page's logs lie; here they lie in a directory of the test's."""
ZONE = {"aol.com": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]}, "yahoo.com": {"TXT": ["v=spf1 -all"]}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The logs, and the lists beside them."""
    directory = tmp_path_factory.mktemp("site")
    content = "".join(f"{line}\n" for line in refused_day.lines()).encode()
    (directory / "exim4").mkdir()
    for name in ("mail.log", "mail.log.1", "exim4/mainlog"):
        (directory / name).write_bytes(content)
    (directory / "mail.log.2.gz").write_bytes(gzip.compress(content))
    write_journal(directory)
    with synced(directory, refused_day.PEOPLE) as command:
        yield command


def write_journal(directory: Path) -> None:
    """A program that answers as journalctl does."""
    program, entries = directory / "journalctl", directory / "journal.json"
    entries.write_text("".join(f"{json.dumps(journal_entry(line))}\n" for line in refused_day.lines()))
    program.write_text(f"#!/bin/sh\ncase $* in *--output=json*) exec cat {shlex.quote(str(entries))};; esac\nexit 1\n")
    program.chmod(0o755)


def journal_entry(line: str) -> dict[str, str]:
    time, host, rest = line.split(" ", 2)
    program, _, said = rest.partition(": ")
    since = round(datetime.fromisoformat(time).timestamp() * 1e6)
    return {
        "__REALTIME_TIMESTAMP": str(since), "_HOSTNAME": host, "SYSLOG_IDENTIFIER": program.partition("[")[0],
        "MESSAGE": said,
    }  # fmt: skip


def lines(page: str, heading: str) -> list[str]:
    return [line for block in PAGES[page].blocks("sh", heading) for line in block.text.splitlines()]


def run(site: Command, line: str, *more: str, **environment: str) -> Done:
    """Run a line as it stands there; what it says of a log's place is as on the page, and so is the day."""
    first, _, last = line.partition(" | ")
    program, *words = shlex.split(last or first, comments=True)
    assert program == "safelist"
    given = (site.directory / "journal.json").read_bytes() if last else None
    if ">" in words:
        del words[words.index(">") :]
    here = [word.replace(MACHINES, f"{site.directory}/") for word in words]
    path = f"{site.directory}:{site.environment['PATH']}"
    done = site(*here, *more, given=given, PATH=path, **environment)
    return Done(done.code, done.out.replace(f"{site.directory}/", MACHINES), done.err)


def on_the_page_s_day(said: str) -> str:
    """The first collection was today."""
    return said.replace(f"{datetime.now(UTC):%Y-%m-%d}", "2026-11-27")


def test_the_first_look_prints_what_the_page_shows(site: Command) -> None:
    before, collect, after = lines(PAGE.name, FIRST)
    shown = [block.text for block in PAGE.blocks("output", FIRST)]
    (nobody := site.directory / "new").mkdir()
    said = [run(site, before, SAFELIST_CONFIG="", HOME=str(nobody), XDG_CONFIG_HOME=str(nobody))]
    assert (run(site, collect).code, collect) == (0, "safelist sync")
    said.append(run(site, after, "--timezone", "UTC"))
    assert [(done.code, done.err) for done in said] == [(0, ""), (0, "")]
    assert [on_the_page_s_day(done.out) for done in said] == shown
    assert len(shown[1].splitlines()) == 10


def test_each_line_of_the_answer_is_explained() -> None:
    """By words that stand in it, in its order."""
    table = PAGE.text.partition("| the line | what it says |\n|---|---|\n")[2].partition("\n\n")[0]
    (_, answer) = (block.text for block in PAGE.blocks("output", FIRST))
    for line, row in zip(answer.splitlines(), table.splitlines(), strict=True):
        assert row.split(" | ")[0].removeprefix("| ") in line


ANSWERS = (
    "bl.spamcop.net    20     29        2",
    "news@paper.example     support@corp.example  192.0.2.30  bl.spamcop.net    quorum",
    "Today SPF says: none 2, fail 1, pass 1",
    "a Check Point firewall that proxies SMTP",
    "Read /var/log/mail.log, 438 lines (Postfix), 2026-11-25.",
    "Read /var/log/mail.log, 438 lines (Postfix)",
    "/var/log/mail.log:438: expected a command of SMTP",
    "98 mails were refused in 146 attempts",
    "What the safelist would have saved of them needs the lists",
    '"reason": "quorum"',
    ",bounced,192.0.2.51,mx.partner.example,,office@partner.example,message,",
    "Read 3 logs, 1,314 lines (Postfix), 2026-11-24 to 2026-11-25.",
    "Read /var/log/exim4/mainlog, 438 lines (Postfix)",
    "Read journal, 438 lines (Postfix), 2026-11-24 to 2026-11-25.",
    "Read standard input, 438 lines (Postfix), 2026-11-24 to 2026-11-25.",
    "98 mails were refused in 146 attempts",
    "98 mails were refused in 146 attempts",
)
"""What stands in the answer to each line, in their order."""
OTHERS = [*lines(PAGE.name, MORE), *lines(PAGE.name, READ)]


@pytest.mark.parametrize(("line", "answer"), list(zip(OTHERS, ANSWERS, strict=True)))
def test_every_line_is_answered(site: Command, line: str, answer: str) -> None:
    with nameserver(ZONE) as server:
        more = ["--nameserver", "{}:{}".format(*server.address)] if "--spf" in line else []
        done = run(site, line, *more)
    assert (done.code, done.err) == (0, "")
    assert answer in done.out


def test_rotated_logs_count_no_mail_twice(site: Command) -> None:
    assert "98 mails were refused in 438 attempts" in run(site, lines(PAGE.name, READ)[0]).out


def test_the_readme_s_lines_lead_to_what_would_have_been_saved(site: Command) -> None:
    look, ask = lines(README.name, ON_THE_README)
    (home := site.directory / "home").mkdir()
    done = run(site, look, SAFELIST_CONFIG="", HOME=str(home), XDG_CONFIG_HOME=str(home))
    assert (done.code, done.err) == (0, "")
    assert "97 of them because of DNS blocklists (99 %)" in done.out
    done = run(site, ask)
    assert (done.code, done.err) == (0, "")
    assert "safelist would have let 4 mails through" in done.out
    assert "Why: safelist audit why accounts.desk@aol.com --recipient desk@corp.example" in done.out


def test_where_the_log_of_each_format_is_stands_there() -> None:
    table = PAGE.text.partition("| program, `--format` | its log |\n")[2].partition("\n\n")[0]
    assert set(FORMATS) <= set(re.findall(r"^\| [^|`]+: `([a-z-]+)` \|", table, re.MULTILINE))


def test_the_table_of_formats_is_the_program_s() -> None:
    assert PAGE.text.partition(log_formats.HEADING)[2] == log_formats.written(), "run: python -m tests.docs.log_formats"
