"""The commands as their users run them: what they print, where, and how they end."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from safelist.junkrule import JunkRule
from safelist.publisher.files import alone
from safelist.store.schema import VERSION_TABLE
from tests.cli.command import Command
from tests.cli.conftest import AOL
from tests.exchange import DemoServer, Fault, Mailbox, Organisation, Trouble
from tests.waiting import until


def test_silence_on_success_and_again(safelist: Command) -> None:
    for _ in range(2):
        done = safelist("sync", "--publish")
        assert (done.code, done.out, done.err) == (0, "", "")
    assert f"{AOL} permit_auth_destination\n" in safelist.map.read_text()


def test_json_of_a_run(safelist: Command) -> None:
    done = safelist("sync", "--publish", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["summary"]["collected"] == 3
    assert done.json["summary"]["added"] == 6
    assert {row["mailbox"]: row["added"] for row in done.json["mailboxes"]} == {
        f"desk{n}@corp.example": 2 for n in range(3)
    }
    (published,) = done.json["published"]
    assert (published["entries"], published["changed"], published["added"]) == (1, True, [AOL])


def test_a_failed_mailbox_is_one_line_and_exit_75(safelist: Command, organisation: Organisation) -> None:
    organisation.mailboxes["desk1@corp.example"].impersonation = False
    done = safelist("sync", "--publish")
    assert done.code == 75
    (line,) = done.err.splitlines()
    assert line.startswith("safelist: desk1@corp.example: ")
    assert "ApplicationImpersonation" in line
    assert AOL in safelist.map.read_text()


def test_rooms_among_the_mailboxes_are_named_to_who_looks(safelist: Command, organisation: Organisation) -> None:
    organisation.room_lists = {
        "first@corp.example": ("Desk1@corp.example", "hall@corp.example"),
        "second@corp.example": ("desk2@corp.example",),
    }
    assert safelist("sync", "--json").json["rooms"] == ["desk1@corp.example", "desk2@corp.example"]
    code, seen = safelist.on_a_terminal("sync")
    assert code == 0
    assert "2 collected mailboxes are rooms (desk1@corp.example, ...) and have a vote" in seen
    done = safelist("sync")
    assert (done.code, done.out, done.err) == (0, "", "")
    organisation.faults.append(Fault(Trouble.SOAP_FAULT, None, operation="GetRoomLists", code="ErrorInvalidRequest"))
    done = safelist("sync", "--json")
    assert (done.code, done.json["rooms"]) == (0, [])


def test_rooms_that_the_policy_leaves_out_are_not_named(safelist: Command, organisation: Organisation) -> None:
    organisation.room_lists = {"first@corp.example": ("desk1@corp.example",)}
    text = safelist.config.read_text() + '\n[policy]\nexclude_mailboxes = ["desk1@corp.example"]\n'
    safelist.config.write_text(text)
    assert safelist("sync", "--json").json["rooms"] == []


def test_many_problems_of_one_cause_are_one_line(tmp_path: Path) -> None:
    organisation = Organisation.of(Mailbox(f"desk{n:02}@corp.example", impersonation=False) for n in range(30))
    with DemoServer(organisation) as server:
        command = Command(tmp_path)
        command.configure(server, list(organisation.mailboxes))
        command("db", "upgrade")
        done = command("sync")
        assert done.code == 75
        (line,) = done.err.splitlines()
        first = ", ".join(f"desk{n:02}@corp.example" for n in range(5))
        assert line.startswith(f"safelist: {first} and 25 more mailboxes (--json names them all): ")
        assert "ApplicationImpersonation" in line


def test_one_mailbox_of_thirty_that_never_ends_holds_nothing(tmp_path: Path) -> None:
    organisation = Organisation.of(
        Mailbox(f"desk{n:02}@corp.example", JunkRule(safe_senders=(AOL,))) for n in range(30)
    )
    organisation.mailboxes["desk00@corp.example"].faults.append(Fault(Trouble.ENDLESS_HEADER, times=None))
    with DemoServer(organisation) as server:
        command = Command(tmp_path)
        command.configure(server, list(organisation.mailboxes), exchange={"timeout": 2})
        command("db", "upgrade")
        done = command("sync", "--publish", "--json")
    assert done.code == 75
    assert [m["reason"] for m in done.json["mailboxes"] if m["outcome"] != "collected"] == ["timeout"]
    assert done.json["not_reached"] == []
    assert AOL in command.map.read_text()


def test_the_number_of_workers_for_one_run(safelist: Command, server: DemoServer) -> None:
    assert safelist("sync", "--workers", "1").code == 0
    assert server.connections == 2, "the first mailbox is asked alone, the others by one worker"
    assert safelist("sync", "--workers", "0").code == 64


def test_dry_run_shows_and_writes_nothing(safelist: Command) -> None:
    done = safelist("sync", "--dry-run", "--mailbox", "DESK1@corp.example")
    assert done.code == 0
    assert done.out.splitlines() == [
        f"+ desk1@corp.example: Safe Senders: {AOL}",
        "+ desk1@corp.example: Safe Senders: own1@partner.example",
        "1 mailbox: 1 collected; 2 entries new, 0 gone; nothing was written",
    ]
    assert "no mailbox has" in safelist("audit", "who", AOL).err
    as_json = safelist("sync", "--dry-run", "--json").json
    assert as_json["mailboxes"][0]["added"][0] == {"list": "safe-senders", "entry": AOL, "refused": None}


def test_audit_answers(safelist: Command, organisation: Organisation) -> None:
    safelist("sync")
    organisation.mailboxes["desk0@corp.example"].set_rule(JunkRule(safe_sender_domains=("@aol.com",)))
    safelist("sync")
    rows = safelist("audit", "who", AOL.upper(), "--json").json["entries"]
    assert {(row["mailbox"], row["entry"], row["list"], row["until"] is None) for row in rows} == {
        ("desk0@corp.example", AOL, "safe-senders", False),
        ("desk0@corp.example", "aol.com", "safe-sender-domains", True),
        ("desk1@corp.example", AOL, "safe-senders", True),
        ("desk2@corp.example", AOL, "safe-senders", True),
    }
    shown = safelist("audit", "who", AOL).out
    assert "Safe Senders (domain)" in shown
    mailbox = safelist("audit", "mailbox", "desk1@corp.example", "--json").json
    assert (mailbox["outcome"], mailbox["entries_open"], mailbox["entries_refused"]) == ("unchanged", 2, 0)
    assert "own1@partner.example" in safelist("audit", "mailbox", "desk1@corp.example").out
    assert safelist("audit", "mailbox", "nobody@corp.example").code == 64


def test_hostile_entries_reach_no_terminal(safelist: Command, organisation: Organisation) -> None:
    organisation.mailboxes["desk0@corp.example"].set_rule(
        JunkRule(safe_senders=("\x1b]0;owned\x07[red]x", "a\u202eb@c.example"))
    )
    safelist("sync", "--mailbox", "desk0@corp.example")
    for arguments in (("audit", "mailbox", "desk0@corp.example"), ("audit", "mailbox", "desk0@corp.example", "--json")):
        code, seen = safelist.on_a_terminal(*arguments)
        assert code == 0
        assert "\x1b]0;" not in seen
        assert "\u202e" not in seen
    assert "[red]x" in safelist("audit", "mailbox", "desk0@corp.example").out


def test_a_terminal_gets_a_summary_and_colour_only_if_wanted(safelist: Command) -> None:
    code, seen = safelist.on_a_terminal("sync", "--json", "--dry-run")
    assert (code, json.loads(seen)["summary"]["collected"]) == (0, 3)
    code, seen = safelist.on_a_terminal("sync", NO_COLOR="1")
    assert code == 0
    assert "3 mailboxes: 3 collected; 6 entries new, 0 gone" in seen
    assert "\x1b[3" not in seen
    assert "\x1b[1" not in safelist.on_a_terminal("audit", "who", AOL, NO_COLOR="1", TERM="dumb")[1]


def test_second_sync_at_the_same_time_exits_75(
    safelist: Command, server: DemoServer, organisation: Organisation
) -> None:
    safelist.configure(server, list(organisation.mailboxes), exchange={"timeout": 60})
    organisation.faults.append(Fault(Trouble.SLOW, 1, seconds=5))
    lock = safelist.database.with_name("safelist.db.exchange.lock")
    with subprocess.Popen(safelist.line("sync"), env=safelist.environment) as first:
        assert until(lambda: lock.exists() and lock.read_text())
        first.send_signal(signal.SIGSTOP)  # it is at work, however long the second takes
        try:
            done = safelist("sync")
        finally:
            first.send_signal(signal.SIGCONT)
        assert done.code == 75
        assert str(first.pid) in done.err
        assert first.wait(60) == 0


def test_ctrl_c_ends_with_130_and_keeps_what_was_recorded(
    safelist: Command, server: DemoServer, organisation: Organisation
) -> None:
    safelist.configure(server, list(organisation.mailboxes), exchange={"timeout": 60})
    organisation.mailboxes["desk2@corp.example"].faults.append(Fault(Trouble.SLOW, 1, seconds=30))
    # What runs these tests in the background may have had SIGINT ignored, and its children inherit that.
    command = ["env", "--default-signal=INT", *safelist.line("sync")]
    with subprocess.Popen(command, env=safelist.environment, stderr=subprocess.PIPE) as first:
        assert until(lambda: safelist("audit", "who", AOL, "--json").json["entries"])
        first.send_signal(signal.SIGINT)
        _, err = first.communicate(timeout=60)
        assert first.returncode == 130, err
        assert b"Traceback" not in err
    assert safelist("sync").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sync", "--nonsense"], 64, "--nonsense"),
        (["nonsense"], 64, "nonsense"),
        (["sync", "--mailbox", "no address"], 64, "'no address' is not an e-mail address"),
        (["sync", "--type", "everything"], 64, "everything"),
        (["publish", "exim"], 64, "no [publish.exim]"),
        (["audit", "who"], 64, "SENDER"),
        (["sync", "--config", "/none.toml"], 78, "safelist init"),
        (["config", "check", "--config", "/none.toml"], 78, "safelist init"),
    ],
    ids=str,
)
def test_mistakes_have_codes_and_words(safelist: Command, arguments: list[str], code: int, words: str) -> None:
    done = safelist(*arguments)
    assert done.code == code
    assert words in done.err
    assert "Traceback" not in done.err


def test_wrong_password_is_77_and_no_endpoint_69(
    safelist: Command, server: DemoServer, organisation: Organisation
) -> None:
    good = safelist.config.read_text()
    safelist.config.write_text(good.replace(organisation.account.password, "hunter2"))
    done = safelist("sync")
    assert done.code == 77
    assert "hunter2" not in done.err + done.out
    assert len(server.requests) <= 2
    safelist.config.write_text(good.replace(f":{server.port}/", ":9/"))
    done = safelist("sync")
    assert done.code == 69
    assert "127.0.0.1:9" in done.err


def test_old_and_missing_databases_get_a_clear_message(safelist: Command) -> None:
    def is_refused(because: str) -> bool:
        done = safelist("audit", "who", AOL)
        return (done.code, because in done.err, "run `safelist db upgrade`" in done.err) == (78, True, True)

    with contextlib.closing(sqlite3.connect(safelist.database)) as connection, connection:
        assert connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0001'").rowcount == 1
    assert is_refused("its schema 0001 is older than")
    safelist.config.write_text(safelist.config.read_text().replace("state/safelist.db", "none/safelist.db"))
    assert is_refused("there is no database yet")


def test_init_writes_a_commented_configuration_once(tmp_path: Path) -> None:
    command = Command(tmp_path / "etc")
    command.directory.mkdir()
    url = f"sqlite:///{tmp_path}/state/safelist.db"
    done = command("init", "--database", url, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {
        "config": str(command.config),
        "config_written": True,
        "database": f"{tmp_path}/state/safelist.db",
    }
    assert command.config.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state" / "safelist.db").exists()
    checked = command("config", "check")
    assert checked.code == 78
    assert [line.split(": ")[2] for line in checked.err.splitlines()][:2] == ["exchange", "mailboxes"]
    command.config.write_text("# mine\n" + command.config.read_text())
    assert command("init", "--json").json["config_written"] is False
    assert command.config.read_text().startswith("# mine")


def test_init_lets_the_group_read_what_it_writes_into_the_group_s_directory(tmp_path: Path) -> None:
    """As /etc/safelist is for those who collect and publish."""
    (tmp_path / "etc").mkdir(mode=0o755)
    (tmp_path / "etc").chmod(0o2755)
    safelist, config = Command(tmp_path), tmp_path / "etc" / "safelist.toml"
    assert safelist("init", "--config", str(config), "--database", f"sqlite:///{tmp_path}/x.db").code == 0
    assert config.stat().st_mode & 0o777 == 0o640


def test_init_leaves_nothing_behind_when_the_url_is_wrong(tmp_path: Path) -> None:
    command = Command(tmp_path)
    assert command("init", "--database", "bogus").code == 78
    assert not command.config.exists()


def a_day_passes(safelist: Command) -> None:
    with contextlib.closing(sqlite3.connect(safelist.database)) as connection, connection:
        assert connection.execute("UPDATE run SET started = started - 86400").rowcount > 0


def test_cron_is_told_of_leavers_once_a_day(safelist: Command, server: DemoServer) -> None:
    safelist("sync")
    safelist.configure(server, ["desk0@corp.example"])
    assert safelist("sync", "--dry-run").err == ""
    done = safelist("sync", "--publish")
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        "safelist: 2 collected mailboxes no longer named in [mailboxes] still count; for those that are gone: "
        "safelist forget desk1@corp.example desk2@corp.example\n"
    )
    assert safelist("sync").err == ""
    a_day_passes(safelist)
    assert "safelist forget desk1@corp.example desk2@corp.example" in safelist("sync").err
    assert safelist("forget", "desk1@corp.example").code == 0
    a_day_passes(safelist)
    assert "1 collected mailbox no longer named" in safelist("sync").err
    assert safelist("forget", "desk2@corp.example").code == 0
    a_day_passes(safelist)
    assert safelist("sync").err == ""


def test_forget_ends_what_a_leaver_trusted(safelist: Command, server: DemoServer) -> None:
    safelist("sync", "--publish")
    safelist.configure(server, ["desk0@corp.example"])
    assert "no longer named in [mailboxes] still count" in safelist.on_a_terminal("sync")[1]
    assert safelist("sync", "--json").json["not_named"] == ["desk1@corp.example", "desk2@corp.example"]
    done = safelist("forget", "desk1@corp.example", "DESK2@corp.example", "--json")
    assert [row["ended"] for row in done.json["forgotten"]] == [2, 2]
    assert safelist("publish", "--dry-run").out.splitlines() == [
        f"- {safelist.map}: {AOL}",
        f"{safelist.map}: would be written: 0 entries, 0 new, 1 gone",
        f"postfix asks it with: check_sender_access texthash:{safelist.map}",
    ]
    answer = safelist("audit", "who", AOL, "--json").json
    assert answer["decisions"][0]["reason"] == "below-quorum"
    assert sum(row["until"] is not None for row in answer["entries"]) == 2
    assert safelist("forget", "nobody@corp.example").code == 64
    safelist.configure(server, ["desk0@corp.example", "desk1@corp.example"])
    assert safelist("sync", "--json").json["summary"]["collected"] == 1


def test_config_check_looks_at_what_the_file_points_to(safelist: Command, server: DemoServer) -> None:
    assert safelist("config", "check").code == 0
    safelist.configure(
        server, [], mailboxes={"file": str(safelist.directory / "none")}, database={"url": "sqlite:////none/x.db"}
    )  # fmt: skip
    text = safelist.config.read_text().replace(str(safelist.map), "/none/map")
    safelist.config.write_text(text.replace("secret = ", "secret_file = "))
    done = safelist("config", "check")
    assert done.code == 78
    for words in ("exchange.secret_file", "mailboxes.file", "/none/x.db", "/none/map"):
        assert words in done.err


def test_closed_and_full_outputs(safelist: Command) -> None:
    environment = os.environ | {"SAFELIST_CONFIG": str(safelist.config)}

    def run(line: str, first: str = "") -> subprocess.CompletedProcess[bytes]:
        command = first + line.replace("safelist", f"{sys.executable} -m safelist", 1)
        return subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=False)

    assert run("safelist sync >&-").returncode == 0
    closed = run("safelist sync --json 2>&-")
    assert (closed.returncode, json.loads(closed.stdout)["problem"]) == (0, None)
    full = run("safelist --version >/dev/full")
    assert full.returncode == 69
    assert b"the output: cannot be written: No space left on device" in full.stderr
    limited = run(f"safelist --version >{safelist.directory}/limited", first="ulimit -f 0; ")
    assert limited.returncode == 69
    assert b"the output: cannot be written: File too large" in limited.stderr


def test_config_check_as_json(safelist: Command) -> None:
    assert safelist("config", "check", "--json").json["faults"] == []
    safelist.config.write_text(safelist.config.read_text() + "\n[policy]\nquorum = 0\n")
    done = safelist("config", "check", "--json")
    assert done.code == 78
    assert "policy.quorum" in done.json["faults"][0]


def test_a_group_that_cannot_be_expanded_is_a_problem(safelist: Command, server: DemoServer) -> None:
    safelist.configure(server, ["desk0@corp.example"], mailboxes={"groups": ["none@corp.example"]})
    done = safelist("sync")
    assert done.code == 75
    assert "none@corp.example" in done.err


def test_db_verify_counts(safelist: Command) -> None:
    safelist("sync")
    assert safelist("db", "verify", "--json").json == {"wrong": []}


def test_version(safelist: Command) -> None:
    assert safelist("--version").out.startswith("safelist ")


def test_completion_is_installed_where_the_shell_finds_it(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def bash(line: str) -> str:
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    bash("safelist --install-completion; exit $?")  # the exit keeps bash there, which typer looks for
    assert "complete" in bash("safelist --show-completion; exit $?")
    ask = "COMP_WORDS=(safelist audit w) COMP_CWORD=2; _safelist_completion safelist; echo ${COMPREPLY[@]}"
    assert bash(f". ~/.bashrc; {ask}") == "who why\n"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"audit who {AOL} --json", 0),
        ("audit history", 0),
        ("audit mailbox nobody@corp.example --json", 64),
        ("sync --help", 0),
        ("filter sample", 0),
    ],
)
def test_a_reader_that_leaves_is_no_error(safelist: Command, line: str, code: int) -> None:
    safelist("sync")
    line = f"{sys.executable} -m safelist {line} | sleep 0; exit ${{PIPESTATUS[0]}}"
    # Unbuffered, the answer meets the closed pipe before the command knows its code.
    environment = os.environ | {"SAFELIST_CONFIG": str(safelist.config), "PYTHONUNBUFFERED": ""}
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (code, b"")
    assert len(done.stderr.splitlines()) == (1 if code else 0)


def test_no_work_is_left_undone_because_nobody_reads_the_problems(
    safelist: Command, organisation: Organisation
) -> None:
    organisation.mailboxes["desk1@corp.example"].impersonation = False
    line = f"{{ {sys.executable} -m safelist sync --publish; echo $? > {safelist.directory}/code; }} 2>&1 | sleep 0"
    environment = os.environ | {"SAFELIST_CONFIG": str(safelist.config)}
    subprocess.run(["bash", "-c", line], env=environment, capture_output=True, check=False)
    assert (safelist.directory / "code").read_text() == "75\n"
    assert AOL in safelist.map.read_text()


def test_an_answer_goes_into_the_file_although_the_bar_is_on_a_terminal(safelist: Command) -> None:
    answer = safelist.directory / "answer"
    shell = f"{sys.executable} -m safelist sync --dry-run --mailbox desk1@corp.example > {answer}"
    code, seen = safelist.in_a_process_on_a_terminal("sh", "-c", shell)
    assert code == 0
    assert AOL not in seen
    assert answer.read_text().splitlines() == [
        f"+ desk1@corp.example: Safe Senders: {AOL}",
        "+ desk1@corp.example: Safe Senders: own1@partner.example",
        "1 mailbox: 1 collected; 2 entries new, 0 gone; nothing was written",
    ]


def test_tables_and_help_use_the_width_that_is_there(safelist: Command) -> None:
    safelist("sync")
    narrow = safelist.on_a_terminal("audit", "who", AOL, COLUMNS="70", NO_COLOR="1")[1]
    lines = re.sub(r"\x1b\[[0-9]*m", "", narrow).splitlines()
    table = lines[: next(at for at, line in enumerate(lines) if line.startswith(f"{AOL}: "))]
    assert len(table) > 4
    assert all(len(line) <= 70 for line in table)
    assert not any(AOL in line and "desk0@corp.example" in line for line in table)
    wide = safelist.on_a_terminal("audit", "who", AOL, COLUMNS="160", NO_COLOR="1")[1]
    assert any(AOL in line and "desk0@corp.example" in line for line in wide.splitlines())
    piped = safelist("audit", "who", AOL).out.splitlines()
    assert any(AOL in line and "desk0@corp.example" in line for line in piped)
    helps = {width: safelist("sync", "--help", COLUMNS=width).out.splitlines() for width in ("60", "120")}
    assert max(map(len, helps["60"])) <= 60 < 80 < max(map(len, helps["120"])) <= 120
    assert "...\n" not in safelist("audit", "--help").out.partition("Commands:")[2]


def test_demo_runs_the_main_job(tmp_path: Path) -> None:
    command, place = Command(tmp_path), tmp_path / "demo"
    done = command("demo", "--directory", str(place), http_proxy="http://127.0.0.1:9")  # as a proxy that knows us not
    assert done.code == 0, done.err
    assert "accounts.desk@aol.com" in done.out
    assert "permit_auth_destination" in done.out
    suggested = [line.split()[1:] for line in done.out.splitlines() if f" -c {place}/safelist.toml" in line]
    suggested = [words for words in suggested if words[0] != "web"]  # which serves until it is stopped
    assert len(suggested) == 5
    said = {" ".join(words[:2]): command(*words) for words in suggested}
    assert [(name, each.code, each.err) for name, each in said.items() if (each.code, each.err) != (0, "")] == []
    assert "safelist would have let 7 mails through" in said[f"rejections {place}/mail.log"].out
    used = json.loads(command("audit", "used", "-c", f"{place}/safelist.toml", "--json").out)
    assert AOL in [each["sender"] for each in used]
    again = command("demo", "--directory", str(place))
    assert again.code == 64
    assert "nothing was changed" in again.err


def test_the_demo_stays_in_its_directory_whatever_that_is_called(tmp_path: Path) -> None:
    """A URL takes what stands behind ``?`` or ``#`` for something else."""
    place = tmp_path / "demo?of#all"
    assert Command(tmp_path)("demo", "--directory", str(place)).code == 0
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("demo")] == [place.name]
    assert (place / "safelist.db").stat().st_size > 0


