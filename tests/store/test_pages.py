"""Answers in pages, on both databases: whatever the size of a page, all pages together are the whole answer."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from safelist import sender, store
from safelist.override import Effect, Terms
from safelist.policy import Settings
from safelist.store import AnswerPage, EventKind, FoundKind, Publication, Store, Window
from tests.store import test_copying
from tests.store.conftest import Fill
from tests.store.samples import LATER, NOW, SAFE, SEEN, entries

SIZES = (1, 2, 3, 7, 100)


def fill(opened: Store) -> None:
    """What the copies' tests have, and many things within one second, some of them twice."""
    test_copying.fill(opened)
    run = opened.begin_run(LATER, "sync", "root")
    for n in range(6):
        address = f"Größe{n}@corp.example".lower() if n % 2 else f"b-{n}@corp.example"
        opened.record(run, address, SEEN._replace(owner=f"of {n}"), entries("x@aol.com", f"{n}@aol.com"), SAFE, LATER)
        opened.record(run, address, SEEN._replace(owner=f"of {n}"), entries(f"{n}@aol.com"), SAFE, LATER)
        opened.record(run, address, SEEN._replace(owner=f"of {n}"), entries("x@aol.com"), SAFE, LATER)
    opened.end_run(run, LATER, {"failed": 2}, None)
    for n in range(3):
        expires = LATER + timedelta(days=n + 1)
        terms = Terms(Effect.ALLOW, sender.parse(f"o{n}@partner.example"), "asked for", expires=expires)
        opened.make_overrides([terms], LATER, "alice")
        run = opened.begin_run(LATER, "publish", "root")
        opened.note_publication(run, LATER, Publication("postfix", f"/map{n}", n, 1, 0, "ab" * 32, "{}"))
        opened.end_run(run, LATER, {}, f"problem {n}")


@pytest.fixture
def opened(copied: Callable[[Fill], str]) -> Store:
    return store.open_store(copied(fill))


