"""The schema: from nothing to this version's, and what is refused."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from safelist import store
from safelist.entry import Entry, UserList
from safelist.errors import ConfigError, UnavailableError
from safelist.policy import Settings
from safelist.sender import Form, Refusal
from safelist.store import migration
from safelist.store.database import make_engine, parse_url
from safelist.store.schema import REVISIONS, VERSION_TABLE, metadata
from tests.store.samples import LATER, NOW, SAFE, SEEN, entries, refused

ROOT = Path(__file__).parents[2]


def execute(url: str, statement: str) -> None:
    engine = make_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_upgrade_from_nothing_makes_the_schema(empty_url: str) -> None:
    assert store.upgrade(empty_url) == (None, REVISIONS[-1])
    engine = make_engine(parse_url(empty_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_upgrade_again_keeps_everything(url: str) -> None:
    with store.open_store(url) as opened:
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "u@x", SEEN, entries("a@x"), SAFE, NOW)
    assert store.upgrade(url) == (REVISIONS[-1], REVISIONS[-1])
    with store.open_store(url) as opened:
        assert len(opened.listing("u@x")) == 1


def test_revisions_are_those_of_the_migrations() -> None:
    script = ScriptDirectory(str(migration.location()))
    assert tuple(r.revision for r in reversed(list(script.walk_revisions()))) == REVISIONS


def test_no_migration_offers_a_way_back() -> None:
    for revision in ScriptDirectory(str(migration.location())).walk_revisions():
        assert not hasattr(revision.module, "downgrade")


def test_database_that_was_never_upgraded(empty_url: str) -> None:
    with pytest.raises(ConfigError, match="safelist db upgrade"):
        store.open_store(empty_url)
    if (path := parse_url(empty_url)).get_backend_name() == "sqlite":
        assert path.database is not None
        assert not Path(path.database).exists()


def test_older_schema(url: str) -> None:
    execute(url, f"DELETE FROM {VERSION_TABLE}")
    with pytest.raises(ConfigError, match="safelist db upgrade"):
        store.open_store(url)


def test_newer_schema_is_refused(url: str) -> None:
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(ConfigError, match="schema 9999 is newer than"):
        store.open_store(url)
    with pytest.raises(ConfigError, match="schema 9999 is newer than"):
        store.upgrade(url)


@pytest.mark.parametrize(
    ("found", "install"), [("0917", r"safelist 0[.]917 or newer"), ("tomorrow", "the newer safelist")]
)
def test_of_a_newer_schema_the_version_is_named(url: str, found: str, install: str) -> None:
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '{found}'")
    with pytest.raises(ConfigError, match=f"; install {install} again$"):
        store.open_store(url)


def test_another_programs_tables_are_left_alone(empty_url: str, tmp_path: Path) -> None:
    if empty_url.startswith("sqlite"):
        migration.make_file(tmp_path / "state" / "safelist.db")
    execute(empty_url, "CREATE TABLE run (what INTEGER)")
    with pytest.raises(ConfigError, match=r"another program \(run\)"):
        store.upgrade(empty_url)
    with pytest.raises(ConfigError, match="holds no aggregate"):
        store.open_store(empty_url)


def test_upgrade_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    """The migration's last step fails because the name of its index is taken."""
    if empty_url.startswith("sqlite"):
        migration.make_file(Path(parse_url(empty_url).database or ""))
        execute(empty_url, "CREATE VIEW ix_entry_pattern_id AS SELECT 1")
    else:
        execute(empty_url, "CREATE SEQUENCE ix_entry_pattern_id")
    with pytest.raises(UnavailableError, match="ix_entry_pattern_id"):
        store.upgrade(empty_url)
    engine = make_engine(parse_url(empty_url))
    with engine.connect() as connection:
        assert migration.revision(connection) is None
        assert not engine.dialect.has_table(connection, "run")
    engine.dispose()