def test_demo_lifts_a_listed_sender_and_no_forged_one(tmp_path: Path) -> None:
    """Over Postfix's policy protocol, by the filter itself; which then goes on until Ctrl-C."""
    command, place, errors = Command(tmp_path), tmp_path / "demo", tmp_path / "errors"
    line = command.line("demo", "--json", "--serve", "--directory", str(place))
    with (
        errors.open("wb") as said,
        subprocess.Popen(
            ["env", "--default-signal=INT", *line], env=command.environment, stdout=subprocess.PIPE, stderr=said
        ) as serving,
    ):
        assert until(lambda: "--recipient" in errors.read_text(), 120)
        asked = command(*errors.read_text().splitlines()[-1].partition("and safelist ")[2].split(), "--json").json
        serving.send_signal(signal.SIGINT)
        printed, _ = serving.communicate(timeout=60)
        assert (serving.returncode, "Traceback" in errors.read_text()) == (130, False)
    done = json.loads(printed)
    assert (done["found"][AOL], done["found"]["stranger@aol.com"]) == ("permit_auth_destination", "")
    assert done["published"]["target"] == "postfix"
    answers = [(each["sender"], each["says"].split(";")[0], each["reason"]) for each in done["filter"]]
    lifted = "PREPEND X-Safelist: lifted the listing by Spamhaus ZEN ({}, authentication holds)"
    refused = "550 5.7.1 Recipient not authorized, your IP has been found on a block list (Spamhaus ZEN)"
    assert answers == [
        (AOL, lifted.format("quorum"), "lifted"),
        (AOL, refused, "not-authenticated"),
        ("quotes.small@aol.com", lifted.format("trusted-address"), "lifted"),
        ("stranger@aol.com", refused, "listed"),
    ]
    assert "SPF of aol.com: fail" in done["filter"][1]["why"]
    assert asked["says"] == lifted.format("quorum")


