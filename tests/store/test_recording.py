"""What recording a mailbox's lists does to the aggregate."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safelist import sender
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.policy import Settings
from safelist.sender import Form, Pattern
from safelist.store import Change, Store
from safelist.store.recording import storable
from tests.store.samples import GONE, LATER, NOW, SAFE, SEEN, address, domain, entries, refused

A, B, C = "a@aol.com", "b@yahoo.com", "c@example.org"


def trust(opened: Store, at_least: int = 1) -> dict[str, int]:
    return {c.sender.text: c.tallies[0].votes for c in opened.candidates(Settings(), NOW, at_least)}


def test_first_list(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    change = opened.record(run, "User@X.example", SEEN, entries(B, A), SAFE, NOW)
    assert change == Change(tuple(sorted(entries(A, B))), ())
    state = opened.mailbox("user@x.EXAMPLE")
    assert state is not None
    assert state[:3] == ("user@x.example", SEEN, SAFE)
    assert (state.entries, state.refused, state.outcome, state.problem) == (2, 0, "collected", None)
    assert (state.checked, state.answered, state.changed) == (NOW, NOW, NOW)
    assert trust(opened) == {A: 1, B: 1}


def test_same_list_again_changes_nothing_but_the_time(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@x", SEEN, entries(A), SAFE, NOW)
    assert opened.record(run, "u@x", SEEN, entries(A), SAFE, LATER) == Change((), ())
    state = opened.mailbox("u@x")
    assert state is not None
    assert (state.checked, state.answered, state.changed) == (LATER, LATER, NOW)
    assert len(opened.listing("u@x")) == 1


def test_change_closes_and_appends(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@x", SEEN, entries(A, B), SAFE, NOW)
    change = opened.record(run, "u@x", SEEN, entries(B, C), SAFE, LATER)
    assert change == Change(tuple(entries(C)), tuple(entries(A)))
    assert [(h.pattern.text, h.since, h.until) for h in opened.listing("u@x")] == [
        (A, NOW, LATER), (B, NOW, None), (C, LATER, None),
    ]  # fmt: skip
    assert trust(opened) == {B: 1, C: 1}


def test_entry_that_returns_is_a_new_interval(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    for texts in ((A,), (), (A,), (), (A,)):
        opened.record(run, "u@x", SEEN, entries(*texts), SAFE, NOW)
    assert [h.until for h in opened.listing("u@x")] == [NOW, NOW, None]
    assert trust(opened) == {A: 1}


def test_other_lists_stay_as_they_are(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    blocked = entries(B, list_=UserList.BLOCKED_SENDERS)
    opened.record(run, "u@x", SEEN, entries(A) | blocked, SAFE | {UserList.BLOCKED_SENDERS}, NOW)
    change = opened.record(run, "u@x", SEEN, frozenset(), SAFE, LATER)
    assert change.removed == tuple(entries(A))
    assert [(h.list, h.until) for h in opened.listing("u@x")] == [
        (UserList.BLOCKED_SENDERS, None), (UserList.SAFE_SENDERS, LATER),
    ]  # fmt: skip
    state = opened.mailbox("u@x")
    assert state is not None
    assert (state.entries, state.lists) == (1, SAFE)


def test_entry_outside_the_recorded_lists_is_a_mistake_of_the_caller(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    with pytest.raises(ValueError, match="not recorded"):
        opened.record(run, "u@x", SEEN, entries(A), frozenset({UserList.BLOCKED_SENDERS}), NOW)
    assert opened.mailbox("u@x") is None


def test_two_lists_of_one_mailbox_are_one_vote(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    both = frozenset(Entry(list_, domain("aol.com")) for list_ in (UserList.SAFE_SENDERS, UserList.SAFE_SENDER_DOMAINS))
    opened.record(run, "u@x", SEEN, both, ALL_LISTS, NOW)
    assert trust(opened) == {"aol.com": 1}
    one = {e for e in both if e.list is UserList.SAFE_SENDERS}
    opened.record(run, "u@x", SEEN, frozenset(one), ALL_LISTS, NOW)
    assert trust(opened) == {"aol.com": 1}
    opened.record(run, "v@x", SEEN, both, ALL_LISTS, NOW)
    assert trust(opened) == {"aol.com": 2}
    opened.record(run, "u@x", SEEN, frozenset(), ALL_LISTS, NOW)
    assert trust(opened) == {"aol.com": 1}


def test_only_trusting_lists_and_sender_patterns_count(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    others = frozenset(
        Entry(list_, address(A)) for list_ in ALL_LISTS - {UserList.SAFE_SENDERS, UserList.SAFE_SENDER_DOMAINS}
    )
    odd = frozenset({Entry(UserList.SAFE_SENDERS, refused("/o=org/cn=x500"))})
    opened.record(run, "u@x", SEEN, others | odd, ALL_LISTS, NOW)
    assert trust(opened, 0) == {A: 0}
    assert trust(opened) == {}
    state = opened.mailbox("u@x")
    assert state is not None
    assert (state.entries, state.refused) == (6, 1)


def test_one_text_may_be_an_address_a_domain_and_refused(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    same = frozenset(Entry(UserList.SAFE_SENDERS, p) for p in (address("x"), domain("x"), refused("x")))
    assert len(opened.record(run, "u@x", SEEN, same, SAFE, NOW).added) == 3
    assert opened.record(run, "u@x", SEEN, same, SAFE, NOW) == Change((), ())
    assert {h.pattern for h in opened.who(["x"])} == {e.pattern for e in same}


def test_refused_for_another_reason_is_the_same_entry(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    old = frozenset({Entry(UserList.SAFE_SENDERS, Pattern("odd", Form.REFUSED, None))})
    new = frozenset({Entry(UserList.SAFE_SENDERS, refused("odd"))})
    opened.record(run, "u@x", SEEN, new, SAFE, NOW)
    [holding] = opened.listing("u@x")
    assert holding.pattern == refused("odd")
    assert opened.record(run, "u@x", SEEN, old, SAFE, LATER) == Change((), ())
    [holding] = opened.listing("u@x")
    assert (holding.pattern.refusal, holding.until) == (None, None)


def test_compare_writes_nothing(opened: Store) -> None:
    assert opened.compare("u@x", entries(A), SAFE) == Change(tuple(entries(A)), ())
    assert opened.mailbox("u@x") is None
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@x", SEEN, entries(A), SAFE, NOW)
    assert opened.compare("U@x", entries(B), SAFE) == Change(tuple(entries(B)), tuple(entries(A)))
    assert trust(opened) == {A: 1}
    assert opened.totals().patterns == 1


def test_believed_vanishing(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@x", SEEN, entries(A), SAFE, NOW)
    assert opened.record(run, "u@x", GONE, frozenset(), ALL_LISTS, LATER).removed == tuple(entries(A))
    state = opened.mailbox("u@x")
    assert state is not None
    assert (state.rule, state.entries, state.lists) == (GONE, 0, ALL_LISTS)
    assert trust(opened) == {}


def test_failure_keeps_the_last_good_list(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@x", SEEN, entries(A), SAFE, NOW)
    opened.note(run, "u@x", LATER, "failed", "timeout", "no answer within 60 s", "vanished", 2)
    state = opened.mailbox("u@x")
    assert state is not None
    assert (state.outcome, state.reason, state.problem) == ("failed", "timeout", "no answer within 60 s")
    assert (state.doubt, state.doubt_runs) == ("vanished", 2)
    assert (state.checked, state.answered, state.changed) == (LATER, NOW, NOW)
    assert state[1:3] == (SEEN, SAFE)
    assert trust(opened) == {A: 1}


def test_unchanged_answer_ends_doubt_and_problem(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@x", SEEN, entries(A), SAFE, NOW)
    opened.note(run, "u@x", NOW, "failed", "timeout", "no answer", "vanished", 2)
    newer = SEEN._replace(change_key="EQAAABYB", state=0)
    opened.note(run, "u@x", LATER, "unchanged", rule=newer)
    state = opened.mailbox("u@x")
    assert state is not None
    assert (state.outcome, state.reason, state.problem, state.doubt, state.doubt_runs) == (
        "unchanged",
        None,
        None,
        None,
        0,
    )
    assert (state.answered, state.changed, state.rule.change_key, state.rule.state) == (LATER, NOW, "EQAAABYB", 0)
    assert (state.lists, state.entries) == (SAFE, 1)


def test_recorded_answer_ends_doubt_and_problem(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.note(run, "u@x", NOW, "failed", "wrong-mailbox", "another mailbox answered", "owner guid", 2)
    opened.record(run, "u@x", SEEN, entries(A), SAFE, LATER)
    state = opened.mailbox("u@x")
    assert state is not None
    assert (state.outcome, state.reason, state.problem) == ("collected", None, None)
    assert (state.doubt, state.doubt_runs) == (None, 0)


def test_note_of_an_unknown_mailbox(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.note(run, "U@x", NOW, "failed", "denied", "may not be opened: \udcff\0 odd")
    state = opened.mailbox("u@x")
    assert state is not None
    assert (state.lists, state.entries, state.answered, state.rule.change_key) == (frozenset(), 0, None, None)
    assert state.problem == "may not be opened: ?? odd"


HOSTILE = [
    *("o'brien@example.org", 'a"b@example.org', "a\\b@example.org", "%s@example.org", ":x@example.org"),
    *("a@x; DROP TABLE entry", "[1,2]", "{}", "null", "", " ", "\ufeff", "a\r\nb", "\x01\x7f\u0085\u2028"),
    *(
        "ünï@exämple.org",
        "日本@例え.jp",
        "\U0001f600@example.org",
        "a\u202eb@example.org",
        "x" * 273,
        "\U0001f600" * 60,
    ),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_intact(opened: Store, text: str) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    odd = frozenset({Entry(UserList.SAFE_SENDERS, address(text)), Entry(UserList.SAFE_SENDERS, refused(text))})
    opened.record(run, "u@x", SEEN, odd, SAFE, NOW)
    assert opened.record(run, "u@x", SEEN, odd, SAFE, NOW) == Change((), ())
    assert {h.pattern for h in opened.who([text])} == {address(text), refused(text)}
    assert trust(opened) == {text: 1}


@pytest.mark.no_cover
def test_largest_lists(opened: Store) -> None:
    """A rule's 510 KB hold fewer entries than this."""
    run = opened.begin_run(NOW, "sync", "root")
    many = entries(*(f"{n}@e.org" for n in range(20_000)))
    assert len(opened.record(run, "u@x", SEEN, many, SAFE, NOW).added) == 20_000
    assert len(opened.record(run, "u@x", SEEN, entries("0@e.org"), SAFE, LATER).removed) == 19_999
    assert trust(opened) == {"0@e.org": 1}
    assert opened.recount() == []


@given(st.lists(st.text(st.characters(), max_size=300), max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_user_wrote_can_be_recorded(opened: Store, texts: list[str]) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    wanted = frozenset(Entry(UserList.SAFE_SENDERS, sender.parse(text)) for text in texts)
    opened.record(run, "u@x", SEEN, wanted, SAFE, NOW)
    assert opened.record(run, "u@x", SEEN, wanted, SAFE, NOW) == Change((), ())
    known = {Entry(e.list, e.pattern._replace(text=storable(e.pattern.text))) for e in wanted}
    assert {Entry(h.list, h.pattern) for h in opened.listing("u@x") if h.until is None} == known
    assert {h.pattern.text for h in opened.who([e.pattern.text for e in wanted])} >= {e.pattern.text for e in known}
