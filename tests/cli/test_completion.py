"""Completion as bash does it: an interactive bash on a terminal, where somebody types and presses Tab."""

import os
import pty
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from safelist.cli import completion
from safelist.junkrule import JunkRule
from tests.cli.command import Command, synced
from tests.exchange import Mailbox

PROMPT = "ready> "
HOSTILE = "`id`|id&@corp.example"
PEOPLE = [*(f"desk{n}@corp.example" for n in range(3)), "post@sub.corp.example"]


class Bash:
    """An interactive bash with the completion loaded; what is typed, and what is on the screen then."""

    def __init__(self, command: Command) -> None:
        leader, follower = pty.openpty()
        home = command.environment | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "dumb", "PS1": PROMPT,
            "INPUTRC": "/dev/null", "HISTFILE": "/dev/null",
        }  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"], env=home, stdin=follower, stdout=follower, stderr=follower,
            start_new_session=True, cwd=command.directory,
        )  # fmt: skip
        os.close(follower)
        self._leader = leader
        self.type("bind 'set bell-style none'; bind 'set page-completions off'; bind 'set completion-query-items 0'\n")
        # Until the prompt behind it: what is typed before that, the terminal shows and bash does not complete.
        # By the bash itself: which shell is meant, safelist finds out by who has called it.
        self.type("eval \"$(safelist --show-completion)\"; echo load''ed\n", until=f"loaded\r\n{PROMPT}")

    def type(self, text: str, until: str = PROMPT) -> str:
        """Type, and read until that is on the screen behind what was typed."""
        os.write(self._leader, text.encode())
        seen = ""
        while until not in seen:
            assert select.select([self._leader], [], [], 120)[0], seen
            seen += os.read(self._leader, 65536).decode(errors="replace")
        return seen

    def completed(self, line: str) -> str:
        """What the line has become when Tab was pressed at its end, and a mark typed behind."""
        seen = self.type(f"{line}\tMARK", until="MARK").rpartition("MARK")[0]
        self.type("\x15\n")  # the line is not run
        return on_screen(seen.rpartition(PROMPT)[2])

    def close(self) -> None:
        os.close(self._leader)
        self._process.wait(60)


def on_screen(written: str) -> str:
    """The line that a terminal shows when this was written: a backspace moves the cursor."""
    line, at = "", 0
    for character in written:
        if character == "\b":
            at -= 1
        elif character not in "\a\r":
            line, at = line[:at] + character + line[at + 1 :], at + 1
    return line


@pytest.fixture(scope="module")
def safelist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    directory = tmp_path_factory.mktemp("completion")
    people = [Mailbox(address, JunkRule(safe_senders=("bob@partner.example",))) for address in [*PEOPLE, HOSTILE]]
    with synced(directory, people) as command:
        done = command("override", "allow", "carol@partner.example", "--reason", "x")
        assert done.code == 0
        yield command


@pytest.fixture(scope="module")
def bash(safelist: Command) -> Iterator[Bash]:
    if not shutil.which("bash"):
        pytest.skip("apt-get install bash")
    opened = Bash(safelist)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("safelist audit mailbox po", "safelist audit mailbox post@sub.corp.example "),
        ("safelist audit mailbox post@", "safelist audit mailbox post@sub.corp.example "),
        ("safelist audit mailbox desk1@co", "safelist audit mailbox desk1@corp.example "),
        ("safelist sync --mailbox=post@sub.c", "safelist sync --mailbox=post@sub.corp.example "),
        ("safelist forget desk0@corp.example post", "safelist forget desk0@corp.example post@sub.corp.example "),
        ("safelist audit mailbox de", "safelist audit mailbox desk"),
        ("safelist override revoke car", "safelist override revoke carol@partner.example "),
        ("safelist audit mailbox nobody", "safelist audit mailbox nobody"),
        ("safelist audit mailbox --config /nowhere po", "safelist audit mailbox --config /nowhere po"),
    ],
)
def test_tab_in_bash(bash: Bash, typed: str, completed: str) -> None:
    assert bash.completed(typed) == completed


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("publish p", "postfix"),
        ("check post", "postfix"),
        ("override show ", "1"),
        ("override allow x --domain sub", "sub.corp.example"),
        ("override allow x --recipient po", "post@sub.corp.example"),
        ("override allow x --level enf", "enforced"),
        ("sync --source ex", "exchange"),
        ("sync --type bl", "blocked-senders"),
        ("rejections --format rspamd", "rspamd rspamd-history"),
        ("audit history --what override", "override-made override-expired override-revoked"),
        ("audit history --mailbox desk1", "desk1@corp.example"),
        ("failure acknowledge desk2", "desk2@corp.example"),
    ],
)
def test_what_each_option_takes_is_offered(safelist: Command, line: str, answers: str) -> None:
    assert ask(safelist, *line.split(" ")) == (0, "".join(f"{each}\n" for each in answers.split()), "")


