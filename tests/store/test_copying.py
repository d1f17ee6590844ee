"""A whole aggregate in another database: of either kind, at one moment, all of it or nothing."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, select

from safelist import store
from safelist.entry import Entry, UserList
from safelist.errors import ConfigError, TamperedError, UnavailableError
from safelist.sender import Form, Pattern, Refusal
from safelist.store import Copied, KnownFailure, Look, PublishedFile, RejectionCount, Store, TargetState, Window
from safelist.store.database import make_engine, parse_url
from safelist.store.schema import metadata
from tests.forked import exit_code
from tests.store import postgres, test_chain
from tests.store.conftest import Fill
from tests.store.samples import LATER, SAFE, SEEN, entries

_numbers = count()
ON_SQLITE = pytest.mark.parametrize("kind", ["sqlite"])
ODD = ("Zoë <zoe@x.example>", "'; DROP TABLE entry; --", "\N{PILE OF POO}\ttab\\N", "x" * 300)
"""Texts that users have in their lists and that no copy may change."""


def fill(opened: Store) -> None:
    """What the chain's own tests have, odd texts, a rule's every field, and numbers that stand outside the chain."""
    test_chain.fill(opened)
    run = opened.begin_run(LATER, "sync", "root")
    odd = frozenset(Entry(UserList.SAFE_SENDERS, Pattern(t, Form.REFUSED, Refusal.NEITHER)) for t in ODD)
    opened.record(run, "odd@corp.example", SEEN._replace(owner="odd", include_contacts=False), odd, SAFE, LATER)
    opened.note(run, "odd@corp.example", LATER, "failed", "timeout", "it took \N{SNOWMAN} long", "doubt", 2)
    opened.acknowledge([KnownFailure("odd@corp.example", "timeout", "known", None, LATER + timedelta(9))], LATER, "al")
    opened.confirm_target(TargetState("postfix", "/map", LATER, 1, (PublishedFile("/map", "ab" * 32, ("/map",)),)))
    opened.note_look(Look("auditor", "names", None, "bob@aol.com", 2), LATER, "otto@corp.example")
    opened.keep_rejections([RejectionCount("2026-11-20", "zen.spamhaus.org", "saved", "quorum", 3, 9)])


@pytest.fixture
def source(copied: Callable[[Fill], str]) -> str:
    return copied(fill)


@pytest.fixture
def target(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of the other kind: a file that is not there yet, or a database without a table."""
    if kind == "postgresql":
        yield f"sqlite:///{tmp_path / 'new' / 'copy.db'}"
        return
    with postgres.database(request.getfixturevalue("postgres_home"), f"copy{next(_numbers)}") as url:
        yield url


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything that stands in the database, in no order."""
    engine = make_engine(parse_url(url))
    with engine.connect() as connection:
        found = {t.name: sorted(map(tuple, connection.execute(select(t))), key=repr) for t in metadata.sorted_tables}
    engine.dispose()
    return found


def is_empty(url: str) -> bool:
    """Whether there is no aggregate at that URL, not even a part of one."""
    path = parse_url(url).database if url.startswith("sqlite") else None
    if path is not None and not Path(path).exists():
        return True
    with pytest.raises(ConfigError, match="holds no aggregate"):
        store.open_store(url)
    return True


def test_a_copy_is_the_same_to_the_last_row(source: str, target: str) -> None:
    told: list[tuple[str, int]] = []
    copied = store.copy(source, target, lambda table, rows: told.append((table, rows)))
    assert rows(target) == rows(source)
    with store.open_store(source) as was, store.open_store(target) as now:
        assert now.verify_chain() == was.verify_chain() == (copied.change_sets, copied.head, None)
        assert list(now.events(Window())) == list(was.events(Window()))
        assert now.recount() == []
    assert dict(told) == copied.rows == {name: len(each) for name, each in rows(source).items()}
    assert {name for name, count in copied.rows.items() if count == 0} == set(), "the sample fills every table"


def test_there_and_back_is_the_same(source: str, target: str, tmp_path: Path) -> None:
    store.copy(source, target)
    back = f"sqlite:///{tmp_path / 'back.db'}"
    store.copy(target, back)
    assert rows(back) == rows(source)


def test_recording_goes_on_in_the_copy_as_it_would_have_in_the_source(source: str, target: str) -> None:
    head = bytes.fromhex(store.copy(source, target).head)
    for url in (source, target):
        with store.open_store(url) as opened, store.hold(url, "sync", LATER):
            test_chain.fill(opened)
            found = opened.verify_chain(head)
            assert found.problem is None
            assert found.head != head.hex()
            assert opened.recount() == []
    assert {name: len(each) for name, each in rows(target).items()} == {
        name: len(each) for name, each in rows(source).items()
    }


def test_indexes_and_constraints_are_those_of_an_aggregate_that_was_never_copied(source: str, target: str) -> None:
    """Also the foreign keys of PostgreSQL, each under its name and as checked as before."""
    names = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'ix%'",
        "postgresql": (
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL "
            "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || convalidated "
            "FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        ),
    }

    def there(url: str) -> set[str]:
        engine = make_engine(parse_url(url))
        with engine.connect() as connection:
            found = set(connection.exec_driver_sql(names[engine.dialect.name]).scalars())
        engine.dispose()
        return found

    store.upgrade(target)
    never_copied = there(target)
    assert len(never_copied) > 9
    store.copy(source, target)
    assert there(target) == never_copied


def test_an_empty_aggregate_can_be_filled(source: str, target: str) -> None:
    store.upgrade(target)
    store.copy(source, target)
    assert rows(target) == rows(source)


def test_a_target_with_an_aggregate_in_it_is_refused_and_left_alone(source: str, target: str) -> None:
    store.copy(source, target)
    before = rows(target)
    with pytest.raises(ConfigError, match=r"is not empty: .*rows of mailbox.*nothing was changed"):
        store.copy(source, target)
    with pytest.raises(ConfigError, match="is not empty"):
        store.copy(source, source)
    assert rows(target) == before


@ON_SQLITE
def test_a_target_of_another_program_is_refused(source: str, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE accounts (id)")
    with pytest.raises(ConfigError, match="tables of another program"):
        store.copy(source, f"sqlite:///{path}")
    assert path.exists()


def test_a_source_that_is_none_leaves_no_target_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no database yet"):
        store.copy(f"sqlite:///{tmp_path / 'nothing.db'}", f"sqlite:///{tmp_path / 'copy.db'}")
    assert list(tmp_path.iterdir()) == []


def copy_until_killed(source: str, target: str, at: int) -> int:
    """Copy in another process, which is killed at the ``at``-th statement or commit. How it ended."""
    left = at

    def die(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        event.listen(Engine, "before_cursor_execute", die)
        event.listen(Engine, "commit", die)
        store.copy(source, target)

    return exit_code(work)


def test_killed_at_any_moment_it_leaves_an_empty_target_that_can_be_filled(source: str, target: str) -> None:
    at, ended = 1, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        ended = copy_until_killed(source, target, at)
        if ended:
            assert is_empty(target)
        at += 23
    assert ended == 0
    assert at > 100
    assert rows(target) == rows(source)


def test_what_is_recorded_meanwhile_is_not_in_the_copy(source: str, target: str) -> None:
    with store.open_store(source) as opened:
        head = opened.head()

    def record_more(table: str, _: int) -> None:
        if table == "mailbox":
            with store.open_store(source) as opened:
                run = opened.begin_run(LATER, "sync", "cron")
                opened.record(run, "new@corp.example", SEEN._replace(owner="new"), entries("n@x.org"), SAFE, LATER)

    assert store.copy(source, target, record_more).head == head
    with store.open_store(source) as opened:
        assert opened.head() != head
    with store.open_store(target) as opened:
        assert opened.mailbox("new@corp.example") is None
        assert opened.verify_chain().problem is None


def test_a_record_that_was_changed_is_not_copied(source: str, target: str) -> None:
    test_chain.tamper(source, "UPDATE mailbox SET address = 'z@corp.example' WHERE address = 'a@corp.example'")
    with pytest.raises(TamperedError, match=r"change set \d+ .*nothing was copied.*audit verify"):
        store.copy(source, target)
    assert is_empty(target)


@ON_SQLITE
def test_a_target_that_changes_rows_is_found_out(source: str, tmp_path: Path) -> None:
    path = tmp_path / "changing.db"
    store.upgrade(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER fewer AFTER INSERT ON mailbox BEGIN "
            "UPDATE mailbox SET problem = 'rewritten' WHERE id = new.id; END"
        )
    with pytest.raises(UnavailableError, match=r"its table mailbox \(.*nothing of the copy was kept"):
        store.copy(source, f"sqlite:///{path}")
    with store.open_store(f"sqlite:///{path}") as opened:
        assert list(opened.mailboxes()) == []


@ON_SQLITE
def test_a_file_that_is_made_can_be_read_by_its_owner_only(source: str, tmp_path: Path) -> None:
    copied = store.copy(source, f"sqlite:///{tmp_path / 'copy.db'}")
    assert isinstance(copied, Copied)
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
