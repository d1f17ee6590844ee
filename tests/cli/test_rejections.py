"""``safelist rejections`` as an administrator runs it, before anything is switched on."""

import csv
import io
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.cli.command import Command
from tests.cli.conftest import AOL
from tests.filter.dns_server import nameserver
from tests.rejections import exchange_logs
from tests.rejections.cases.exchange import EXCHANGE_AGENT, EXCHANGE_TRACKING

OWN = "own1@partner.example"
ME, OTHER = "desk1@corp.example", "desk0@corp.example"
BLOCKED = "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org; listed"
HOSTILE = "=cmd|' /C calc'!A0\x1b[31m@aol.com"


def now() -> datetime:
    """Asked by each test: midnight may come between the first and the last of them."""
    return datetime.now(UTC).replace(microsecond=0)


def line(sender: str, recipient: str, at: datetime | None = None, reply: str = BLOCKED) -> str:
    said = f"reject: RCPT from unknown[192.0.2.9]: {reply}; from=<{sender}> to=<{recipient}> proto=ESMTP helo=<x>"
    return f"{(at or now()).isoformat()} mx postfix/smtpd[123]: NOQUEUE: {said}\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    path.write_text(
        line(AOL, ME) + line(AOL, ME, now() + timedelta(seconds=1))  # its own list; a retry
        + line(AOL, "nobody@corp.example")  # quorum
        + line(OWN, ME) + line(OWN, OTHER)  # one trusts it, for whom it counts; not for the other
        + line("spam@evil.example", ME) + line("", ME) + line(HOSTILE, ME)
        + line("x@y.example", ME, reply="550 5.1.1 <desk1@corp.example>: Recipient address rejected: User unknown")
    )  # fmt: skip
    return path


@pytest.fixture
def synced(safelist: Command) -> Command:
    assert safelist("sync").code == 0
    return safelist


def test_it_says_what_would_have_been_saved(synced: Command, log: Path) -> None:
    done = synced("rejections", str(log))
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) <= 10
    assert "8 mails were refused in 9 attempts; 7 of them because of DNS blocklists (87.5 %)." in done.out
    assert "Most by zen.spamhaus.org 7." in done.out
    assert "would have let 3 mails through (42.9 %), of 2 senders to 2 recipients" in done.out
    assert "the recipient trusts the address 2, enough mailboxes trust the sender 1" in done.out
    not_safe = "too few mailboxes trust the sender (below-quorum) 1."
    assert f"A list or an override names the senders of 1 mail more, but they are not safe: {not_safe}" in done.out
    assert "In nobody's list: 2. The log does not tell who sent, or to whom: 1." in done.out
    assert "aol.com 2 of 3, partner.example 1 of 2" in done.out


def test_ten_lines_say_it_also_where_there_is_most_to_say(synced: Command, log: Path) -> None:
    refused = "status=bounced (host mx.partner.example[192.0.2.51] said: 554 no (in reply to RCPT TO command))"
    bounced = f"to=<{OWN}>, relay=mx.partner.example[192.0.2.51]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, {refused}"
    with log.open("a") as file:
        file.write(f"{now().isoformat()} mx postfix/smtp[1]: 4F1D20C3A: {bounced}\n")
        file.write(f"{(now() - timedelta(days=9)).isoformat()} mx postfix/smtpd[1]: NOQUEUE: reject: cut\n")
        file.write(line(AOL, ME, now() - timedelta(days=9)))
    said = synced("rejections", str(log)).out.splitlines()
    begins = (
        "Read", "Not all was read", "9 mails", "safelist would", "Why", "A list or", "In nobody", "1 mail came",
        "By the senders' domains", "Other servers refused 1 mail",
    )  # fmt: skip
    assert all(each.startswith(begin) for each, begin in zip(said, begins, strict=True))


def test_figures_and_mails_as_json(synced: Command, log: Path) -> None:
    found = synced("rejections", str(log), "--json", "--saved").json
    assert (found["mails"], found["attempts"], found["by_dns_lists"], found["unread"]) == (8, 9, 7, 0)
    assert found["rescue"]["lifted"] == 3
    reasons = {(each["rescue"], each["reason"]): each["mails"] for each in found["rescue"]["reasons"]}
    assert reasons == {
        ("lifted", "trusted-address"): 2, ("lifted", "quorum"): 1, ("refused", "below-quorum"): 1,
        ("nobodys", "nobody"): 2, ("unknown", None): 1,
    }  # fmt: skip
    saved = {(each["sender"], each["recipient"]) for each in found["saved"]}
    assert saved == {(AOL, ME), (AOL, "nobody@corp.example"), (OWN, ME)}
    for each in found["saved"]:
        why = synced("audit", "why", each["sender"], "--recipient", each["recipient"], "--json").json
        assert (why["safe"], why["reason"]) == (True, each["reason"])