def ask(safelist: Command, *words: str, **environment: str) -> tuple[int, str, str]:
    """What the shell's function asks the program: code, answers, complaints."""
    asking = {"_SAFELIST_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(("safelist", *words))}
    asking |= {"COMP_CWORD": str(len(words))} | environment
    done = safelist(given=None, **asking)
    return done.code, done.out, done.err


def test_addresses_that_a_shell_would_run_are_not_offered(safelist: Command) -> None:
    assert HOSTILE in safelist("audit", "who", "bob@partner.example").out
    assert ask(safelist, "audit", "mailbox", "") == (0, "".join(f"{each}\n" for each in PEOPLE), "")


def test_nothing_is_said_where_nothing_can_be_known(safelist: Command, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[database\n")
    (tmp_path / "none.toml").write_text(f'[database]\nurl = "sqlite:///{tmp_path}/none.db"\n')
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"no database" * 100)
    (tmp_path / "garbage.toml").write_text(f'[database]\nurl = "sqlite:///{garbage}"\n')
    for name in ("wrong.toml", "none.toml", "garbage.toml", "missing.toml"):
        assert ask(safelist, "forget", "d", SAFELIST_CONFIG=str(tmp_path / name)) == (0, "", ""), name
    assert not (tmp_path / "none.db").exists()
    assert ask(safelist, "forget", "'nob")[::2] == (0, "")
    assert ask(safelist, "no-such-command", "--x", "")[::2] == (0, "")


def test_a_database_server_that_does_not_answer_keeps_nobody_waiting(safelist: Command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://x@127.0.0.1:{silent.getsockname()[1]}/safelist"
        (tmp_path / "silent.toml").write_text(f'[database]\nurl = "{url}"\n')
        asking = {"COMP_WORDS": "safelist\nforget\nd", "COMP_CWORD": "2", "_SAFELIST_COMPLETE": "complete_bash"}
        done = safelist.in_a_process(given=None, SAFELIST_CONFIG=str(tmp_path / "silent.toml"), **asking)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_no_more_answers_than_anybody_reads(tmp_path: Path) -> None:
    people = [Mailbox(f"user{n:04}@corp.example", JunkRule()) for n in range(completion.MOST + 5)]
    with synced(tmp_path, people) as command:
        _, out, _ = ask(command, "audit", "mailbox", "user")
    assert out.splitlines() == [f"user{n:04}@corp.example" for n in range(completion.MOST)]


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["safelist", "audit", "mailbox", "bob", "@", "corp"], ["safelist", "audit", "mailbox", "bob@corp"]),
        (["safelist", "sync", "--mailbox", "=", "bob", "@"], ["safelist", "sync", "--mailbox", "bob@"]),
        (["safelist", "-c", "a:", "b"], ["safelist", "-c", "a:", "b"]),
        (["safelist", "--x", "=", ""], ["safelist", "--x", ""]),
        (["safelist", ""], ["safelist", ""]),
    ],
)
def test_words_are_put_together_as_they_were_typed(words: Sequence[str], typed: list[str]) -> None:
    assert completion.whole(words) == typed