def test_new_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state" / "safelist.db"
    store.upgrade(f"sqlite:///{path}")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def alembic(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alembic", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_alembic_check_passes_on_a_fresh_checkout() -> None:
    done = alembic("check")
    assert (done.returncode, done.stdout.strip()) == (0, "No new upgrade operations detected."), done.stderr


def test_alembic_check_passes_on_this_database(url: str) -> None:
    done = alembic("check", SAFELIST_DATABASE_URL=url)
    assert (done.returncode, done.stdout.strip()) == (0, "No new upgrade operations detected."), done.stderr


def test_alembic_upgrade_does_the_same(empty_url: str) -> None:
    if empty_url.startswith("sqlite"):
        migration.make_file(Path(parse_url(empty_url).database or ""))
    done = alembic("upgrade", "head", SAFELIST_DATABASE_URL=empty_url)
    assert done.returncode == 0, done.stderr
    with store.open_store(empty_url) as opened:
        assert opened.totals().mailboxes == 0


FIRST_AGGREGATE = [
    "INSERT INTO run (id, started, finished, what, actor, counts) VALUES (1, 1000, 2000, 'sync', 'root', '{}')",
    *(
        "INSERT INTO mailbox (id, address, owner, change_key, lists, include_contacts, entries, refused, run_id, "
        f"outcome, checked, doubt_runs) VALUES ({n}, 'm{n}@corp{n % 2}.example', 'o{n}', 'key', 254, {flag}, 2, 0, 1, "
        "'collected', 1000, 0)"
        for n, flag in ((1, "true"), (2, "true"), (3, "false"), (4, "NULL"))
    ),
    "INSERT INTO pattern (id, text, form, trusted_by) VALUES (1, 'x@aol.com', 1, 1)",
    "INSERT INTO pattern (id, text, form, refusal, trusted_by) VALUES (2, 'bob smith', 0, 'neither', 0)",
    *(f"INSERT INTO change_set (id, run_id, mailbox_id, at) VALUES ({n}, 1, {n % 4 + 1}, 100{n})" for n in range(1, 6)),
    "INSERT INTO entry (mailbox_id, list, pattern_id, added) VALUES (2, 7, 1, 1)",
    "INSERT INTO entry (mailbox_id, list, pattern_id, added) VALUES (3, 7, 1, 2)",
    "INSERT INTO entry (mailbox_id, list, pattern_id, added) VALUES (4, 7, 1, 3)",
    "INSERT INTO entry (mailbox_id, list, pattern_id, added) VALUES (1, 3, 1, 4)",
    "INSERT INTO entry (mailbox_id, list, pattern_id, added) VALUES (1, 7, 1, 4)",
    "INSERT INTO entry (mailbox_id, list, pattern_id, added, removed) VALUES (2, 3, 2, 1, 5)",
]
"""What the first version may have recorded: contacts of every kind, an ended entry, a refused one."""


def test_the_first_versions_aggregate_is_brought_over_whole(empty_url: str) -> None:
    if empty_url.startswith("sqlite"):
        migration.make_file(Path(parse_url(empty_url).database or ""))
    done = alembic("upgrade", "0001", SAFELIST_DATABASE_URL=empty_url)
    assert done.returncode == 0, done.stderr
    for statement in FIRST_AGGREGATE:
        execute(empty_url, statement)
    if empty_url.startswith("postgresql"):
        for table in ("run", "mailbox", "pattern", "change_set"):
            execute(empty_url, f"SELECT setval('{table}_id_seq', 100)")
    assert store.upgrade(empty_url) == ("0001", REVISIONS[-1])
    with store.open_store(empty_url) as opened:
        assert opened.verify_chain()[::2] == (5, None)
        assert opened.recount() == []
        (candidate,) = opened.candidates(Settings(include_contacts=True), NOW)
        assert candidate.tallies[0].votes == 4, "mailbox 1 as a safe sender, the others as a contact"
        assert opened.own_domains() == {"corp0.example", "corp1.example"}
        assert [len(opened.listing(f"m{n}@corp{n % 2}.example")) for n in range(1, 5)] == [2, 2, 1, 1]
        assert {m.rule.change_key for m in opened.mailboxes()} == {None}, "every mailbox is read once more"
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "m1@corp1.example", SEEN, entries("a@x.org"), SAFE, NOW)
        assert opened.verify_chain().problem is None
    engine = make_engine(parse_url(empty_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        if engine.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    engine.dispose()


def take_back(url: str, revision: str) -> None:
    """Make this version's database one of an earlier: 0007 and 0005 added a table, 0006 two, 0004 two columns."""
    for table in ("look", "target_state", "acknowledgement", "rejection_count"):
        execute(url, f"DROP TABLE {table}")
    for table in ("mailbox", "run"):
        execute(url, f"ALTER TABLE {table} DROP COLUMN source")
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")


@pytest.mark.parametrize("revision", ["0002", "0003"])
def test_what_was_recorded_before_sources_had_names_is_the_first_ones(empty_url: str, revision: str) -> None:
    store.upgrade(empty_url)
    with store.open_store(empty_url) as opened:
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "u@corp.example", SEEN, entries("a@x.example"), SAFE, NOW)
        opened.end_run(run, NOW, {"collected": 1}, None)
        opened.end_run(opened.begin_run(NOW, "publish postfix", "root"), NOW, {}, None)
        before = opened.verify_chain()
    take_back(empty_url, revision)
    assert store.upgrade(empty_url) == (revision, REVISIONS[-1])
    with store.open_store(empty_url) as opened:
        assert opened.verify_chain() == before
        assert [state.source for state in opened.mailboxes()] == ["exchange"]
        assert [run.source for run in opened.last_runs(5)] == [None, "exchange"]
        run = opened.begin_run(LATER, "sync", "root", "exchange")
        opened.record(run, "u@corp.example", SEEN, entries("b@x.example"), SAFE, LATER)
        run = opened.begin_run(LATER, "sync", "root", "subsidiary")
        opened.record(run, "v@sub.example", SEEN._replace(owner="v"), entries("b@x.example"), SAFE, LATER)
        after = opened.verify_chain(bytes.fromhex(before.head))
        assert (after.problem, after.change_sets) == (None, before.change_sets + 3)


def test_what_an_earlier_version_refused_is_read_anew_after_the_upgrade(empty_url: str) -> None:
    store.upgrade(empty_url)
    was = frozenset({Entry(UserList.SAFE_SENDERS, refused("a..b@x.example", Refusal.BAD_LOCAL_PART))})
    with store.open_store(empty_url) as opened:
        opened.record(opened.begin_run(NOW, "sync", "root"), "u@corp.example", SEEN, was, SAFE, NOW)
        before = opened.verify_chain()
    take_back(empty_url, "0002")
    with pytest.raises(ConfigError, match="safelist db upgrade"):
        store.open_store(empty_url)
    assert store.upgrade(empty_url) == ("0002", REVISIONS[-1])
    with store.open_store(empty_url) as opened:
        state = opened.mailbox("u@corp.example")
        assert state is not None
        assert (state.rule.change_key, state.rule.digest) == (None, None)
        assert opened.verify_chain() == before, "what is forgotten is not part of the chain"
        assert [holding.pattern.form for holding in opened.listing("u@corp.example")] == [Form.REFUSED]
        opened.record(
            opened.begin_run(LATER, "sync", "root"), "u@corp.example", SEEN, entries("a..b@x.example"), SAFE, LATER
        )
        held = {(h.pattern.form, h.until) for h in opened.listing("u@corp.example")}
        assert held == {(Form.REFUSED, LATER), (Form.ADDRESS, None)}
        after = opened.verify_chain(bytes.fromhex(before.head))
        assert (after.problem, after.change_sets) == (None, before.change_sets + 1)
        assert opened.recount() == []


def test_a_file_in_a_directory_that_a_group_shares_is_the_group_s_too(tmp_path: Path) -> None:
    """As /var/lib/safelist is once its users are made: those who collect and who publish both write there."""
    for mode, expected in ((0o2770, 0o660), (0o770, 0o660), (0o777, 0o600), (0o750, 0o600)):
        place = tmp_path / f"{mode:o}"
        place.mkdir()
        place.chmod(mode)
        store.upgrade(f"sqlite:///{place / 'safelist.db'}")
        assert (place / "safelist.db").stat().st_mode & 0o777 == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file for somebody else: sudo make test")
def test_root_makes_the_file_for_the_directory_s_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    store.upgrade(f"sqlite:///{tmp_path / 'safelist.db'}")
    found = (tmp_path / "safelist.db").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (65534, 0o600)
