"""Overrides in the database: made, repeated, contradicted, replaced, revoked."""

from datetime import timedelta
from typing import Any

import pytest

from safelist import sender
from safelist.errors import UsageError
from safelist.override import Authentication, Effect, Level, Terms
from safelist.policy import Settings
from safelist.store import ContradictionError, EventKind, Store, Window
from tests.store.samples import LATER, NOW

ALLOW = Terms(Effect.ALLOW, sender.parse("bob@aol.com"), "customer", ticket="T-1", expires=NOW + timedelta(days=30))
BLOCK = ALLOW._replace(effect=Effect.BLOCK, reason="phished", expires=None)


def runs(opened: Store) -> list[tuple[str, str, dict[str, int]]]:
    return [(run.what, run.actor, dict(run.counts)) for run in reversed(opened.last_runs(99))]


def test_an_override_comes_back_as_it_was_made(opened: Store) -> None:
    scoped = Terms(
        Effect.BLOCK, sender.parse(".bulk.example"), "nur für Müller 'x'; --", sender.parse("corp.example"),
        Level.DEFAULT, Authentication.NONE,
    )  # fmt: skip
    made = opened.make_overrides([ALLOW, scoped], NOW, "alice")
    assert [each.is_new for each in made] == [True, True]
    first, second = opened.overrides()
    assert (first.terms, second.terms) == (ALLOW, scoped)
    assert (first.id, first.made, first.actor, first.revoked) == (1, NOW, "alice", None)
    assert [each.override for each in made] == [first, second]
    assert runs(opened) == [("override", "alice", {"made": 2, "revoked": 0})]


def test_what_is_in_force_already_stays_and_no_run_is_noted(opened: Store) -> None:
    opened.make_overrides([ALLOW], NOW, "alice")
    (again,) = opened.make_overrides([ALLOW._replace(reason="other words")], LATER, "bob")
    assert (again.is_new, again.override.actor) == (False, "alice")
    assert len(opened.overrides()) == len(runs(opened)) == 1


def test_a_contradiction_is_refused_whole_and_names_what_is_there(opened: Store) -> None:
    opened.make_overrides([ALLOW], NOW, "alice")
    other = ALLOW._replace(pattern=sender.parse("new@aol.com"))
    with pytest.raises(ContradictionError, match=r"override 1 already allows bob@aol\.com for everybody") as caught:
        opened.make_overrides([other, BLOCK], NOW, "bob")
    assert [(found.at, found.override.id) for found in caught.value.found] == [(1, 1)]
    assert len(opened.overrides()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"scope": sender.parse("corp.example")},
        {"level": Level.DEFAULT},
        {"pattern": sender.parse("aol.com")},
        {"pattern": sender.parse(".aol.com")},
    ],
)
def test_another_subject_is_no_contradiction(opened: Store, change: dict[str, Any]) -> None:
    opened.make_overrides([ALLOW], NOW, "alice")
    (made,) = opened.make_overrides([BLOCK._replace(**change)], NOW, "bob")
    assert made.is_new


def test_replacing_revokes_the_old_one(opened: Store) -> None:
    opened.make_overrides([ALLOW], NOW, "alice")
    (made,) = opened.make_overrides([BLOCK], LATER, "bob", replace=True)
    assert made.replaced is not None
    old, new = opened.overrides()
    assert (old.revoked, old.revoked_by, old.revoked_why) == (LATER, "bob", "replaced by override 2")
    assert (old.in_force(LATER), new.in_force(LATER)) == (False, True)
    assert runs(opened)[-1] == ("override", "bob", {"made": 1, "revoked": 1})


def test_the_overrides_as_they_were_by_the_order_in_which_they_were_recorded(opened: Store) -> None:
    ahead = NOW + timedelta(days=3650)
    opened.make_overrides([ALLOW._replace(expires=None)], ahead, "alice")
    first = opened.newest(NOW)
    opened.make_overrides([BLOCK], NOW, "bob", replace=True)
    (then,) = opened.overrides(first)
    assert (then.id, then.made, then.revoked, then.in_force(NOW)) == (1, ahead, None, True)
    now = opened.newest(NOW)
    assert [(o.id, o.in_force(NOW)) for o in opened.overrides(now)] == [(1, False), (2, True)]
    for moment, expected in ((first, [(1, True)]), (now, [(1, False), (2, True)])):
        found = opened.candidate(ALLOW.pattern, None, Settings(), moment)[0].overrides
        assert [(o.id, o.in_force(NOW)) for o in found] == expected


def test_what_was_revoked_at_a_clock_that_was_ahead_is_over_and_can_be_made_anew(opened: Store) -> None:
    opened.make_overrides([BLOCK], NOW, "alice")
    opened.revoke_overrides([1], "over", NOW + timedelta(days=3650), "bob")
    (again,) = opened.make_overrides([BLOCK], LATER, "carol")
    assert again.is_new
    assert [o.in_force(LATER) for o in opened.overrides()] == [False, True]


def test_after_its_end_the_same_can_be_said_anew(opened: Store) -> None:
    opened.make_overrides([ALLOW], NOW, "alice")
    assert ALLOW.expires is not None
    (made,) = opened.make_overrides([BLOCK], ALLOW.expires, "bob")
    assert made.is_new
    opened.revoke_overrides([2], "done", ALLOW.expires, "bob")
    (again,) = opened.make_overrides([BLOCK], ALLOW.expires + timedelta(seconds=1), "bob")
    assert again.override.id == 3


def test_everything_about_overrides_is_an_event(opened: Store) -> None:
    opened.make_overrides([ALLOW], NOW, "alice")
    opened.make_overrides([BLOCK._replace(pattern=sender.parse("aol.com"))], NOW, "bob")
    opened.revoke_overrides([2], "mistake", LATER, "carol")
    assert ALLOW.expires is not None

    def found(window: Window) -> list[tuple[EventKind, str]]:
        return [(event.kind, event.actor) for event in opened.events(window)]

    made = [(EventKind.OVERRIDE_MADE, "alice"), (EventKind.OVERRIDE_MADE, "bob")]
    revoked = (EventKind.OVERRIDE_REVOKED, "carol")
    assert found(Window(until=LATER)) == made
    assert found(Window(until=ALLOW.expires)) == [*made, revoked]
    ended = Window(until=ALLOW.expires + timedelta(seconds=1))
    assert found(ended) == [*made, revoked, (EventKind.OVERRIDE_EXPIRED, "")]
    assert found(ended._replace(senders=("aol.com",))) == [made[1], revoked]
    assert found(ended._replace(actor="carol")) == [revoked]
    assert found(ended._replace(mailbox="u@x")) == []


def test_what_is_over_is_not_revoked_again(opened: Store) -> None:
    opened.make_overrides([ALLOW, BLOCK._replace(pattern=sender.parse("aol.com"))], NOW, "alice")
    opened.revoke_overrides([1], "done", NOW, "alice")
    with pytest.raises(UsageError, match=r"override 1 is over already: revoked(.|\n)*no override 7"):
        opened.revoke_overrides([2, 1, 7], "again", LATER, "bob")
    assert opened.overrides()[1].revoked is None
    assert opened.verify_chain().problem is None


def test_a_dry_run_says_the_same_and_writes_nothing(opened: Store) -> None:
    foreseen = opened.make_overrides([ALLOW], NOW, "alice", dry_run=True)
    assert (opened.overrides(), opened.last_runs(9)) == ([], [])
    assert opened.make_overrides([ALLOW], NOW, "alice") == foreseen