def test_a_target_that_fails_does_not_keep_the_next_one_from_its_turn(safelist: Command, server: DemoServer) -> None:
    """on_change fails, then the file itself; the snapshot goes on holding what an administrator decided."""
    snapshot = safelist.directory / "filter" / "snapshot"
    snapshot.parent.mkdir(mode=0o750)
    both = {
        "publish.postfix": {"on_change": "sh -c 'echo queue is down >&2; exit 3'"},
        "publish.filter": {"path": str(snapshot)},
    }
    safelist.configure(server, [f"desk{n}@corp.example" for n in range(3)], **both)
    done = safelist("sync", "--publish", "--json")
    assert done.code == 69
    (line,) = done.err.splitlines()
    assert "was written, but on_change" in line
    map_, filter_ = done.json["published"]
    assert (map_["added"], "queue is down" in map_["error"]) == ([AOL], True)
    assert (filter_["changed"], filter_["error"]) == (True, None)
    first = snapshot.read_bytes()
    assert safelist("override", "block", AOL, "--reason", "phishing").code == 0
    safelist.map.write_text("mine\n")
    done = safelist("publish", "--json")
    assert done.code == 78
    assert [(row["target"], row["error"] is None) for row in done.json] == [("postfix", False), ("filter", True)]
    assert snapshot.read_bytes() != first
    history = safelist("audit", "history", "--json").out
    assert "queue is down" in history
    assert "safelist did not write this file" in history


