"""Behind a real pgbouncer: everything works in transaction mode, and the lock is held and freed as it is without."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from safelist import store
from safelist.errors import ConfigError, TemporaryError, UnavailableError
from safelist.policy import Settings
from safelist.store import lock
from tests.store import pgbouncer, postgres
from tests.store.samples import LATER, NOW, SAFE, SEEN, entries
from tests.store.test_lock import holder, test_lock_of_a_killed_holder_is_free


@pytest.fixture(scope="module", params=["transaction", "session"])
def pool(request: pytest.FixtureRequest, postgres_home: Path) -> Iterator[Path]:
    """The directory of the socket of a pooler in that mode."""
    with pgbouncer.pooler(postgres_home, request.param) as directory:
        yield directory


@pytest.fixture
def direct(postgres_home: Path) -> Iterator[str]:
    """The URL of an aggregate without mailboxes, not by way of the pooler."""
    with postgres.database(postgres_home, "pooled") as url:
        store.upgrade(url)
        yield url


@pytest.fixture
def pooled(direct: str, postgres_home: Path, pool: Path) -> str:
    """The URL of the same by way of the pooler."""
    return pgbouncer.through(direct, postgres_home, pool)


def advisory_locks(url: str) -> int:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
        assert row is not None
        return int(row[0])


def test_schema_is_made_through_it(postgres_home: Path, pool: Path) -> None:
    with postgres.database(postgres_home, "made") as url, store.hold(url, "db upgrade", NOW):
        through = pgbouncer.through(url, postgres_home, pool)
        assert store.upgrade(through)[0] is None
        assert store.upgrade(through)[0] == store.upgrade(url)[0]


def test_everything_is_recorded_and_read(pooled: str) -> None:
    """Often enough for a driver to prepare its statements, on connections that change between the transactions."""
    with store.hold(pooled, "sync", NOW), store.open_store(pooled) as opened, store.open_store(pooled) as other:
        run = opened.begin_run(NOW, "sync", "root")
        for n in range(20):
            opened.record(run, f"u{n}@x", SEEN, entries(f"a{n}@x.org", "b@x.org"), SAFE, NOW)
            assert len(other.who(["b@x.org"])) == n + 1
        assert [c.sender.text for c in other.candidates(Settings(), NOW, 20)] == ["b@x.org"]
        assert opened.verify_chain().problem is None


@pytest.mark.parametrize(("first", "second"), [("pooled", "pooled"), ("pooled", "direct"), ("direct", "pooled")])
def test_second_writer_is_told_who_is_first(
    request: pytest.FixtureRequest, pooled: str, first: str, second: str
) -> None:  # fmt: skip
    urls = {name: request.getfixturevalue(name) for name in ("pooled", "direct")}
    with holder(urls[first]) as process, pytest.raises(TemporaryError) as caught, store.hold(urls[second], "sync", NOW):
        pass
    assert "another safelist is at work: sync by " in str(caught.value)
    assert str(process.pid) in str(caught.value)


def test_lock_is_held_while_others_come_and_go(pooled: str) -> None:
    with holder(pooled):
        for _ in range(12):  # more than the pool has connections
            with store.open_store(pooled) as opened:
                assert opened.last_runs(1) == []
            with pytest.raises(TemporaryError), store.hold(pooled, "sync", NOW):
                pass


def test_nothing_stays_behind_on_the_pool(pooled: str, direct: str) -> None:
    with store.hold(pooled, "sync", NOW), store.open_store(pooled) as opened:
        opened.begin_run(NOW, "sync", "root")
        assert advisory_locks(direct) == 1
    assert advisory_locks(direct) == 0
    with psycopg.connect(pooled.replace("+psycopg", ""), prepare_threshold=None) as connection:
        for name, expected in (("synchronous_commit", "on"), ("idle_in_transaction_session_timeout", "0")):
            assert connection.execute(f"SHOW {name}").fetchone() == (expected,)
        shown = connection.execute("SHOW application_name").fetchone()
        assert shown is not None
        assert "sync by" not in shown[0]


def test_lock_of_a_killed_holder_is_free_again(pooled: str) -> None:
    test_lock_of_a_killed_holder_is_free(pooled)


def test_statement_mode_is_refused(direct: str, postgres_home: Path) -> None:
    with pgbouncer.pooler(postgres_home, "statement") as directory:
        url = pgbouncer.through(direct, postgres_home, directory)
        for use in (store.open_store, store.upgrade, lambda url: store.hold(url, "sync", NOW).__enter__()):
            with pytest.raises(ConfigError, match="set pool_mode = transaction or session in pgbouncer"):
                use(url)


def test_the_servers_own_timeout_does_not_end_it(direct: str) -> None:
    """Another transaction, which began later and is as idle, is ended."""
    url = direct.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("ALTER DATABASE pooled SET idle_in_transaction_session_timeout = '2s'")
        with holder(direct):
            silent = psycopg.connect(url)
            silent.execute("SELECT 1")
            while _others_in_a_transaction(admin) > 1:
                admin.execute("SELECT pg_sleep(0.1)")
            assert advisory_locks(direct) == 1
    with pytest.raises(psycopg.Error, match=r"terminat|closed|timeout"):
        silent.execute("SELECT 1")


def test_a_pooler_that_cuts_idle_transactions_is_spoken_to(
    direct: str, postgres_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """It looks at its clients' idle transactions once in a while, and ends those that said nothing for so long."""
    monkeypatch.setattr(lock, "_TALK_SECONDS", 0.2)
    with pgbouncer.pooler(postgres_home, "transaction", "idle_transaction_timeout = 2") as directory:
        url = pgbouncer.through(direct, postgres_home, directory)
        silent = psycopg.connect(url.replace("+psycopg", ""), prepare_threshold=None)
        with store.hold(url, "sync", NOW):
            silent.execute("SELECT 1")
            with psycopg.connect(direct.replace("+psycopg", ""), autocommit=True) as admin:
                while _others_in_a_transaction(admin) > 1:
                    admin.execute("SELECT pg_sleep(0.1)")
                assert advisory_locks(direct) == 1
    with pytest.raises(psycopg.Error, match=r"terminat|closed|timeout"):
        silent.execute("SELECT 1")


def _others_in_a_transaction(admin: psycopg.Connection[tuple[object, ...]]) -> int:
    row = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL "
        "AND pid <> pg_backend_pid()"
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_a_lock_that_was_cut_is_said(direct: str) -> None:
    def work() -> None:
        with store.hold(direct, "sync", NOW), store.open_store(direct) as opened:
            run = opened.begin_run(NOW, "sync", "root")
            with psycopg.connect(direct.replace("+psycopg", ""), autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            opened.end_run(run, LATER, {}, None)

    with pytest.raises(UnavailableError, match="the connection that held the lock was cut while this command worked"):
        work()
    with store.open_store(direct) as opened:
        assert [r.finished for r in opened.last_runs(5)] == [LATER], "what was recorded is there"
