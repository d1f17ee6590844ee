"""Every page over the real socket of the real command: who sees what, what is recorded, and what is refused."""

import csv
import io
import json
import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from safelist import audit, store
from safelist.cli.configuration import load_config
from safelist.web.believed_connection import MOST_STRANGERS
from tests.cli import in_process
from tests.waiting import until
from tests.web.site import AOL, AUDITOR, HELPDESK, HOSTILE, NOW, PAYLOAD, USER, Served, made, me, running

PAGES = ("/", "/search", "/sender", "/overrides", "/changes", "/rejections", "/looks", "/verify", "/report")
POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'"


def parsed(page: str) -> Any:
    return html.document_fromstring(page)


def cells(page: str, table: str) -> list[list[str]]:
    """The texts of a table's rows."""
    rows = parsed(page).xpath(f"//table[@aria-labelledby='{table}']/tbody/tr")
    return [[" ".join(cell.text_content().split()) for cell in row] for row in rows]


def menu(page: str) -> list[str]:
    return [link.text for link in parsed(page).xpath("//header//a")]


def said(page: str) -> str:
    """What the page says in its box."""
    return " ".join(parsed(page).find_class("alert")[0].text_content().split())


def by_command(site: Served, *arguments: str) -> Any:
    """What the command line answers, as JSON."""
    environment = {"SAFELIST_CONFIG": str(site.config), "HOME": str(site.directory), "PATH": "/usr/bin:/bin"}
    code, out, err = in_process.run([*arguments, "--json"], environment)
    assert code == 0, err
    return json.loads(out)


# What each role sees.


def test_a_user_sees_what_counts_and_why_the_rest_does_not(site: Served) -> None:
    answer = site.ask("/")
    rows = {row[0]: row for row in cells(answer.text, "trusted")}
    assert rows[AOL][2:4] == [
        "counts",
        f"{USER} has {AOL} among its Safe Senders (first seen {NOW:%Y-%m-%d}).trusted-address",
    ]
    assert rows[AOL][5] == f"{NOW:%Y-%m-%d}3 mails"
    assert rows["aol.com"][2] == "does not count"
    assert rows["aol.com"][3].endswith("only single addresses there can be safe.free-mail-domain")
    assert rows["boss@corp.example"][3].endswith("which nobody outside sends from.own-domain")
    assert rows["/o=corp/cn=old"][3].endswith("not-a-sender")
    assert rows["lonely@x.example"][2] == "counts"
    assert rows["lonely@x.example"][5] == "never"
    assert [row[0] for row in cells(answer.text, "others")] == ["spam@bulk.example"]
    assert menu(answer.text) == ["My safe senders"]


def test_the_sentences_are_those_of_the_policy(site: Served) -> None:
    config = load_config(site.config)
    page = " ".join(parsed(site.ask("/").text).text_content().split())
    with store.open_store(site.url) as opened:
        settings = config.policy.settings(opened.own_domains())
        for holding, _ in audit.mailbox(opened, USER, settings, NOW).holdings:  # type: ignore[union-attr]
            decision = audit.why(opened, holding.pattern.text, USER, settings, opened.newest(NOW)).decision
            assert "bulk.example" in holding.pattern.text or decision.sentence in page


def test_what_each_role_may_see(site: Served) -> None:
    seen = {user: [site.ask(path, user).status for path in PAGES] for user in (USER, HELPDESK, AUDITOR)}
    assert seen == {USER: [200] + [403] * 8, HELPDESK: [200] * 3 + [403] * 6, AUDITOR: [200] * 9}
    assert menu(site.ask("/", HELPDESK).text) == ["My safe senders", "Search", "Why"]
    assert menu(site.ask("/", AUDITOR).text) == [
        "My safe senders", "Search", "Why", "Overrides", "Changes", "Rejected mail", "Who looked", "Verify", "Report",
    ]  # fmt: skip
    assert "for the role helpdesk, and yours is user" in said(site.ask("/search").text)
    for path in ("/names", "/mailbox"):
        assert site.ask(path, USER, entry=AOL, address="third@corp.example").status == 403


def test_whoever_is_unknown_is_told_so(site: Served) -> None:
    for user, words in (
        (None, "did not say who you are (header X-Remote-User)"),
        ("stranger", "stranger@corp.example was never collected"),
        ("CORP\\bob", "not the address of a mailbox"),
    ):
        answer = site.ask("/", user)
        assert answer.status == 403
        assert words in said(answer.text)
    assert site.ask("/", "user@AD.EXAMPLE").status == 200