def test_tables_and_csv_hold_nothing_that_harms(synced: Command, log: Path) -> None:
    shown = synced("rejections", str(log), "--tables", "--saved", "--unread")
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert f"safelist audit why {AOL} --recipient" in shown.out
    rows = list(csv.DictReader(io.StringIO(synced("rejections", str(log), "--csv").out)))
    assert len(rows) == 8
    hostile = [row for row in rows if "calc" in row["sender"]]
    assert [row["sender"] for row in hostile] == ["'" + HOSTILE.replace("\x1b", "\\x1b")]
    assert {row["line"] for row in rows if row["sender"] == AOL} == {"1", "3"}
    assert [(row["rescue"], row["reason"], row["attempts"]) for row in rows if row["line"] == "1"] == [
        ("lifted", "trusted-address", "2")
    ]


def test_without_an_aggregate_it_still_says_what_was_rejected(safelist: Command, log: Path) -> None:
    for arguments in (("--logs-only",), ("--logs-only", "--json")):
        done = safelist("rejections", str(log), *arguments)
        assert done.code == 0
    assert done.json["rescue"] is None
    assert done.json["providers"] == [{"provider": "zen.spamhaus.org", "mails": 7, "attempts": 8, "lifted": None}]


def test_a_mail_is_judged_by_the_lists_of_its_day(synced: Command, tmp_path: Path) -> None:
    """What came before the first collection is judged by that; what an override said later does not count for it."""
    old = now() - timedelta(days=3)
    (tmp_path / "old.log").write_text(line(AOL, ME, old) + line("late@evil.example", ME, old))
    assert synced("override", "allow", "late@evil.example", "--reason", "a test").code == 0
    (tmp_path / "new.log").write_text(line("late@evil.example", ME))
    found = synced("rejections", str(tmp_path / "old.log"), "--json", "--saved").json
    assert [each["sender"] for each in found["saved"]] == [AOL]
    assert found["rescue"]["older_than_first_collection"] == 2
    found = synced("rejections", str(tmp_path / "new.log"), "--json", "--saved").json
    assert [(each["sender"], each["reason"]) for each in found["saved"]] == [("late@evil.example", "enforced-allow")]


def test_spf_is_asked_as_it_is_today(synced: Command, log: Path) -> None:
    zone = {
        "aol.com": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]},
        "partner.example": {"TXT": ["v=spf1 ip4:198.51.100.1 -all"]},
    }
    with nameserver(zone) as server:
        asked = "{}:{}".format(*server.address)
        done = synced("rejections", str(log), "--spf", "--nameserver", asked, "--json", "--saved")
        assert {(each["sender"], each["spf_today"]) for each in done.json["saved"]} == {(AOL, "pass"), (OWN, "fail")}
        assert done.json["rescue"]["spf_today"] == {"pass": 2, "fail": 1}
        said = synced("rejections", str(log), "--spf", "--nameserver", asked).out
    assert "Today SPF says: pass 2, fail 1; the records may have been others then." in said


def bounced(recipient: str, host: str, reply: str) -> str:
    said = f"to=<{recipient}>, relay={host}[192.0.2.20]:25, delay=0.5, delays=0/0/0/0, dsn=5.0.0, status=bounced"
    why = f"host {host}[192.0.2.20] said: {reply} (in reply to end of DATA command)"
    return f"{now().isoformat()} mx postfix/smtp[9]: 4XyZ0123: {said} ({why})\n"


def test_what_other_servers_say_tells_whose_box_it_is(safelist: Command, tmp_path: Path) -> None:
    """The same words of a scanner from servers that have nothing in common are said on this side."""
    scanned = "554 Permanent scan failure. Email Session ID: {4E6B-0-1-2}"
    (tmp_path / "log").write_text(
        "".join(bounced(f"you@{name}.example", f"mx.{name}.example", scanned) for name in ("one", "two", "three"))
        + bounced("me@four.example", "mx.four.example", "550 5.7.1 \x1b[31mnot you")
    )
    found = safelist("rejections", str(tmp_path / "log"), "--logs-only", "--explain", "--json").json
    assert found["bounced"] == 4
    assert [(each["fingerprint"], each["side"], each["domains"]) for each in found["refused_by_others"]] == [
        ("check-point", "ours", 3), (None, "theirs", 1),
    ]  # fmt: skip
    said = safelist("rejections", str(tmp_path / "log"), "--logs-only", "--explain")
    assert "the box is on your side of the path" in said.out
    assert "Other servers refused 4 mails of this site" in said.out
    assert "\x1b" not in said.out


def test_only_some_days(synced: Command, tmp_path: Path) -> None:
    today = now()
    days = [today - timedelta(days=n) for n in range(5)]
    (tmp_path / "log").write_text("".join(line(f"a{n}@x.example", ME, day) for n, day in enumerate(days)))
    since, until = (days[n].date().isoformat() for n in (3, 1))
    found = synced("rejections", str(tmp_path / "log"), "--since", since, "--until", until, "--json").json
    assert (found["mails"], found["first_day"], found["last_day"]) == (3, since, until)