@pytest.mark.parametrize("how", ["no endpoint", "no secret"])
def test_a_run_that_cannot_begin_publishes_what_was_decided(safelist: Command, server: DemoServer, how: str) -> None:
    assert safelist("sync", "--publish").code == 0
    assert AOL in safelist.map.read_text()
    assert safelist("override", "block", AOL, "--reason", "phishing").code == 0
    if how == "no endpoint":
        nowhere = {"endpoint": "http://127.0.0.1:9/EWS/Exchange.asmx"}
        safelist.configure(server, ["desk0@corp.example"], exchange=nowhere, mailboxes={"groups": ["all@x.example"]})
    else:
        text = safelist.config.read_text().replace("secret = ", 'secret_env = "NOT_SET"\n# ')
        safelist.config.write_text(text)
    done = safelist("sync", "--publish")
    assert done.code == (69 if how == "no endpoint" else 78)
    (line,) = done.err.splitlines()
    assert ("no mailbox was asked" if how == "no endpoint" else "exchange.secret_env") in line
    assert AOL not in safelist.map.read_text()


def test_config_check_says_what_is_not_published_yet(safelist: Command) -> None:
    (note,) = safelist("config", "check", "--json").json["notes"]
    assert f"{safelist.map} is not there: run `safelist publish` before" in note
    assert safelist("publish", "--json").json[0]["use"] == f"check_sender_access texthash:{safelist.map}"
    assert f"check_sender_access texthash:{safelist.map}" in safelist.on_a_terminal("publish", "--dry-run")[1]
    assert safelist("config", "check", "--json").json["notes"] == []
    assert safelist("publish").out == ""