def test_search_by_a_part(site: Served) -> None:
    answer = site.ask("/search", HELPDESK, q="ESK@AOL")
    assert cells(answer.text, "senders") == [[AOL, "3"]]
    assert "No collected mailbox contains" in answer.text
    answer = site.ask("/search", HELPDESK, q="m12")
    links = parsed(answer.text).xpath("//ul/li/a[starts-with(@href, 'mailbox?')]")
    assert [link.text_content() for link in links] == [f"m{number}@corp.example" for number in range(120, 130)]
    answer = site.ask("/search", HELPDESK, q="corp")
    assert len(parsed(answer.text).xpath("//ul/li/a[starts-with(@href, 'mailbox?')]")) == 50
    assert "there are more" in answer.text
    assert "two characters or more" in site.ask("/search", HELPDESK, q="a").text
    assert "No list has or had an entry that contains <bdi>%%</bdi>" in site.ask("/search", HELPDESK, q="%%").text


def test_why_and_in_how_many_lists(site: Served) -> None:
    answer = site.ask("/sender", HELPDESK, sender=AOL)
    assert said(answer.text).startswith("Safe for the whole organisation, if dkim-or-spf holds: 3 mailboxes trust")
    assert [row[:3] for row in cells(answer.text, "counts")] == [
        [AOL, "Safe Senders", "3"], ["aol.com", "Safe Senders", "1"],
    ]  # fmt: skip
    assert "@corp.example" not in parsed(answer.text).xpath("//main")[0].text_content()
    assert said(site.ask("/sender", HELPDESK, sender="nobody@x.example").text).startswith("Not safe for the whole")
    strange = site.ask("/sender", HELPDESK, sender=AOL, recipient="strange@corp.example")
    assert "strange@corp.example was never collected" in parsed(strange.text).text_content()
    assert site.ask("/sender", HELPDESK, sender=AOL, recipient="no address").status == 400


def test_answers_are_those_of_the_command_line(site: Served) -> None:
    asked = site.ask("/sender", HELPDESK, sender=HOSTILE[0], form="json")
    wanted = by_command(site, "audit", "why", HOSTILE[0])
    same = ("sender", "safe", "reason", "why", "rows", "overrides", "advice", "left_out")
    assert {name: json.loads(asked.text)[name] for name in same} == {name: wanted[name] for name in same}
    assert wanted["reason"] == "enforced-block"
    asked = site.ask("/mailbox", AUDITOR, address=USER, form="json")
    assert json.loads(asked.text) == by_command(site, "audit", "mailbox", USER)
    asked = site.ask("/overrides", AUDITOR, form="json")
    assert json.loads(asked.text) == by_command(site, "override", "list", "--all")
    asked = site.ask("/changes", AUDITOR, since=f"{NOW:%Y-%m-%d}", form="json")
    wanted = by_command(site, "audit", "changes", "--since", f"{NOW:%Y-%m-%d}")
    assert json.loads(asked.text)["changes"] == wanted["changes"]
    assert len(wanted["changes"]) > 140


def test_files_are_safe_for_a_spreadsheet(site: Served) -> None:
    answer = site.ask("/overrides", AUDITOR, form="csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="overrides.csv"'
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["sender"] for row in rows} >= {HOSTILE[0], "\\u202egnp.exe@evil.example"}
    assert rows[0]["reason"].startswith(PAYLOAD)
    assert site.ask("/overrides", AUDITOR, form="xml").status == 400


def test_what_dns_blocklists_rejected(site: Served) -> None:
    answer = site.ask("/rejections", AUDITOR)
    assert cells(answer.text, "months") == [["2026-11", "1", "7", "7", "0", "0"]]
    assert cells(answer.text, "providers") == [[PAYLOAD, "7", "9", "7"]]


def test_the_record_is_verified_and_the_report_made_beside_the_pages(site: Served) -> None:
    assert "Nothing was verified" in site.ask("/verify", AUDITOR).text
    assert site.ask("/report", AUDITOR, form="html").status == 404
    site.ask("/verify", AUDITOR, begin="yes")
    assert until(lambda: "The record holds" in site.ask("/verify", AUDITOR).text)
    site.ask("/report", AUDITOR, begin="yes")
    assert until(lambda: "take it along" in site.ask("/report", AUDITOR).text)
    report = site.ask("/report", AUDITOR, form="html")
    assert report.headers["Content-Disposition"].startswith("attachment; ")
    assert "<strong>The chain of change sets holds:</strong>" in report.text
    assert site.looks()[-1] == (AUDITOR, "report", None, None, 133)


# What is recorded.


