"""What the first collection of a mailbox brought, and what a clock that jumped dated ahead."""

from datetime import timedelta

from safelist.entry import ALL_LISTS
from safelist.store import EventKind, Store, Window
from tests.store.samples import GONE, LATER, NOW, SAFE, SEEN, entries

AHEAD = NOW + timedelta(days=3650)


def marked(opened: Store) -> dict[str, bool]:
    events = {
        e.entry.pattern.text: e.at_first
        for e in opened.entry_events(Window())
        if e.entry is not None and e.kind is EventKind.ENTRY_ADDED
    }
    listed = {h.pattern.text: h.at_first for h in opened.listing("u@x")}
    assert listed == events
    assert opened.verify_chain().problem is None
    return listed


def test_the_first_collection_is_marked(opened: Store) -> None:
    for n, texts in enumerate((["a@x"], ["a@x", "b@x"])):
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "u@x", SEEN, entries(*texts), SAFE, NOW + timedelta(days=n))
    assert marked(opened) == {"a@x": True, "b@x": False}


def test_a_mailbox_that_failed_at_first(opened: Store) -> None:
    for _ in range(2):
        run = opened.begin_run(NOW, "sync", "root")
        opened.note(run, "u@x", NOW, "failed", "denied", "no")
    opened.record(opened.begin_run(LATER, "sync", "root"), "u@x", SEEN, entries("a@x"), SAFE, LATER)
    opened.record(opened.begin_run(LATER, "sync", "root"), "u@x", SEEN, entries("a@x", "b@x"), SAFE, LATER)
    assert marked(opened) == {"a@x": True, "b@x": False}


def test_a_mailbox_that_had_no_entries_at_first(opened: Store) -> None:
    opened.record(opened.begin_run(NOW, "sync", "root"), "u@x", SEEN, entries(), SAFE, NOW)
    opened.record(opened.begin_run(LATER, "sync", "root"), "u@x", SEEN, entries("a@x"), SAFE, LATER)
    assert marked(opened) == {"a@x": False}


def test_a_mailbox_that_was_forgotten_and_came_back(opened: Store) -> None:
    opened.record(opened.begin_run(NOW, "sync", "root"), "u@x", SEEN, entries("a@x"), SAFE, NOW)
    run = opened.begin_run(NOW, "forget", "root")
    opened.record(run, "u@x", GONE, frozenset(), ALL_LISTS, NOW)
    opened.note(run, "u@x", NOW, "forgotten")
    opened.record(opened.begin_run(LATER, "sync", "root"), "u@x", SEEN, entries("a@x", "b@x"), SAFE, LATER)
    assert marked(opened) == {"a@x": True, "b@x": True}


def test_a_clock_that_jumped(opened: Store) -> None:
    run = opened.begin_run(AHEAD, "sync", "root")
    opened.record(run, "u@x", SEEN, entries("a@x"), SAFE, AHEAD)
    assert opened.dated_ahead(NOW) == AHEAD
    assert opened.dated_ahead(AHEAD) is None
    assert [h.pattern.text for h in opened.who(["a@x"], opened.newest(NOW))] == ["a@x"], "it is so, whatever its date"
    assert [e.at for e in opened.events(Window(now=NOW)) if e.entry] == [AHEAD]
    opened.record(run, "u@x", SEEN, entries("b@x"), SAFE, NOW)
    assert opened.dated_ahead(NOW) is None, "said once"
    assert [h.pattern.text for h in opened.who(["a@x", "b@x"], opened.newest(NOW))] == ["b@x"]
