"""``safelist audit`` as an auditor runs it."""

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from safelist import store, used
from safelist.junkrule import JunkRule
from safelist.override import Authentication, Effect, Terms
from safelist.sender import parse
from tests.cli.command import Command
from tests.cli.conftest import AOL
from tests.exchange import DemoServer, Mailbox, Organisation

LATER = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
"""Also where midnight comes between this and the tests."""
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()


@pytest.fixture
def synced(safelist: Command) -> Command:
    assert safelist("sync", "--publish").code == 0
    return safelist


def rows(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def tamper(safelist: Command, *statements: str) -> None:
    with closing(sqlite3.connect(safelist.database)) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0


def test_why_explains_in_words_json_and_csv(synced: Command) -> None:
    done = synced("audit", "why", AOL)
    assert done.code == 0
    assert done.out.startswith(f"{AOL} to anybody, as of ")
    assert "safe if dkim-or-spf holds (quorum): 3 mailboxes trust" in done.out
    assert "Row 10 of the policy's table decides." in done.out
    found = synced("audit", "why", AOL, "--recipient", "desk1@corp.example", "--json").json
    assert (found["safe"], found["reason"], found["authentication"]) == (True, "trusted-address", "dkim-or-spf")
    assert [(row["reason"], row["decides"]) for row in found["rows"]] == [("trusted-address", True), ("quorum", False)]
    assert {entry["mailbox"] for entry in found["entries"]} == {f"desk{n}@corp.example" for n in range(3)}
    table = rows(synced("audit", "why", "own1@partner.example", "--csv").out)
    assert [(row["safe"], row["reason"], row["authentication"]) for row in table] == [("false", "below-quorum", "")]


def test_why_says_that_a_blocked_address_takes_its_domain_out_of_the_map(synced: Command) -> None:
    for effect, whom in (("allow", "half.example"), ("block", "bob@half.example")):
        done = synced("override", effect, whom, "--reason", "a test", *(["--with-subdomains"] * (effect == "allow")))
        assert done.code == 0, done
    assert synced("publish").code == 0
    assert "half.example DUNNO" in synced.map.read_text().splitlines()
    for sender in ("friend@half.example", "half.example"):
        found = synced("audit", "why", sender, "--json").json
        assert found["safe"] is True
        assert "bob@half.example must be an exception" in found["left_out"]["postfix"]
    assert synced("audit", "why", "friend@a.half.example").out.count("bob@half.example must be an exception") == 1


def test_the_last_voter_takes_the_entry_out_at_the_next_publish(synced: Command, organisation: Organisation) -> None:
    assert f"{AOL} permit" in synced.map.read_text()
    for n in (0, 1):
        organisation.mailboxes[f"desk{n}@corp.example"].set_rule(JunkRule(safe_senders=(f"own{n}@partner.example",)))
    assert synced("sync", "--publish").code == 0
    assert AOL not in synced.map.read_text()
    assert "no-longer-safe" in synced("audit", "changes", "--since", "2").out
    assert synced("audit", "why", AOL, "--json").json["reason"] == "below-quorum"


def test_an_override_is_published_and_taken_back(synced: Command) -> None:
    assert synced("override", "allow", "new@aol.com", "--reason", "customer").code == 0
    assert synced("override", "block", AOL, "--reason", "phished", "--actor", "robot").code == 0
    assert synced("publish").code == 0
    assert "new@aol.com permit" in synced.map.read_text()
    assert AOL not in synced.map.read_text()
    assert synced("audit", "why", AOL, "--recipient", "desk1@corp.example", "--json").json["reason"] == "enforced-block"
    assert synced("override", "revoke", "2", "--reason", "was a mistake").code == 0
    assert synced("publish").code == 0
    assert f"{AOL} permit" in synced.map.read_text()
    whats = [row["what"] for row in synced("audit", "history", "--json").json if not row["mailbox"]]
    assert sorted(whats) == sorted(["override-made"] * 2 + ["override-revoked"] + ["published"] * 3)
    by = {row["by"] for row in synced("audit", "history", "--sender", AOL, "--json").json if row["override"]}
    assert any(name.startswith("robot (by ") for name in by)


def test_what_a_wrong_clock_recorded_is_shown_and_marked(synced: Command) -> None:
    ahead = "UPDATE change_set SET at = at + 315360000"
    tamper(synced, ahead)
    done = synced("audit", "history")
    assert done.out.count("already there at the first collection; dated ahead: the clock was wrong") == 6
    assert "dated ahead: the clock was wrong" in synced("audit", "why", AOL).out
    assert synced("audit", "why", AOL, "--json").json["reason"] == "quorum"
    assert "first seen" in synced("audit", "who", AOL).out
    assert {e["at_first_collection"] for e in synced("audit", "who", AOL, "--json").json["entries"]} == {True}
    done = synced("sync")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("safelist: the clock says ")
    assert "timedatectl" in done.err
    assert synced("sync").err == ""


def test_overrides_that_a_wrong_clock_recorded_hold_and_are_marked(synced: Command) -> None:
    """A block of whom three trust, and an allow that was taken back, both while the clock said ten years more."""
    ahead = datetime.now(UTC) + timedelta(days=3650)
    block = Terms(Effect.BLOCK, parse(AOL), "phished")
    allow = Terms(Effect.ALLOW, parse("bob@partner.example"), "asked for", authentication=Authentication.NONE)
    with store.open_store(f"sqlite:///{synced.database}") as opened:
        opened.make_overrides([block], ahead, "root")
        opened.make_overrides([allow], ahead - timedelta(days=1), "root")
        opened.revoke_overrides([2], "over", ahead, "root")
    listed = synced("override", "list", "--all", "--json").json
    assert [(row["override"], row["state"]) for row in listed] == [(1, "in-force"), (2, "revoked")]
    shown = synced("override", "show", "1").out
    assert f"{ahead:%Y-%m-%d %H:%M} UTC (dated ahead: the clock was wrong when it was recorded) by root" in shown
    assert synced("audit", "why", AOL, "--json").json["reason"] == "enforced-block"
    assert synced("audit", "why", "bob@partner.example", "--json").json["reason"] == "nobody"
    assert synced("publish").code == 0
    assert "@" not in "".join(line for line in synced.map.read_text().splitlines() if not line.startswith("#"))
    told = [row for row in synced("audit", "history", "--json").json if row["override"]]
    assert [(row["what"], row["override"]) for row in told] == [
        ("override-made", 2), ("override-made", 1), ("override-revoked", 2),
    ]  # fmt: skip
    assert all("dated ahead" in row["detail"] for row in told)
    changed = synced("audit", "changes", "--since", YESTERDAY, "--json").json
    assert [row["override"] for row in changed["changes"] if row["what"] == "override-made"] == [1]
    assert synced("override", "revoke", AOL, "--reason", "over").code == 0
    assert synced("audit", "why", AOL, "--json").json["reason"] == "quorum"


def test_history_is_in_order_and_filtered(synced: Command) -> None:
    everything = synced("audit", "history", "--json").json
    assert [row["at"] for row in everything] == sorted(row["at"] for row in everything)
    assert sum(row["what"] == "entry-added" for row in everything) == 6
    mine = rows(synced("audit", "history", "--mailbox", "desk1@corp.example", "--csv").out)
    assert {(row["mailbox"], row["sender"]) for row in mine} == {
        ("desk1@corp.example", AOL), ("desk1@corp.example", "own1@partner.example"),
    }  # fmt: skip
    assert len(synced("audit", "history", "--sender", AOL, "--json").json) == 3
    assert synced("audit", "history", "--actor", "nobody else", "--json").json == []
    assert synced("audit", "history", "--until", YESTERDAY, "--json").json == []
    assert len(synced("audit", "history", "--since", YESTERDAY, "--json").json) == len(everything)
    assert synced("audit", "history", "--actor", "nobody else").out == ""


def test_a_failed_run_is_in_the_history(synced: Command, organisation: Organisation) -> None:
    organisation.mailboxes["desk1@corp.example"].impersonation = False
    synced("sync")
    last = synced("audit", "history", "--json").json[-1]
    assert (last["what"], last["detail"]) == ("run-failed", "sync: mailboxes: 1 failed")
    synced.map.write_text("not ours\n")
    assert synced("publish").code == 78
    last = synced("audit", "history", "--json").json[-1]
    assert last["what"] == "run-failed"
    assert "did not write this file" in last["detail"]


def test_a_publication_is_recorded_once(synced: Command) -> None:
    for _ in range(2):
        assert synced("publish").code == 0
    published = [row for row in synced("audit", "history", "--json").json if row["what"] == "published"]
    assert len(published) == 1
    assert "1 entries, 1 new, 0 gone" in published[0]["detail"]
    synced.map.unlink()
    assert synced("publish").code == 0
    assert len([r for r in synced("audit", "history", "--json").json if r["what"] == "published"]) == 1


def test_as_of_yesterday_there_was_nothing(synced: Command) -> None:
    assert synced("audit", "who", AOL, "--at", YESTERDAY, "--json").json["entries"] == []
    assert synced("audit", "why", AOL, "--at", YESTERDAY, "--json").json["reason"] == "nobody"
    assert synced("audit", "mailbox", "desk1@corp.example", "--at", YESTERDAY, "--json").json["entries"] == []
    now = datetime.now(UTC).isoformat(timespec="seconds")
    assert len(synced("audit", "who", AOL, "--at", now, "--json").json["entries"]) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("who", AOL, "--at", LATER),
        ("who", AOL, "--at", "tomorrow"),
        ("who", AOL, "--at", "9999-12-31T23:59:59-14:00"),
        ("who", AOL, "--at", "9" * 5000),
        ("who", AOL, "--json", "--csv"),
        ("why", AOL, "--recipient", "nobody"),
        ("history", "--mailbox", "partner.example"),
        ("history", "--sender", ""),
        ("changes", "--since", "4711"),
        ("changes", "--since", "١"),
        ("verify", "--contains", "abc"),
        ("verify", "--contains", "ä" * 64),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_exit_64(synced: Command, arguments: tuple[str, ...]) -> None:
    done = synced("audit", *arguments)
    assert (done.code, done.out) == (64, "")
    assert done.err.startswith("safelist: ")
    assert len(done.err.splitlines()) == 1


def test_verify_names_the_break_and_says_what_to_do(synced: Command) -> None:
    done = synced("audit", "verify")
    assert done.code == 0
    head = done.out.split()[-1]
    assert synced("audit", "verify", "--contains", head).code == 0
    assert synced("audit", "verify", "--contains", "00" * 31 + "01").code == 65
    second = "WHERE mailbox_id = 2"
    tamper(synced, f"DELETE FROM entry {second} AND pattern_id = (SELECT min(pattern_id) FROM entry {second})")
    done = synced("audit", "verify")
    assert done.code == 65
    # Which of the three is recorded second is up to the workers.
    assert re.search(r"change set 4 \(entries of desk\d@corp\.example, run 1: sync by ", done.err)
    assert "do not publish" in done.err
    found = synced("audit", "verify", "--json")
    assert (found.code, found.json["change_sets"]) == (65, 3)


def test_verify_recounts_the_votes_that_publishing_believes(synced: Command) -> None:
    tamper(synced, "UPDATE pattern SET trusted_by = 9 WHERE text = 'own1@partner.example'")
    done = synced("audit", "verify")
    assert done.code == 65
    assert "own1@partner.example: 9, not 1" in done.err


def test_the_report_is_written_for_its_owner_only(synced: Command, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert synced("audit", "report", "--html", str(page)).code == 0
    text = page.read_text()
    assert AOL in text
    assert synced("audit", "verify", "--json").json["head"] in text
    assert page.stat().st_mode & 0o777 == 0o600
    done = synced("audit", "report", "--html", str(tmp_path / "nowhere" / "report.html"))
    assert (done.code, len(done.err.splitlines())) == (69, 1)
    assert synced("audit", "report", "--html", str(tmp_path)).code == 69


def test_spreadsheets_and_terminals_are_not_fooled(safelist: Command, organisation: Organisation) -> None:
    hostile = ("=cmd|' /c calc'!a1@x.example", "+1@x.example", "-2@x.example", "@evil\x1b[2J", '"\n",x')
    organisation.mailboxes["desk0@corp.example"].set_rule(JunkRule(safe_senders=hostile))
    safelist("sync")
    for arguments in (("mailbox", "desk0@corp.example"), ("history",)):
        found = rows(safelist("audit", *arguments, "--csv").out)
        cells = [cell for row in found for cell in row.values() if cell]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
        assert "'+1@x.example" in cells
        assert "\x1b" not in safelist("audit", *arguments).out


def test_changes_for_a_weekly_mail(synced: Command, organisation: Organisation) -> None:
    organisation.mailboxes["desk0@corp.example"].set_rule(JunkRule(safe_senders=(AOL, "own1@partner.example")))
    synced("sync")
    found: Any = synced("audit", "changes", "--since", "1", "--json").json["changes"]
    assert [(row["what"], row["sender"], row["mailbox"]) for row in found] == [
        ("now-safe", "own1@partner.example", None),
        ("entry-added", "own1@partner.example", "desk0@corp.example"),
        ("entry-removed", "own0@partner.example", "desk0@corp.example"),
    ]
    week = rows(synced("audit", "changes", "--csv").out)
    assert sum(row["what"] == "entry-added" for row in week) == 6
    assert synced("audit", "changes", "--until", YESTERDAY, "--json").json["changes"] == []


def test_answers_of_a_mailbox_that_was_never_collected(synced: Command) -> None:
    done = synced("audit", "mailbox", "nobody@corp.example", "--json")
    assert (done.code, json.loads(done.out)) == (64, None)
    assert "never collected" in done.err


def test_questions_about_a_mailbox_that_was_never_collected_are_answered_and_end_with_64(synced: Command) -> None:
    why = synced("audit", "why", AOL, "--recipient", "nobody@corp.example", "--json")
    assert (why.code, why.json["safe"], why.json["reason"]) == (64, True, "quorum")
    history = synced("audit", "history", "--mailbox", "nobody@corp.example", "--json")
    assert (history.code, history.json) == (64, [])
    for done in (why, history):
        assert done.err == (
            "safelist: nobody@corp.example was never collected; is it in [mailboxes]? The answer knows nothing of its "
            "lists\n"
        )


def test_own_domains_come_from_the_collected_mailboxes(synced: Command, organisation: Organisation) -> None:
    organisation.mailboxes["desk0@corp.example"].set_rule(JunkRule(safe_senders=("boss@corp.example",)))
    synced("sync")
    assert synced("audit", "why", "boss@corp.example", "--json").json["reason"] == "own-domain"
    assert isinstance(organisation.mailboxes["desk0@corp.example"], Mailbox)


def test_used_and_never_used_entries(synced: Command, server: DemoServer, organisation: Organisation) -> None:
    assert synced("audit", "used").code == 78
    path = synced.directory / "used.db"
    snapshot = {"path": str(synced.directory / "snapshot"), "used": str(path)}
    synced.configure(server, list(organisation.mailboxes), **{"publish.filter": snapshot})
    assert synced("audit", "used").code == 77
    uses = used.UseBuffer()
    uses.note(used.Key("trusted-address", "own1@partner.example", "desk1@corp.example"), datetime.now(UTC))
    used.add(path, uses.take())
    (row,) = rows(synced("audit", "used", "--csv").out)
    assert (row["sender"], row["mailbox"], row["times"]) == ("own1@partner.example", "desk1@corp.example", "1")
    assert [row["sender"] for row in synced("audit", "used", "--never", "--json").json] == [AOL]
    uses.note(used.Key("quorum", AOL, ""), datetime.now(UTC))
    used.add(path, uses.take())
    done = synced("audit", "used", "--never")
    assert (done.code, done.out, done.err) == (0, "", "safelist: every sender that is safe for everybody was needed\n")
    assert synced("publish").code == 0
    assert (synced.directory / "snapshot").stat().st_mode & 0o777 == 0o640
