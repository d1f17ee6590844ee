"""`safelist failure`: a mailbox that nobody mends does not fail every run, and is not forgotten either."""

import pytest

from tests.cli.command import Command
from tests.exchange import Fault, Organisation, Trouble

BOSS = "desk1@corp.example"
WHY = "the works council said no"


@pytest.fixture
def denied(safelist: Command, organisation: Organisation) -> Command:
    """One of three mailboxes may not be read."""
    assert safelist("sync").code == 0
    organisation.mailboxes[BOSS].impersonation = False
    done = safelist("sync")
    assert done.code == 75
    assert done.err.startswith(f"safelist: {BOSS}: ")
    return safelist


def test_what_is_acknowledged_fails_no_run(denied: Command, organisation: Organisation) -> None:
    done = denied("failure", "acknowledge", BOSS.upper(), "--reason", WHY, "--expires", "30d", "--ticket", "HR-7")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{BOSS}: denied is acknowledged until 20")
    assert denied("sync") == type(done)(0, "", "")
    assert "1 of the failures is acknowledged" in denied.on_a_terminal("sync")[1]
    results = denied("sync", "--json").json["mailboxes"]
    assert {each["mailbox"]: (each["outcome"], each["acknowledged"]) for each in results} == {
        "desk0@corp.example": ("unchanged", False), BOSS: ("failed", True), "desk2@corp.example": ("unchanged", False),
    }  # fmt: skip
    organisation.mailboxes["desk2@corp.example"].impersonation = False
    done = denied("sync")
    assert done.code == 75
    assert BOSS not in done.err


def test_another_failure_is_not_covered(denied: Command, organisation: Organisation) -> None:
    assert denied("failure", "acknowledge", BOSS, "--reason", WHY).code == 0
    boss = organisation.mailboxes[BOSS]
    boss.impersonation = True
    boss.faults.append(Fault(Trouble.SOAP_FAULT, None, code="ErrorNonExistentMailbox"))
    done = denied("sync")
    assert (done.code, done.err.startswith(f"safelist: {BOSS}: ")) == (75, True)
    (row,) = denied("failure", "list", "--json").json
    assert (row["failure"], row["acknowledged"]) == ("not-found", None)


def test_what_is_revoked_fails_the_run_again_and_the_history_tells_of_both(denied: Command) -> None:
    listed = denied("failure", "list").out
    assert (BOSS in listed, WHY in listed) == (True, False)
    (made,) = denied("failure", "acknowledge", BOSS, "--reason", WHY, "--actor", "the desk", "--json").json
    assert (made["mailbox"], made["failure"]) == (BOSS, "denied")
    (row,) = denied("failure", "list", "--json").json
    assert (row["mailbox"], row["failure"], row["reason"]) == (BOSS, "denied", WHY)
    assert row["by"].startswith("the desk (by ")
    listed = denied("failure", "list").out
    assert all(text in listed for text in (BOSS, "denied", WHY, "the desk"))
    assert denied("failure", "list", "--csv").out.count("\n") == 2
    assert "fails a run again" in denied("failure", "revoke", BOSS, "--reason", "solved").out
    assert denied("sync").code == 75
    events = denied("audit", "history", "--mailbox", BOSS, "--json").json
    told = [(each["what"], each["detail"]) for each in events if "acknowledge" in each["what"]]
    assert [what for what, _ in told] == ["failure-acknowledged", "acknowledgement-revoked"]
    assert told[0][1].startswith("denied until ")
    assert told[0][1].endswith(f": {WHY}")
    assert told[1][1] == "solved"
    assert denied("audit", "verify").code == 0


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("acknowledge", "desk0@corp.example", "--reason", "x"), "did not fail when it was asked last"),
        (("acknowledge", "nobody@corp.example", "--reason", "x"), "was never collected"),
        (("acknowledge", "nobody", "--reason", "x"), "is not an e-mail address"),
        (("acknowledge", BOSS, "--reason", " "), "--reason: is empty"),
        (("acknowledge", BOSS, "--reason", "x\n"), ""),
        (("acknowledge", BOSS, "--reason", "x", "--expires", "never"), "--expires: must be within 1y"),
        (("acknowledge", BOSS, "--reason", "x", "--expires", "400d"), "--expires: must be within 1y"),
        (("acknowledge", BOSS, "--reason", "x", "--expires", "2001-01-01"), "--expires: 2001-01-01 is past"),
        (("revoke", BOSS, "--reason", "x"), "no failure of desk1@corp.example is acknowledged"),
    ],
)
def test_what_cannot_be_is_refused(denied: Command, arguments: tuple[str, ...], fault: str) -> None:
    done = denied("failure", *arguments)
    assert done.code == (64 if fault else 0)
    assert fault in done.err


def test_a_rule_that_vanished_cannot_be_acknowledged(safelist: Command, organisation: Organisation) -> None:
    assert safelist("sync").code == 0
    organisation.mailboxes[BOSS].remove_rule()
    assert safelist("sync").code == 75
    done = safelist("failure", "acknowledge", BOSS, "--reason", "x")
    assert (done.code, "is vanished, which a later run believes" in done.err) == (64, True)
    assert "no mailbox failed" in safelist("failure", "list").err
