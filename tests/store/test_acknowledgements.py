"""Acknowledged failures in the database: made, replaced, revoked, in the history and in the chain; targets' states."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from safelist.errors import UsageError
from safelist.override import State
from safelist.store import EventKind, KnownFailure, Outcome, PublishedFile, Store, TargetState, Window
from tests.store.conftest import Fill
from tests.store.samples import LATER, NOW, SAFE, SEEN, entries
from tests.store.test_chain import problem, tamper

BOSS, SHOP = "boss@corp.example", "shop@corp.example"
END = NOW + timedelta(days=90)
DENIED = KnownFailure(BOSS, "denied", "the works council said no", "T-7", END)
GONE = KnownFailure(SHOP, "not-found", "moves in spring", None, END)


def test_an_acknowledgement_comes_back_as_it_was_made(opened: Store) -> None:
    made = opened.acknowledge([DENIED, GONE], NOW, "alice")
    assert opened.acknowledgements() == made
    first, second = made
    assert (first.id, first.known, first.made, first.actor, first.state(NOW)) == (1, DENIED, NOW, "alice", "in-force")
    assert (second.id, second.known, second.state(END)) == (2, GONE, State.EXPIRED)
    (run,) = opened.last_runs(9)
    assert (run.what, run.actor, dict(run.counts)) == ("failure", "alice", {"acknowledged": 2})


def test_another_about_the_same_mailbox_takes_its_place(opened: Store) -> None:
    opened.acknowledge([DENIED], NOW, "alice")
    (new,) = opened.acknowledge([DENIED._replace(failure="timeout")], LATER, "bob")
    old, there = opened.acknowledgements()
    assert (old.revoked, old.revoked_by, old.revoked_why) == (LATER, "bob", "acknowledged anew")
    assert there == new
    assert there.in_force(LATER)
    assert not old.in_force(LATER)


def test_revoking_names_those_without_any(opened: Store) -> None:
    opened.acknowledge([DENIED], NOW, "alice")
    with pytest.raises(UsageError, match=r"no failure of shop@corp\.example is acknowledged"):
        opened.revoke_acknowledgements([BOSS, SHOP], "solved", LATER, "bob")
    assert opened.acknowledgements()[0].in_force(LATER)
    assert opened.revoke_acknowledgements([BOSS], "solved", LATER, "bob") == [1]
    assert opened.acknowledgements()[0].state(LATER) is State.REVOKED
    with pytest.raises(UsageError, match=r"no failure of boss@corp\.example"):
        opened.revoke_acknowledgements([BOSS], "again", LATER, "bob")


def test_the_history_tells_of_them(opened: Store) -> None:
    opened.acknowledge([DENIED, GONE], NOW, "alice")
    opened.revoke_acknowledgements([BOSS], "solved", LATER, "bob")
    told = [(e.at, str(e.kind), e.mailbox, e.actor) for e in opened.events(Window(now=END))]
    assert told == [
        (NOW, "failure-acknowledged", BOSS, "alice"), (NOW, "failure-acknowledged", SHOP, "alice"),
        (LATER, "acknowledgement-revoked", BOSS, "bob"), (END, "acknowledgement-expired", SHOP, ""),
    ]  # fmt: skip
    of_shop = [e.kind for e in opened.events(Window(mailbox=SHOP, now=LATER))]
    assert of_shop == [EventKind.FAILURE_ACKNOWLEDGED]
    assert list(opened.events(Window(senders=("a@x.example",), now=END))) == []


def both_ways(opened: Store) -> None:
    opened.acknowledge([DENIED, GONE], NOW, "alice")
    opened.revoke_acknowledgements([SHOP], "solved", LATER, "bob")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE acknowledgement SET expires = expires + 1 WHERE id = 1",
        "UPDATE acknowledgement SET mailbox = 'c@corp.example' WHERE id = 1",
        "UPDATE acknowledgement SET failure = 'timeout' WHERE id = 1",
        "UPDATE acknowledgement SET reason = 'none' WHERE id = 1",
        "UPDATE acknowledgement SET revoked = NULL WHERE id = 2",
        "UPDATE acknowledgement SET revoked_why = 'never' WHERE id = 2",
        "UPDATE acknowledgement SET revoked_why = 'never' WHERE id = 1",
        "DELETE FROM acknowledgement WHERE id = 1",
        "INSERT INTO acknowledgement (id, made, mailbox, failure, reason, expires) VALUES (9, 99, 'x@y', 'z', 'w', 1)",
        "INSERT INTO acknowledgement (id, made, mailbox, failure, reason, expires) VALUES (9, 1, 'x@y', 'z', 'w', 1)",
    ],
)
def test_whatever_is_changed_is_noticed(copied: Callable[[Fill], str], statement: str) -> None:
    url = copied(both_ways)
    assert problem(url) is None
    tamper(url, statement)
    assert problem(url) is not None


def test_states_of_targets_are_replaced(opened: Store) -> None:
    assert opened.target_state("postfix", "/map") is None
    state = TargetState("postfix", "/map", NOW, 3, (PublishedFile("/map", "ab" * 32, ("/map", "/map.db")),))
    opened.confirm_target(state)
    assert opened.target_state("postfix", "/map") == state
    later = state._replace(confirmed=LATER, entries=4, files=())
    run = opened.begin_run(NOW, "sync", "root")
    opened.confirm_target(later)
    assert opened.target_state("postfix", "/map") == later._replace(after_run=run)
    assert opened.target_state("postfix", "/other") is None
    assert opened.last_published("postfix", "/map") is None


def test_what_is_asked_of_mailboxes(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root", "exchange")
    for address in (BOSS, SHOP, "c@corp.example"):
        opened.record(run, address, SEEN._replace(owner=address), entries("a@x.example"), SAFE, NOW)
    opened.end_run(run, NOW, {}, None)
    run = opened.begin_run(LATER, "sync", "root", "exchange")
    opened.note(run, BOSS, LATER, Outcome.FAILED, "denied", "no right")
    opened.note(run, SHOP, LATER, Outcome.UNCHANGED)
    assert opened.outcomes() == {"exchange": {"failed": 1, "unchanged": 1, "collected": 1}}
    assert [(t.address, t.reason, t.problem, t.answered) for t in opened.troubled()] == [
        (BOSS, "denied", "no right", NOW)
    ]
    assert [t.address for t in opened.stale(LATER)] == [BOSS, "c@corp.example"]
    assert [t.address for t in opened.not_asked_since("exchange", LATER)] == ["c@corp.example"]
    assert opened.not_asked_since("another", LATER) == []
    assert [(r.id, r.finished) for r in opened.runs_of("sync", "exchange")] == [(run, None), (run - 1, NOW)]
    opened.note(run, "c@corp.example", LATER, Outcome.FORGOTTEN)
    assert "forgotten" not in opened.outcomes()["exchange"]