def test_looking_at_what_is_not_ones_own_is_recorded(tmp_path: Path) -> None:
    with running(site := made(tmp_path)):
        for path, query in (
            ("/", {}), ("/search", {"q": "corp"}), ("/sender", {"sender": AOL}), ("/mailbox", {"address": AUDITOR}),
            ("/sender", {"sender": AOL, "recipient": AUDITOR}), ("/overrides", {}), ("/rejections", {}), ("/looks", {}),
        ):  # fmt: skip
            site.ask(path, AUDITOR, **query)
        assert site.looks() == []
        site.ask("/mailbox", HELPDESK, address=USER)
        site.ask("/sender", HELPDESK, sender=AOL, recipient=USER)
        site.ask("/names", HELPDESK, entry=AOL)
        site.ask("/changes", AUDITOR)
        site.ask("/mailbox", AUDITOR, address=USER, form="csv")
        assert site.looks() == [
            (HELPDESK, "mailbox", USER, None, 1), (HELPDESK, "sender", USER, AOL, 1),
            (HELPDESK, "names", None, AOL, 3), (AUDITOR, "changes", None, None, 133),
            (AUDITOR, "mailbox", USER, None, 1),
        ]  # fmt: skip
        mine = cells(site.ask("/").text, "looks")
        assert [row[1:4] for row in mine] == [
            [AUDITOR, "auditor", "mailbox"], [HELPDESK, "helpdesk", "sender"], [HELPDESK, "helpdesk", "mailbox"],
        ]  # fmt: skip
        assert len(cells(site.ask("/looks", AUDITOR).text, "looks")) == 5
        assert by_command(site, "audit", "history", "--what", "looked", "--mailbox", USER)[0]["by"] == HELPDESK
        with store.open_store(site.url) as opened:
            assert audit.verify(opened).problem is None


def test_names_come_a_hundred_at_a_time(site: Served) -> None:
    names = []
    answer = site.ask("/names", HELPDESK, entry="popular@x.example")
    names += parsed(answer.text).xpath("//tbody//th//text()")
    assert len("".join(names).split(".example")) == 101
    (more,) = parsed(answer.text).xpath("//a[@rel='next']/@href")
    answer = site.ask(f"/{more}", HELPDESK)
    assert len(parsed(answer.text).xpath("//tbody/tr")) == 30
    assert parsed(answer.text).xpath("//a[@rel='next']") == []
    assert [look[4] for look in site.looks()[-2:]] == [100, 30]
    assert site.ask("/names", HELPDESK, entry="").status == 400
    assert site.ask("/names", HELPDESK, entry=AOL, after="no-place").status == 400


def test_what_cannot_be_recorded_is_not_shown(tmp_path: Path) -> None:
    with running(site := made(tmp_path)) as (_, log):
        with store.open_store(site.url) as opened, opened._writing() as connection:
            connection.exec_driver_sql("DELETE FROM chain")
        answer = site.ask("/mailbox", HELPDESK, address=USER)
        assert answer.status == 503
        assert AOL not in answer.text
        assert until(lambda: "/mailbox: the chain's head is missing" in log.read_text())
        assert site.ask("/", USER).status == 200


# What is refused, and what every answer has.


def test_headers_of_every_answer(site: Served) -> None:
    for path in (*PAGES, "/no-such-page"):
        headers = site.ask(path, AUDITOR).headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Set-Cookie"] is headers["Server"] is None


def test_only_reading(site: Served) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        answer = site.ask("/overrides", AUDITOR, method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert answer.headers["Content-Security-Policy"] == POLICY
    whole, head = site.ask("/overrides", AUDITOR), site.ask("/overrides", AUDITOR, "HEAD")
    assert (head.status, head.text) == (200, "")
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"X-Remote-User: otto\r\nX-Remote-User: user\r\n", 400), (b"X-Remote-User: ott\xc3\xb6\r\n", 400),
        (b"X-Remote-User: " + b"a" * 400 + b"\r\n", 400), (b"X-Junk: " + b"a" * 20_000 + b"\r\n", 431),
        (b"X_Remote_User: otto\r\n", 403), (b"X-Remote-User : otto\r\n", 400), (b"X-Remote-User: user\r\n", 200),
        (b"X-Remote-User: user\r\n X-Remote-User: otto\r\n", 403), (b"x-remote-user: user\r\n", 200),
    ],
)  # fmt: skip
def test_hostile_headers(site: Served, lines: bytes, status: int) -> None:
    answer = site.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n")
    assert answer.split(b" ")[1] == str(status).encode()


def test_hostile_addresses(site: Served) -> None:
    assert site.ask("/search?q=one&q=two", HELPDESK).status == 400
    assert site.ask("/search?q=" + "a" * 2100, HELPDESK).status == 414
    assert site.ask("/../../etc/passwd", AUDITOR).status == 404
    for path in ("/mailbox/", "/mailbox%2f", "/style.css/", "//mailbox"):
        answer = site.ask(path, HELPDESK)
        assert (answer.status, answer.headers["Location"]) == (404, None)
    assert site.ask("/changes?since=2026-02-30", AUDITOR).status == 400
    assert site.ask("/changes?since=9999-01-01", AUDITOR).status == 400
    assert site.ask("/changes?since=0001-01-01", AUDITOR).status == 200
    assert site.ask("/sender?sender=%00%ff%f0%9f", HELPDESK).status == 200
    assert site.ask("/names?entry=%00&after=%ff", HELPDESK).status == 400


