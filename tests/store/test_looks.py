"""Who looked at lists that are not their own: a part of the history and of the chain, and all that a page may write."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from safelist import audit, sender, store
from safelist.audit import json_form
from safelist.entry import Entry, UserList
from safelist.errors import PermissionDeniedError, SafelistError
from safelist.override import Effect, Terms
from safelist.policy import Settings
from safelist.store import EventKind, Look, Store, Window
from safelist.store.database import failures, make_engine, parse_url
from tests.docs.documents import PAGES
from tests.store import postgres
from tests.store.samples import LATER, NOW, SAFE, SEEN, address, entries, refused

MAILBOX = Look("helpdesk", "mailbox", "a@corp.example", None, 1)
NAMES = Look("auditor", "names", None, "x@aol.com", 12)


def fill(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "a@corp.example", SEEN, entries("x@aol.com"), SAFE, NOW)
    opened.end_run(run, NOW, {"collected": 1}, None)


def looked(opened: Store, window: Window) -> list[tuple[str, Look | None]]:
    return [(event.actor, event.look) for event in opened.events(window) if event.kind is EventKind.LOOKED]


def test_a_look_is_in_the_history_and_in_the_chain(opened: Store) -> None:
    fill(opened)
    before = opened.verify_chain()
    opened.note_look(MAILBOX, LATER, "anna")
    opened.note_look(NAMES, LATER, "otto")
    assert looked(opened, Window()) == [("anna", MAILBOX), ("otto", NAMES)]
    assert looked(opened, Window(mailbox="a@corp.example")) == [("anna", MAILBOX)]
    assert looked(opened, Window(senders=("x@aol.com",))) == [("otto", NAMES)]
    assert looked(opened, Window(actor="otto")) == [("otto", NAMES)]
    assert looked(opened, Window(until=LATER)) == []
    after = opened.verify_chain(bytes.fromhex(before.head))
    assert (after.problem, after.change_sets) == (None, before.change_sets + 4)
    assert [event for event in opened.events(Window()) if event.kind is EventKind.RUN_FAILED] == []


def test_looks_go_where_a_restored_database_is(tmp_path: Path) -> None:
    """Whoever has the page open for months does not write into the file that was put away."""
    url = f"sqlite:///{tmp_path / 'safelist.db'}"
    store.upgrade(url)
    store.upgrade(f"sqlite:///{tmp_path / 'restored.db'}")
    with store.open_store(url, only_looks=True) as opened:
        opened.note_look(MAILBOX, NOW, "anna")
        for each in tmp_path.glob("safelist.db*"):
            each.rename(tmp_path / each.name.replace("safelist", "broken"))
        with pytest.raises(SafelistError):
            opened.note_look(NAMES, LATER, "otto")
        (tmp_path / "restored.db").rename(tmp_path / "safelist.db")
        opened.note_look(NAMES, LATER, "otto")
        assert looked(opened, Window()) == [("otto", NAMES)]
    with store.open_store(url) as restored:
        assert looked(restored, Window()) == [("otto", NAMES)]


def test_a_look_as_json(opened: Store) -> None:
    opened.note_look(NAMES, NOW, "otto")
    (event,) = opened.events(Window())
    row = json_form.event(event, NOW)
    assert (row["what"], row["by"], row["sender"]) == ("looked", "otto", "x@aol.com")
    assert row["detail"] == "as auditor, on the page names; mailboxes named: 12"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE look SET mailbox = 'b@corp.example'", "UPDATE look SET names = 1", "UPDATE look SET role = 'user'",
        "UPDATE run SET actor = 'nobody' WHERE what = 'look'", "DELETE FROM look",
        "INSERT INTO look VALUES (1, 'user', 'mailbox', 'a@corp.example', NULL, 1)",
        "INSERT INTO look VALUES (99, 'user', 'mailbox', 'a@corp.example', NULL, 1)",
    ],
)  # fmt: skip
def test_a_look_that_is_changed_is_noticed(opened: Store, url: str, statement: str) -> None:
    fill(opened)
    opened.note_look(NAMES, LATER, "otto")
    engine = make_engine(parse_url(url), is_upgrade=True)
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text(statement))
    engine.dispose()
    assert opened.verify_chain().problem is not None


def test_whoever_shows_pages_can_write_nothing_but_looks_into_sqlite(sqlite_url: str) -> None:
    store.upgrade(sqlite_url)
    with store.open_store(sqlite_url) as opened:
        fill(opened)
    with store.open_store(sqlite_url, only_looks=True) as opened:
        opened.note_look(MAILBOX, LATER, "anna")
        assert looked(opened, Window()) == [("anna", MAILBOX)]
        assert audit.verify(opened).problem is None
        run = opened.begin_run(LATER, "sync", "root")
        with pytest.raises(PermissionDeniedError, match="may record looks and nothing else"):
            opened.record(run, "a@corp.example", SEEN, entries("y@aol.com"), SAFE, LATER)
        with pytest.raises(PermissionDeniedError):
            opened.make_overrides([Terms(Effect.ALLOW, sender.parse("y@aol.com"), "x")], LATER, "mallory")


def test_the_maintained_counts_lead_to_the_same_decision(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    contact = entries("c@x.example", list_=UserList.TRUSTED_CONTACTS)
    for number in range(4):
        held = entries("x@aol.com", "boss@corp.example", *(["one@x.example"] if number == 0 else []))
        name = f"m{number}@corp.example"
        opened.record(run, name, SEEN._replace(owner=name), held | contact, frozenset(UserList), NOW)
    blocked = entries("x@aol.com", list_=UserList.BLOCKED_SENDERS)
    opened.record(run, "b@corp.example", SEEN._replace(owner="b"), blocked, frozenset(UserList), NOW)
    opened.make_overrides([Terms(Effect.ALLOW, address("one@x.example"), "asked for")], NOW, "alice")
    plain = Settings(own_domains=frozenset({"corp.example"}))
    for settings in (plain, Settings(include_contacts=True), Settings(max_age=timedelta(days=9))):
        for who in ("x@aol.com", "boss@corp.example", "one@x.example", "c@x.example", "nobody@x.example", "no sender"):
            for recipient in (None, "m0@corp.example", "b@corp.example", "strange@corp.example"):
                long = audit.why(opened, who, recipient, settings, opened.newest(LATER))
                quick = audit.judged(opened, who, recipient, settings, LATER)
                assert (quick.decision, quick.others) == (long.decision, long.others), (who, recipient)


def test_in_how_many_lists_a_sender_stands_now(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    for name in ("a", "b", "c"):
        held = entries("x@aol.com", "100%_a@aol.com")
        opened.record(run, f"{name}@corp.example", SEEN._replace(owner=name), held, SAFE, NOW)
    opened.record(run, "c@corp.example", SEEN._replace(owner="c"), frozenset(), SAFE, LATER)
    said = entries("z@aol.com", list_=UserList.TRUSTED_CONTACTS) | entries("z@aol.com", list_=UserList.BLOCKED_SENDERS)
    odd = frozenset({Entry(UserList.SAFE_SENDERS, refused("/o=x"))})
    opened.record(run, "d@corp.example", SEEN._replace(owner="d"), said | odd, frozenset(UserList), NOW)
    found = opened.count_holders(["z@aol.com", "/o=x", "nobody@aol.com"])
    assert [(each.pattern.text, each.title, each.mailboxes) for each in found] == [
        ("/o=x", "Safe Senders", 1), ("z@aol.com", "Blocked Senders", 1), ("z@aol.com", "trusted contacts only", 1),
    ]  # fmt: skip
    assert opened.count_holders(["x@aol.com"]) == [(address("x@aol.com"), "Safe Senders", 2)]


def test_the_role_of_the_page_can_append_looks_and_nothing_else(postgres_home: Path) -> None:
    """With the statements of docs/web.md, on a real PostgreSQL."""
    (grants,) = PAGES["docs/web.md"].blocks("sql")
    url = postgres.create(postgres_home, "looks")
    store.upgrade(url)
    with store.open_store(url) as opened:
        fill(opened)
    execute(url, grants.text)
    theirs = str(parse_url(url).set(username="safelist-web").render_as_string(hide_password=False))
    with store.open_store(theirs, only_looks=True) as opened:
        opened.note_look(MAILBOX, LATER, "anna")
        opened.note_look(NAMES, LATER, "otto")
        assert looked(opened, Window()) == [("anna", MAILBOX), ("otto", NAMES)]
        assert audit.verify(opened).problem is None
        assert [found.text for found in opened.search(["corp"])] == ["a@corp.example"]
        with pytest.raises(SafelistError):
            opened.begin_run(LATER, "sync", "root")
        with pytest.raises(SafelistError):
            opened.make_overrides([Terms(Effect.ALLOW, sender.parse("y@aol.com"), "x")], LATER, "mallory")
    for statement in FORBIDDEN:
        with pytest.raises(SafelistError, match="this user lacks a privilege"):
            execute(theirs, statement)
    with store.open_store(url) as opened:  # whoever owns the tables is as free as before
        run = opened.begin_run(LATER, "sync", "root")
        opened.record(run, "b@corp.example", SEEN._replace(owner="b"), entries("x@aol.com"), SAFE, LATER)
        opened.end_run(run, LATER, {}, None)
        assert audit.verify(opened).problem is None


FORBIDDEN = (
    "INSERT INTO entry (mailbox_id, list, pattern_id, added) VALUES (1, 3, 1, 1)",
    "INSERT INTO change_set (run_id, at, kind, digest) VALUES (1, 1, 'overrides', '')",
    "INSERT INTO run (started, what, actor) VALUES (1, 'sync', 'root')",
    "UPDATE pattern SET trusted_by = 9", "UPDATE run SET actor = 'x'", "UPDATE look SET names = 0",
    "UPDATE change_set SET digest = ''", "DELETE FROM look", "DELETE FROM change_set", "DELETE FROM run",
    "TRUNCATE look", "DROP TABLE look",
)  # fmt: skip


def execute(url: str, statements: str) -> None:
    parsed = parse_url(url)
    engine = make_engine(parsed)
    try:
        with failures(parsed), engine.execution_options(writes=True).begin() as connection:
            for statement in filter(str.strip, statements.split(";")):
                connection.execute(text(statement))
    finally:
        engine.dispose()
