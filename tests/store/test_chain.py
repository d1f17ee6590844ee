"""The chain of change sets: whatever is edited, deleted or slipped in behind safelist's back is noticed."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from safelist import sender, store
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.errors import TamperedError
from safelist.override import Effect, Terms
from safelist.store import Publication, Store
from safelist.store.database import make_engine, parse_url
from tests.store.conftest import Fill
from tests.store.samples import GONE, LATER, NOW, SAFE, SEEN, entries, refused


def fill(opened: Store) -> None:
    """Four mailboxes, one of another source, an override that is replaced and one that is revoked, two publications."""
    run = opened.begin_run(NOW, "sync", "root")
    opened.record(run, "a@corp.example", SEEN, entries("x@aol.com", "y@aol.com"), SAFE, NOW)
    opened.record(run, "b@corp.example", SEEN._replace(owner="b"), entries("x@aol.com"), SAFE, NOW)
    opened.record(run, "a@corp.example", SEEN, entries("y@aol.com", "z@aol.com"), SAFE, LATER)
    opened.end_run(run, LATER, {"collected": 2}, None)
    opened.make_overrides([Terms(Effect.ALLOW, sender.parse("p@partner.example"), "asked for")], NOW, "alice")
    (made,) = opened.make_overrides([Terms(Effect.BLOCK, sender.parse("bulk.example"), "spam")], NOW, "bob")
    opened.revoke_overrides([made.override.id], "was wrong", LATER, "carol")
    run = opened.begin_run(LATER, "publish", "root")
    opened.note_publication(run, LATER, Publication("postfix", "/map", 1, 1, 0, "ab" * 32, "{}"))
    opened.record(run, "c@corp.example", SEEN._replace(owner="c"), entries("x@aol.com"), SAFE, LATER)
    opened.record(run, "c@corp.example", GONE, frozenset(), ALL_LISTS, LATER)
    opened.note(opened.begin_run(LATER, "sync", "root", "subsidiary"), "shop@sub.example", LATER, "no-rule")


@pytest.fixture
def filled(copied: Callable[[Fill], str]) -> str:
    return copied(fill)


def problem(url: str, contains: bytes | None = None) -> str | None:
    with store.open_store(url) as opened:
        return opened.verify_chain(contains).problem


def tamper(url: str, statement: str) -> None:
    """What somebody does who may write the database."""
    parsed = parse_url(url)
    engine = make_engine(parsed, is_upgrade=True)
    with engine.execution_options(writes=True).begin() as connection:
        if parsed.get_backend_name() == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        assert connection.execute(text(statement)).rowcount > 0, "nothing was there to tamper with"
    engine.dispose()


def test_an_untouched_chain_holds_and_its_head_is_the_last_digest(filled: str) -> None:
    with store.open_store(filled) as opened:
        found = opened.verify_chain()
        assert (found.problem, found.change_sets) == (None, 17)
        before = bytes.fromhex(found.head)
        opened.end_run(opened.begin_run(LATER, "sync", "root"), LATER, {}, None)
        later = opened.verify_chain(before)
        assert (later.problem, later.change_sets) == (None, 18)
        assert later.head != found.head


def test_an_empty_chain_holds(url: str) -> None:
    assert problem(url) is None


FAKE_MAILBOX = (
    "INSERT INTO mailbox (id, address, domain, lists, entries, refused, run_id, outcome, checked, doubt_runs) "
    "VALUES (9, 'x@aol.com', 'aol.com', 0, 0, 0, 1, 'no-rule', 1, 0)"
)
SLIP_IN = (
    "INSERT INTO override (id, made, effect, level, text, form, authentication, reason) "
    "VALUES (9, {}, 'allow', 'enforced', 'aol.com', 2, 'none', 'x')"
)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entry WHERE added = (SELECT min(added) FROM entry)",
        "UPDATE entry SET removed = added WHERE removed IS NULL",
        "UPDATE mailbox SET domain = 'else.example' WHERE id = 2",
        "UPDATE mailbox SET domain = '%' WHERE id = 2",
        "UPDATE mailbox SET domain = 'example' WHERE id = 2",
        FAKE_MAILBOX,
        "INSERT INTO run (id, started, finished, what, actor, problem) VALUES (99, 1, 2, 'sync', 'mallory', 'bad')",
        "UPDATE override SET revoked_why = 'never' WHERE id = 1",
        "UPDATE entry SET removed = NULL WHERE removed IS NOT NULL",
        "UPDATE entry SET removed = 3 WHERE added = 2",
        "UPDATE entry SET pattern_id = 3 WHERE mailbox_id = 2",
        "UPDATE entry SET list = 1 WHERE mailbox_id = 2",
        "UPDATE entry SET mailbox_id = 3 WHERE mailbox_id = 2",
        "INSERT INTO entry (mailbox_id, list, pattern_id, added) VALUES (2, 3, 3, 2)",
        "INSERT INTO entry (mailbox_id, list, pattern_id, added) VALUES (2, 3, 3, 99)",
        "INSERT INTO entry (mailbox_id, list, pattern_id, added) VALUES (2, 3, 3, 4)",
        "UPDATE pattern SET text = 'evil@aol.com' WHERE text = 'x@aol.com'",
        "UPDATE pattern SET form = 2 WHERE text = 'x@aol.com'",
        "DELETE FROM pattern WHERE text = 'x@aol.com'",
        "UPDATE mailbox SET address = 'd@corp.example' WHERE address = 'b@corp.example'",
        "DELETE FROM mailbox WHERE address = 'b@corp.example'",
        "UPDATE change_set SET at = at - 86400 WHERE id = 2",
        "UPDATE change_set SET kind = 'run' WHERE id = 2",
        "UPDATE change_set SET run_id = 2 WHERE id = 2",
        "UPDATE change_set SET mailbox_id = NULL WHERE id = 2",
        "UPDATE change_set SET digest = (SELECT digest FROM change_set WHERE id = 3) WHERE id = 2",
        "DELETE FROM change_set WHERE id = 5",
        "DELETE FROM change_set WHERE id = 1",
        "DELETE FROM change_set WHERE id = (SELECT max(id) FROM change_set)",
        "UPDATE run SET actor = 'nobody' WHERE id = 1",
        "UPDATE run SET source = 'elsewhere' WHERE id = 1",
        "UPDATE run SET source = NULL WHERE source = 'subsidiary'",
        "UPDATE run SET source = 'exchange' WHERE source = 'subsidiary'",
        "UPDATE run SET counts = '{}' WHERE id = 1",
        "UPDATE run SET finished = finished + 1 WHERE id = 1",
        "DELETE FROM run WHERE id = 1",
        "UPDATE override SET effect = 'allow' WHERE effect = 'block'",
        "UPDATE override SET expires = 1 WHERE id = 1",
        "UPDATE override SET text = 'aol.com', form = 2 WHERE id = 1",
        "UPDATE override SET reason = 'none' WHERE id = 1",
        "UPDATE override SET revoked = NULL WHERE revoked IS NOT NULL",
        "UPDATE override SET revoked_why = 'never' WHERE revoked IS NOT NULL",
        "UPDATE override SET revoked = 5 WHERE id = 1",
        "UPDATE override SET revoked = 99 WHERE id = 1",
        "DELETE FROM override WHERE id = 1",
        SLIP_IN.format(2),
        SLIP_IN.format(99),
        "UPDATE publication SET file_digest = 'cd'",
        "DELETE FROM publication",
        "UPDATE chain SET digest = (SELECT digest FROM change_set WHERE id = 3)",
    ],
)
def test_whatever_is_changed_is_noticed(filled: str, statement: str) -> None:
    tamper(filled, statement)
    assert problem(filled) is not None


def test_the_first_break_is_named(filled: str) -> None:
    tamper(filled, "UPDATE entry SET list = 1 WHERE mailbox_id = 2")
    with store.open_store(filled) as opened:
        found = opened.verify_chain()
    assert found.change_sets == 3
    assert found.problem is not None
    assert "change set 4 (entries of b@corp.example, run 1: sync by root)" in found.problem


def test_cutting_off_the_newest_is_found_by_a_noted_digest_only(filled: str) -> None:
    with store.open_store(filled) as opened:
        noted = bytes.fromhex(opened.verify_chain().head)
    tamper(filled, "DELETE FROM entry WHERE mailbox_id = 3")
    tamper(filled, "DELETE FROM mailbox WHERE id IN (3, 4)")
    tamper(filled, "DELETE FROM change_set WHERE id IN (14, 15, 16, 17)")
    tamper(filled, "UPDATE chain SET digest = (SELECT digest FROM change_set WHERE id = 13)")
    assert problem(filled) is None
    assert "not in the chain" in str(problem(filled, noted))


def test_without_a_head_nothing_is_written(filled: str) -> None:
    tamper(filled, "DELETE FROM chain")
    with store.open_store(filled) as opened:
        before = [run.id for run in opened.last_runs(99)]
        with pytest.raises(TamperedError, match="bring back a backup"):
            opened.make_overrides([Terms(Effect.ALLOW, sender.parse("q@partner.example"), "x")], NOW, "alice")
        assert [run.id for run in opened.last_runs(99)] == before
    assert "head" in str(problem(filled))


def digest(document: list[object]) -> bytes:
    return hashlib.sha256(json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")).digest()


def test_bytes_that_safelist_never_writes_are_named(sqlite_url: str) -> None:
    for statement in (
        "UPDATE pattern SET text = CAST(text AS BLOB) WHERE id = 1",
        "UPDATE override SET reason = x'00' WHERE id = 1",
        "UPDATE mailbox SET address = x'00' WHERE id = 1",
    ):
        store.upgrade(sqlite_url)
        with store.open_store(sqlite_url) as opened:
            fill(opened)
        tamper(sqlite_url, statement)
        assert problem(sqlite_url) is not None
        Path(parse_url(sqlite_url).database or "").unlink()


def test_the_format_of_a_digest_is_the_documented_one(sqlite_url: str) -> None:
    """Computed here from the database alone, as another program would."""
    store.upgrade(sqlite_url)
    with store.open_store(sqlite_url) as opened:
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "a@corp.example", SEEN, entries("b@aol.com", "ä@aol.com"), SAFE, NOW)
        opened.note(opened.begin_run(NOW, "sync", "root", "subsidiary"), "b@x.example", NOW, "no-rule")
    at = int(NOW.timestamp())
    of_run, mailbox = [run, at, "sync", "root"], {"mailbox": "a@corp.example"}
    added = {"added": [[3, 1, "b@aol.com"], [3, 1, "ä@aol.com"]]}
    first = digest(["00" * 32, "mailbox", at, of_run, mailbox])
    second = digest([first.hex(), "entries", at, of_run, added | mailbox])
    third = digest(
        [second.hex(), "mailbox", at, [run + 1, at, "sync", "root", "subsidiary"], {"mailbox": "b@x.example"}]
    )
    with closing(sqlite3.connect(parse_url(sqlite_url).database or "")) as connection:
        assert connection.execute("SELECT digest FROM change_set").fetchall() == [(first,), (second,), (third,)]


def test_text_of_every_kind_is_sealed(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "ro\0ot\udcff")
    odd = frozenset(
        Entry(UserList.SAFE_SENDERS, refused(text)) for text in ("\u202e\U0001f600@x.org", "a\0b", "\ud800")
    )
    opened.record(run, "a@corp.example", SEEN, odd, SAFE, NOW)
    opened.end_run(run, NOW + timedelta(days=40000), {"ä": 1}, "bad \udcff")
    terms = Terms(Effect.ALLOW, sender.parse("q@partner.example"), "why \0 \udcff", ticket="\U0001f600")
    opened.make_overrides([terms], NOW, "al\udcffice")
    assert opened.verify_chain().problem is None