def test_the_last_second_of_a_day_is_all_of_it(safelist: Command, tmp_path: Path) -> None:
    last = now().replace(hour=23, minute=59, second=59, microsecond=900_000) - timedelta(days=1)
    (tmp_path / "log").write_text(line(AOL, ME, last))
    day, before = (each.date().isoformat() for each in (last, last - timedelta(days=1)))
    for arguments, mails in ((("--until", day), 1), (("--since", day), 1), (("--until", before), 0)):
        assert safelist("rejections", str(tmp_path / "log"), "--logs-only", "--json", *arguments).json["mails"] == mails


def test_it_reads_standard_input(safelist: Command, log: Path) -> None:
    done = safelist("rejections", "-", "--logs-only", "--json", given=log.read_bytes())
    assert done.json["mails"] == 8
    assert done.json["logs"][0]["file"] == "standard input"


def test_a_line_that_cannot_be_read_is_counted_and_shown(safelist: Command, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("2026-11-26T10:00:00+00:00 mx postfix/smtpd[1]: NOQUEUE: reject: \x1b[31mGARBAGE\n" + line(AOL, ME))
    done = safelist("rejections", str(path), "--logs-only", "--unread")
    assert done.code == 0
    assert "1 line looks like a rejection and could not be read (--unread shows it)" in done.out
    assert f"{path}:1: " in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 64, "name a log, such as /var/log/mail.log"),
        (("/no/such.log",), 64, "/no/such.log: there is no such file"),
        (("-", "--format", "sendmail"), 64, "--format: 'sendmail' is none of postfix"),
        (("-", "--timezone", "Mars/Base"), 64, "--timezone: 'Mars/Base' is no zone"),
        (("-", "--timezone", "../../etc/passwd"), 64, "is no zone"),
        (("-", "--since", "soon"), 64, "--since"),
        (("-", "--spf", "--nameserver", "dns.example"), 64, "--nameserver: write an IP address"),
    ],
)
def test_a_wrong_question_says_what_to_do(safelist: Command, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = safelist("rejections", *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err


def test_a_log_of_something_else_is_named(safelist: Command, tmp_path: Path) -> None:
    (tmp_path / "other.log").write_text("hello\n")
    done = safelist("rejections", str(tmp_path / "other.log"), "--logs-only")
    assert done.code == 0
    assert "other.log: no line of it is a rejection in a form that safelist knows" in done.err


def test_exchange_s_directory_is_read_as_exchange_names_its_files(safelist: Command, tmp_path: Path) -> None:
    """One mail stands in the protocol log and in the agent log, which names the list; empty files are none."""
    (logs := tmp_path / "logs").mkdir()
    mail = exchange_logs.SentMail("bob@aol.com", (("you@corp.example", exchange_logs.ON_A_LIST),))
    talk = [exchange_logs.Conversation(n, f"192.0.2.{8 + n}", (mail,)) for n in range(1, 40)]
    received = exchange_logs.protocol_log(talk, Random(1))
    hours = exchange_logs.hour_files(received)
    assert len(hours) > 1
    for hour, content in enumerate(hours, 8):
        (logs / f"RECV20261127{hour:02}-1.LOG").write_bytes(content)
    (logs / "SEND2026112708-1.LOG").write_bytes(b"")
    for name, case in (("AgentLog2026112708-1.LOG", EXCHANGE_AGENT), ("MSGTRK2026112708-1.LOG", EXCHANGE_TRACKING)):
        (logs / name).write_text("".join(f"{line}\r\n" for line in (*case.head, *case.lines)), newline="")
    done = safelist("rejections", str(logs), "--logs-only", "--timezone", "UTC")
    assert (done.code, done.err) == (0, "")
    kinds = ("SMTP protocol log", "anti-spam agent log", "message tracking log")
    assert all(f"Exchange's {kind}" in done.out.splitlines()[0] for kind in kinds)
    assert "Most by (not named) 38, Spamhaus ZEN 1." in done.out
    parts = [(logs / f"RECV20261127{hour:02}-1.LOG").read_bytes() for hour, _ in enumerate(hours, 8)]
    joined = safelist("rejections", "-", "--logs-only", given=b"".join(parts)).out
    assert joined.splitlines()[1].startswith("39 mails were refused; 39 of them because of DNS blocklists (100 %).")


def test_the_command_that_explains_a_mail_names_the_configuration_that_was_named(synced: Command, log: Path) -> None:
    """As whoever tries the demo's does; it runs as it is printed."""
    done = synced("rejections", str(log), "--saved", "--config", str(synced.config), SAFELIST_CONFIG="")
    program, *words = shlex.split(done.out.splitlines()[-1].removeprefix("Why: "))
    assert (program, words[-2:]) == ("safelist", ["--config", str(synced.config)])
    assert "safe" in synced(*words, SAFELIST_CONFIG="").out
    assert "--config" not in synced("rejections", str(log), "--saved").out
