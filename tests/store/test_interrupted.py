"""A writer that is killed, and readers beside a writer."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import Engine, event

from safelist import store
from safelist.policy import Settings
from tests.forked import exit_code
from tests.store.samples import LATER, NOW, SAFE, SEEN, entries

OLD = [f"old{n}@x.org" for n in range(50)] + ["both@x.org"]
NEW = [f"new{n}@x.org" for n in range(50)] + ["both@x.org"]


def record_until_killed(url: str, at: int) -> int:
    """Record the new list in another process, which is killed at the ``at``-th statement or commit. How it ended."""
    left = at

    def die(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def record() -> None:
        with store.open_store(url) as opened:
            event.listen(Engine, "before_cursor_execute", die)
            event.listen(Engine, "commit", die)
            opened.record(1, "u@x", SEEN._replace(change_key="new"), entries(*NEW), SAFE, LATER)

    return exit_code(record)


@pytest.fixture
def recorded(url: str) -> str:
    """The URL of an aggregate with one mailbox."""
    with store.open_store(url) as opened:
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "u@x", SEEN, entries(*OLD), SAFE, NOW)
    return url


def contents(url: str) -> tuple[list[str], object, object]:
    with store.open_store(url) as opened:
        assert opened.recount() == []
        state = opened.mailbox("u@x")
        assert state is not None
        trusted = [c.sender.text for c in opened.candidates(Settings(), NOW)]
        assert [h.pattern.text for h in opened.listing("u@x") if h.until is None] == trusted
        return trusted, state.rule.change_key, state.entries


def test_killed_at_any_statement_leaves_the_old_list(recorded: str) -> None:
    kills = 0
    while code := record_until_killed(recorded, kills + 1):
        assert code == -signal.SIGKILL
        kills += 1
        assert contents(recorded) == (sorted(OLD), SEEN.change_key, 51)
    assert kills >= 9
    assert contents(recorded) == (sorted(NEW), "new", 51)


def test_readers_beside_a_writer_see_whole_lists(recorded: str) -> None:
    stop = Event()

    def read() -> int:
        rounds = 0
        with store.open_store(recorded) as opened:
            while not stop.is_set() or not rounds:
                assert [c.sender.text for c in opened.candidates(Settings(), NOW)] in (sorted(OLD), sorted(NEW))
                assert len([h for h in opened.listing("u@x") if h.until is None]) == 51
                rounds += 1
        return rounds

    with ThreadPoolExecutor() as pool, store.open_store(recorded) as opened:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for n in range(40):
                opened.record(1, "u@x", SEEN, entries(*(OLD if n % 2 else NEW)), SAFE, LATER)
        finally:
            stop.set()
        assert all(reader.result() > 0 for reader in readers)
    assert contents(recorded)[0] == sorted(OLD)


def test_two_writers_wait_for_each_other(url: str) -> None:
    """Two programs that both ignore the lock still never lose an entry or see a traceback."""
    with store.open_store(url) as opened:
        run = opened.begin_run(NOW, "sync", "root")

    def write(name: str) -> None:
        with store.open_store(url) as opened:
            for n in range(15):
                opened.record(run, f"{name}{n}@x", SEEN, entries("same@x.org", f"{name}{n}@y.org"), SAFE, NOW)

    with store.open_store(url) as opened:
        opened.record(run, "first@x", SEEN, entries("same@x.org"), SAFE, NOW)
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(write, name) for name in "ab"]:
                done.result()
        assert opened.recount() == []
        assert next(iter(opened.candidates(Settings(), NOW, 2))).tallies[0].votes == 31
        assert opened.verify_chain().problem is None