WINDOWS = {
    "everything": Window(now=LATER + timedelta(days=2)),
    "since": Window(since=LATER),
    "until": Window(until=LATER),
    "a sender": Window(senders=("x@aol.com", "aol.com")),
    "a sender's overrides": Window(senders=("o1@partner.example",)),
    "a mailbox": Window(mailbox="b-2@corp.example"),
    "an actor": Window(actor="alice"),
    "entries removed": Window(kinds=frozenset({EventKind.ENTRY_REMOVED})),
    "entries added": Window(kinds=frozenset({EventKind.ENTRY_ADDED})),
    "no entries": Window(kinds=frozenset(EventKind) - {EventKind.ENTRY_ADDED, EventKind.ENTRY_REMOVED}),
    "publications and failures": Window(kinds=frozenset({EventKind.PUBLISHED, EventKind.RUN_FAILED})),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_all_pages_of_the_history_are_the_whole_history(opened: Store, window: Window) -> None:
    with opened:
        whole = list(opened.events(window))
        assert whole, "the sample has some of each"
        assert [each.position for each in whole] == sorted({each.position for each in whole})
        assert {each.kind for each in whole} <= window.kinds
        for size in SIZES:
            found, behind = [], window
            while page := list(opened.events(behind._replace(limit=size))):
                assert len(page) <= size
                found += page
                behind = behind._replace(behind=page[-1].position)
            assert found == whole


def test_the_kinds_of_the_history_are_what_is_left_of_everything(opened: Store) -> None:
    with opened:
        whole = list(opened.events(Window()))
        for kind in EventKind:
            found = list(opened.events(Window(kinds=frozenset({kind}))))
            assert found == [each for each in whole if each.kind is kind]


def test_all_pages_of_who_are_the_whole_answer(opened: Store) -> None:
    with opened:
        moment = opened.moment_at(LATER)
        for at in (None, moment):
            whole = opened.who(["x@aol.com", "aol.com", "2@aol.com"], at)
            assert len(whole) >= 7
            for size in SIZES:
                found, page = [], AnswerPage(size)
                while rows := opened.who_page(["x@aol.com", "aol.com", "2@aol.com"], at, page):
                    found += [held for held, _ in rows]
                    page = AnswerPage(size, rows[-1][1])
                assert found == whole


def test_what_is_recorded_meanwhile_shifts_no_page(opened: Store) -> None:
    with opened:
        before = list(opened.events(Window()))
        first = list(opened.events(Window(limit=5)))
        run = opened.begin_run(LATER, "sync", "root")
        opened.record(run, "late@corp.example", SEEN._replace(owner="late"), entries("l@x.org"), SAFE, LATER)
        rest = list(opened.events(Window(behind=first[-1].position)))
        new = [each for each in rest if each.mailbox == "late@corp.example"]
        assert len(new) == 1
        assert [each for each in first + rest if each.run != run] == before


def test_who_holds_what_at_a_moment(opened: Store) -> None:
    with opened:
        assert [each.text for each in opened.held(["x@aol.com", "y@aol.com", "unknown@x"])] == [
            "x@aol.com",
            "y@aol.com",
        ]
        assert opened.held(["2@aol.com"], opened.moment_at(NOW)) == []


def test_the_counts_say_of_a_sender_what_its_entries_say(opened: Store) -> None:
    with opened:
        moment, settings = opened.newest(LATER), Settings(own_domains=opened.own_domains())
        asked = [sender.typed(text) for text in ("x@aol.com", "aol.com", "o1@partner.example", "nobody@x.example")]
        found = opened.asked(asked, None, settings, moment.at)
        assert found == [opened.candidate(each, None, settings, moment)[0] for each in asked]
        assert found[0].tallies[0].votes == 7


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("B-", ["mailbox b-0@corp.example", "mailbox b-2@corp.example", "mailbox b-4@corp.example"]),
        ("partner", ["override o0@partner.example", "override o1@partner.example", "override o2@partner.example",
                     "override p@partner.example"]),
        ("größe5", ["mailbox größe5@corp.example"]),
        ("DROP TABLE", ["sender '; DROP TABLE entry; --"]),
        ("100%", []),
        ("_", []),
        ("x@aol", ["sender x@aol.com"]),
    ],
)  # fmt: skip
def test_a_part_of_an_address_finds_all_that_has_it(opened: Store, part: str, found: list[str]) -> None:
    with opened:
        assert [f"{each.what} {each.text}" for each in opened.search([part])] == found


def test_all_pages_of_a_search_are_all_that_is_found(opened: Store) -> None:
    with opened:
        whole = opened.search(["o"])
        assert {each.what for each in whole} == set(FoundKind)
        for size in SIZES:
            found, page = [], AnswerPage(size)
            while rows := opened.search(["o"], page):
                assert len(rows) <= size
                found += rows
                page = AnswerPage(size, rows[-1].position)
            assert found == whole
        assert {(each.text, each.number) for each in whole if each.what is FoundKind.SENDER} >= {("x@aol.com", 7)}


def test_runs_come_newest_first_and_in_pages(opened: Store) -> None:
    with opened:
        whole = opened.runs()
        assert [run.id for run in whole] == sorted((run.id for run in whole), reverse=True)
        found, page = [], AnswerPage(2)
        while rows := opened.runs(page=page):
            found += rows
            page = AnswerPage(2, (rows[-1].id,))
        assert found == whole
        assert {run.what for run in opened.runs(what="publish")} == {"publish"}
        assert [run.source for run in opened.runs(source="subsidiary")] == ["subsidiary"]
        assert {run.started for run in opened.runs(since=LATER)} == {LATER}
        assert {run.started for run in opened.runs(until=LATER)} == {NOW}
        assert [run.trouble for run in opened.runs(what="publish", page=AnswerPage(1))] == ["problem 2"]
