"""Questions to the aggregate."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from safelist import store
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.policy import Candidate, Settings, Tally
from safelist.store import Holding, Miscount, Run, Store, Totals, Window, open_store
from safelist.store.database import make_engine, parse_url
from tests.store.samples import GONE, LATER, NOW, SAFE, SEEN, address, domain, entries, refused


def tallies(opened: Store, at_least: int = 1) -> list[tuple[str, int]]:
    return [(c.sender.text, c.tallies[0].votes) for c in opened.candidates(Settings(), NOW, at_least)]


def test_empty_aggregate_answers(opened: Store) -> None:
    assert opened.mailbox("u@x") is None
    assert opened.address_of_owner("guid") is None
    assert list(opened.mailboxes()) == []
    assert list(opened.candidates(Settings(), NOW)) == []
    assert opened.who(["a@aol.com"]) == opened.who([]) == opened.listing("u@x") == []
    assert opened.last_runs(5) == []
    assert opened.totals() == Totals(0, 0, 0, 0, 0, 0)
    assert opened.recount() == []


def test_text_that_no_database_takes_is_never_found(opened: Store) -> None:
    assert opened.who(["\udcff@x", "a\0b"]) == []
    assert opened.mailbox("\udcff@x") is opened.mailbox("\0") is None


def test_who_names_open_and_ended_entries(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "b@x", SEEN, entries("a@aol.com", "z@aol.com"), SAFE, NOW)
    opened.record(run, "a@x", SEEN, frozenset({Entry(UserList.SAFE_SENDER_DOMAINS, domain("aol.com"))}), ALL_LISTS, NOW)
    opened.record(run, "b@x", SEEN, entries("z@aol.com"), SAFE, LATER)
    assert opened.who(["a@aol.com", "aol.com", "a@aol.com", "unknown"]) == [
        Holding("a@x", UserList.SAFE_SENDER_DOMAINS, domain("aol.com"), NOW, None, at_first=True),
        Holding("b@x", UserList.SAFE_SENDERS, address("a@aol.com"), NOW, LATER, at_first=True),
    ]


def test_owner_is_found_until_the_rule_is_gone(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@x", SEEN, entries("a@aol.com"), SAFE, NOW)
    assert SEEN.owner is not None
    assert opened.address_of_owner(SEEN.owner) == "u@x"
    opened.record(run, "u@x", GONE, frozenset(), ALL_LISTS, NOW)
    assert opened.address_of_owner(SEEN.owner) is None


def test_candidates_are_in_byte_order_whatever_the_locale(opened: Store) -> None:
    texts = [
        "_a@x.org",
        "a-b@x.org",
        "ab@x.org",
        "a.b@x.org",
        "b@x.org",
        "xn--a@x.org",
        "z@x.org",
        "ä@x.org",
        "B@x.org",
    ]
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@x", SEEN, entries(*texts), SAFE, NOW)
    expected = [Candidate(address(t), (Tally(address(t), 1),)) for t in sorted(texts)]
    assert list(opened.candidates(Settings(), NOW)) == expected


def test_candidates_by_their_number_of_mailboxes(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    for mailbox, texts in {"u@x": ["a@x", "b@x", "c@x"], "v@x": ["a@x", "b@x"], "w@x": ["a@x"]}.items():
        opened.record(run, mailbox, SEEN, entries(*texts), SAFE, NOW)
    assert tallies(opened, 2) == [("a@x", 3), ("b@x", 2)]
    assert tallies(opened, 4) == []


def test_candidates_left_half_way(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "u@x", SEEN, entries(*(f"{n:05}@x.org" for n in range(5000))), SAFE, NOW)
    some = opened.candidates(Settings(), NOW)
    assert next(some).sender.text == "00000@x.org"
    opened.record(run, "v@x", SEEN, entries("00000@x.org", "new@x.org"), SAFE, NOW)
    rest = [c.sender.text for c in some]
    assert (len(rest), rest[-1]) == (4999, "04999@x.org")
    left = opened.candidates(Settings(), NOW, 2)
    assert next(left).tallies[0].votes == 2


def test_mailboxes_totals_runs(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "admin\udcff")
    odd = entries("a@aol.com") | {Entry(UserList.SAFE_SENDERS, refused("x500"))}
    opened.record(run, "v@x", SEEN, frozenset(odd), SAFE, NOW)
    opened.note(run, "u@x", NOW, "no-rule")
    opened.end_run(run, LATER, {"collected": 1, "no-rule": 1}, None)
    second = opened.begin_run(LATER, "sync", "cron")
    assert [(m.address, m.entries, m.refused) for m in opened.mailboxes()] == [("u@x", 0, 0), ("v@x", 2, 1)]
    assert opened.totals() == Totals(2, 1, 2, 1, 2, 1)
    first = Run(run, NOW, LATER, "sync", "admin?", {"collected": 1, "no-rule": 1}, None)
    assert opened.last_runs(5) == [Run(second, LATER, None, "sync", "cron", {}, None), first]
    assert [r.id for r in opened.last_runs(1)] == [second]
    opened.end_run(second, LATER, {}, "the log-in was rejected")
    assert opened.last_runs(1)[0].problem == "the log-in was rejected"


def test_times_before_1970_and_after_2038(opened: Store) -> None:
    for moment in (datetime(1969, 7, 20, tzinfo=UTC), datetime(2106, 2, 8, tzinfo=UTC)):
        run = opened.begin_run(moment, "sync", "root")
        opened.record(run, "u@x", SEEN, entries(f"{moment.year}@x.org"), SAFE, moment)
    assert [(h.since.year, h.until and h.until.year) for h in opened.listing("u@x")] == [(1969, 2106), (2106, None)]


def test_recount_names_what_differs(url: str) -> None:
    with open_store(url) as opened:
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "u@x", SEEN, entries("a@x", "b@x"), SAFE, NOW)
        assert opened.recount() == []
        engine = make_engine(parse_url(url))
        with engine.begin() as connection:
            connection.execute(text("UPDATE pattern SET trusted_by = 7 WHERE text = 'b@x'"))
        engine.dispose()
        assert opened.recount() == [Miscount("b@x", 7, 1)]


@pytest.fixture
def executed() -> Iterator[list[tuple[str, Any]]]:
    """Every statement that SQLAlchemy sends, with its parameters."""
    found: list[tuple[str, Any]] = []

    def keep(_c: object, _d: object, statement: str, parameters: Any, _x: object, is_many: bool) -> None:
        found.append((statement, parameters[0] if is_many else parameters))

    event.listen(Engine, "before_cursor_execute", keep)
    yield found
    event.remove(Engine, "before_cursor_execute", keep)


def test_no_question_and_no_recording_reads_a_whole_table(
    sqlite_url: str, executed: list[tuple[str, Any]]
) -> None:  # fmt: skip
    store.upgrade(sqlite_url)
    with store.open_store(sqlite_url) as opened:
        executed.clear()
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "u@x", SEEN, entries("a@x", "b@x"), SAFE, NOW)
        opened.record(run, "u@x", SEEN, entries("b@x", "c@x"), SAFE, NOW)
        opened.note(run, "u@x", NOW, "unchanged", rule=SEEN)
        opened.mailbox("u@x")
        opened.address_of_owner("guid")
        opened.who(["a@x", "x"])
        opened.listing("u@x")
        opened.last_runs(3)
        list(opened.candidates(Settings(), NOW))
        opened.candidate(address("a@x.org"), "u@x", Settings(), opened.moment_at(NOW))
        opened.own_domains()
        opened.overrides()
        opened.last_publication("postfix", "/map")
        list(opened.events(Window(since=NOW, senders=("a@x",))))
        list(opened.events(Window(since=NOW, mailbox="u@x")))
    statements = {s: p for s, p in executed if s.startswith(("SELECT", "INSERT", "UPDATE"))}
    assert len(statements) >= 16
    with closing(sqlite3.connect(parse_url(sqlite_url).database or "")) as connection:
        plans = {s: [r[3] for r in connection.execute(f"EXPLAIN QUERY PLAN {s}", p)] for s, p in statements.items()}
    steps = {step for found in plans.values() for step in found}
    scans = {step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step}  # json_each
    # Publishing reads every pattern, in the order of an index; overrides and runs are few; the newest publication is
    # the first one that is looked at.
    few = {"SCAN run", "SCAN override", "SCAN acknowledgement", "SCAN publication"}
    assert scans == {"SCAN pattern USING INDEX sqlite_autoindex_pattern_1", *few}, plans
    assert "SEARCH entry USING INDEX ix_entry_pattern_id (pattern_id=?)" in steps, plans