@pytest.mark.parametrize("script", ["echo fatal: no main.cf >&2; exit 1", "echo wrong; exit 75", "kill -9 $$"])
def test_demo_asks_nothing_of_a_postfix_that_does_not_work(tmp_path: Path, script: str) -> None:
    for name in ("postmap", "postconf"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    done = Command(tmp_path)("demo", "--json", PATH=f"{tmp_path}:{os.environ['PATH']}", MAIL_CONFIG="/nowhere")
    assert (done.code, done.json["found"][AOL], done.json["found"]["stranger@aol.com"]) == (
        0, "permit_auth_destination", "",
    ), done.err  # fmt: skip


def test_who_waited_for_another_publication_knows_what_was_said_meanwhile(safelist: Command) -> None:
    assert safelist("sync", "--publish").code == 0
    lock = safelist.map.with_name(".map.lock")
    with alone(safelist.map):
        waiting = subprocess.Popen(safelist.line("publish"), env=safelist.environment)
        assert until(lambda: str(lock) in opened_by(waiting.pid))
        assert safelist("override", "block", AOL, "--reason", "forged").code == 0
    assert waiting.wait(60) == 0
    assert AOL not in safelist.map.read_text()


def opened_by(pid: int) -> set[str]:
    """The files that a process has open, and may close while one looks."""
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(each.readlink()))
    return found