def test_texts_from_outside_stay_texts(site: Served) -> None:
    shown = [
        site.ask("/mailbox", HELPDESK, address="second@corp.example"), site.ask("/overrides", AUDITOR),
        site.ask("/rejections", AUDITOR), site.ask("/changes", AUDITOR), site.ask("/search", HELPDESK, q="evil"),
        *(site.ask("/sender", HELPDESK, sender=text) for text in HOSTILE),
        *(site.ask("/names", HELPDESK, entry=text) for text in HOSTILE),
        site.ask("/search", HELPDESK, q=f'"><script>{PAYLOAD}'),
    ]  # fmt: skip
    for answer in shown:
        assert answer.status == 200
        tree = parsed(answer.text)
        assert not tree.xpath("//script | //img | //b | //*[local-name()='svg'] | //style | //iframe | //@style")
        assert not [name for e in tree.iter() if isinstance(e.tag, str) for name in e.attrib if name.startswith("on")]
        assert not re.search("[\0\x1b\x07\u202e]", answer.text)
    assert {"\\u202egnp.exe@evil.example", HOSTILE[0]} <= {row[0] for row in cells(shown[0].text, "trusted")}


# Who may connect, and where it listens.


def test_nobody_but_the_web_server_is_answered(tmp_path: Path) -> None:
    other = "nobody" if me() != "nobody" else "daemon"
    with running(site := made(tmp_path, (other,))) as (_, log):
        answer = site.ask("/", AUDITOR)
        assert answer.status == 403
        assert f"of {me()} (uid " in answer.text
        assert "safelist" in answer.text
        assert f"{me()} (uid" in log.read_text()
        assert "is none of [web] proxy_users: refused" in log.read_text()


def refused(site: Served, *options: str) -> str:
    """How the command ends where it does not begin."""
    line = [sys.executable, "-m", "safelist", "web", "--config", str(site.config), *options]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    return done.stderr


def test_strangers_take_no_place_of_the_web_server(tmp_path: Path) -> None:
    stranger = next(number for number in (1, 2) if number != os.getuid())
    site = made(tmp_path, (str(stranger),))
    with running(site), ExitStack() as opened:
        made_ = [opened.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(MOST_STRANGERS + 1)]
        for each in made_:
            each.settimeout(30)
            each.connect(str(site.socket))
        with suppress(ConnectionResetError):  # one too many is gone at once
            assert made_[-1].recv(1) == b""
        made_[0].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert made_[0].recv(12) == b"HTTP/1.1 403"
        for each in made_[1:-1]:
            with suppress(ConnectionResetError):  # who says nothing is not waited for
                assert each.recv(1) == b""
        assert site.ask("/").status == 403


def test_an_account_that_is_none_and_a_section_that_is_missing(tmp_path: Path) -> None:
    site = made(tmp_path, ("no-such-account",))
    assert "web.proxy_users: there is no account 'no-such-account' here" in refused(site)
    site.config.write_text(site.config.read_text().partition("[web]")[0])
    assert "web: the section is missing" in refused(site)


SYSTEMD = """\
import os, socket, sys
kind, where = sys.argv[1:3]
listening = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
listening.bind(where if kind == "unix" else ("127.0.0.1", 0))
listening.listen()
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "safelist", "web", "--config", sys.argv[3]])
"""
"""What systemd does with a socket unit."""


def test_a_socket_that_systemd_passes(tmp_path: Path) -> None:
    site, path = made(tmp_path), tmp_path / "passed"
    line = [sys.executable, "-c", SYSTEMD, "unix", str(path), str(site.config)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, (tmp_path / "log").open("w") as log:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "PATH": "/usr/bin"}
        process = subprocess.Popen(line, env=environment, cwd=Path(__file__).parents[2], stderr=log)
        try:
            assert manager.recv(100).splitlines()[0] == b"READY=1"
            assert Served(tmp_path).socket.exists() is False
            path.rename(site.socket)
            assert site.ask("/").status == 200
        finally:
            process.terminate()
        assert process.wait(60) == 0


def test_a_tcp_socket_that_systemd_passes_is_refused(tmp_path: Path) -> None:
    site = made(tmp_path)
    line = [sys.executable, "-c", SYSTEMD, "inet", "", str(site.config)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 78
    assert "over which anybody could name any user: write a path into ListenStream=" in done.stderr


def test_its_socket_is_gone_when_it_ends(tmp_path: Path) -> None:
    with running(site := made(tmp_path)):
        assert site.socket.is_socket()
    assert not site.socket.exists()
