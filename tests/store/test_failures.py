"""Every way in which a database cannot be used: a named error that says what to do, and no password."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from safelist import store
from safelist.errors import ConfigError, PermissionDeniedError, SafelistError, TemporaryError, UnavailableError
from safelist.policy import Settings
from safelist.store.database import failures, make_engine, parse_url
from tests.store import postgres
from tests.store.samples import NOW, SAFE, SEEN, entries

SECRET = "hunter2-p%ss"
NOBODY = 65534


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("nonsense", ConfigError, "is not a URL"),
        ("", ConfigError, "is not a URL"),
        (f"user:{SECRET}@host/x", ConfigError, "is not a URL"),
        (f"postgresql://u:{SECRET}@host:notaport/x", ConfigError, "is not a URL"),
        (f"postgresql://u:a@{SECRET}@h/x", ConfigError, "write @ as %40"),
        (f"postgresql://h:1/x?password=a@{SECRET}", ConfigError, "write @ as %40"),
        (f"postgresql://u:a?{SECRET}@h/x", ConfigError, "write @ as %40 and [?] as %3F"),
        (f"postgresql://us/er:{SECRET}@h/x", ConfigError, "write / as %2F"),
        (f"mysql://us/er:{SECRET}@h/x", ConfigError, "write / as %2F"),
        ("sqlite://", ConfigError, "must name a file"),
        ("sqlite:///x?timeout=soon", ConfigError, "timeout must be a number"),
        ("sqlite:///x?timeout=1&timeout=2", ConfigError, "timeout must be a number"),
        (f"sqlite:///x?key={SECRET}", ConfigError, "not key"),
        ("sqlite:///:memory:", ConfigError, "must name a file"),
        ("sqlite:///file:x?mode=memory&uri=true", ConfigError, "must name a file"),
        (f"nosuch://u:{SECRET}@h/x", ConfigError, "nosuch is neither SQLite nor PostgreSQL"),
        (f"mysql+nosuch://u:{SECRET}@h/x", ConfigError, "mysql is neither SQLite nor PostgreSQL"),
        (f"oracle://u:{SECRET}@h/x", ConfigError, "oracle is neither SQLite nor PostgreSQL"),
        (f"postgresql+psycopg2://u:{SECRET}@h/x", ConfigError, "driver psycopg2 is not installed"),
        ("postgresql+psycopg_async://h/x", ConfigError, "asynchronous"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/x", UnavailableError, r"u:\*\*\*@.*the one that database.url names"),
        (f"postgresql://u@/x?host=/nonexistent&password={SECRET}", UnavailableError, r"psycopg://u@/x"),
        (f"postgresql://u@127.0.0.1:1/x?sslpassword={SECRET}&nosuch=1", ConfigError, "invalid connection option"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("use", [store.open_store, store.upgrade])
def test_bad_urls(use: object, url: str, kind: type[SafelistError], message: str) -> None:
    assert callable(use)
    with pytest.raises(kind, match=message) as caught:
        use(url)
    assert SECRET not in f"{caught.value!r} {caught.value}"
    assert caught.value.__cause__ is None
    assert SECRET not in store.shown_url(url)


def test_shown_url_hides_what_may_be_secret() -> None:
    assert store.shown_url("sqlite:////var/lib/safelist.db") == "/var/lib/safelist.db"
    shown = store.shown_url(f"postgresql://u:{SECRET}@h/x?sslpassword={SECRET}")
    assert shown == "postgresql+psycopg://u:***@h/x"


def test_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "safelist.db"
    path.write_bytes(b"[exchange]\n" * 500)
    for use in (store.open_store, store.upgrade):
        with pytest.raises(ConfigError, match="not an SQLite database"):
            use(f"sqlite:///{path}")
    assert path.read_bytes() == b"[exchange]\n" * 500


def test_directory_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(PermissionDeniedError, match="cannot be opened"):
        store.open_store(f"sqlite:///{tmp_path}")
    with pytest.raises(UnavailableError, match="Is a directory"):
        store.upgrade(f"sqlite:///{tmp_path}")


def test_file_where_a_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="no database yet"):
        store.open_store(f"sqlite:///{tmp_path}/x/safelist.db")
    with pytest.raises(UnavailableError, match="/x: cannot be created: File exists"):
        store.upgrade(f"sqlite:///{tmp_path}/x/safelist.db")


def test_damaged_database(sqlite_url: str) -> None:
    store.upgrade(sqlite_url)
    path = Path(parse_url(sqlite_url).database or "")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged"), store.open_store(sqlite_url) as opened:
        list(opened.mailboxes())


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may do everything; the tests of permissions need somebody who may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may pass."""
    with tempfile.TemporaryDirectory(prefix="safelist-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_database_of_somebody_else(open_directory: Path) -> None:
    url = f"sqlite:///{open_directory / 'state' / 'safelist.db'}"
    store.upgrade(url)
    (open_directory / "state").chmod(0o000)
    with as_nobody():
        for use in (store.open_store, store.upgrade):
            with pytest.raises(PermissionDeniedError, match="by this user"):
                use(url)
    (open_directory / "state").chmod(0o700)


def test_database_that_may_only_be_read(open_directory: Path) -> None:
    url = f"sqlite:///{open_directory / 'safelist.db'}"
    store.upgrade(url)
    (open_directory / "safelist.db").chmod(0o444)
    open_directory.chmod(0o555)
    with as_nobody(), pytest.raises(PermissionDeniedError, match="by this user"), store.open_store(url) as opened:
        opened.begin_run(NOW, "sync", "nobody")
    open_directory.chmod(0o755)


def test_directory_that_may_not_be_made(open_directory: Path) -> None:
    open_directory.chmod(0o555)
    with as_nobody(), pytest.raises(PermissionDeniedError, match="may not be written by this user"):
        store.upgrade(f"sqlite:///{open_directory}/new/safelist.db")
    open_directory.chmod(0o755)


def test_database_locked_for_too_long(sqlite_url: str) -> None:
    store.upgrade(sqlite_url)
    with (
        store.open_store(f"{sqlite_url}?timeout=0") as opened,
        closing(sqlite3.connect(parse_url(sqlite_url).database or "")) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TemporaryError, match="locked"):
            opened.begin_run(NOW, "sync", "root")
        assert opened.last_runs(1) == []
        other.rollback()
        assert opened.begin_run(NOW, "sync", "root") == 1


def test_disk_that_is_full(sqlite_url: str) -> None:
    store.upgrade(sqlite_url)
    url = parse_url(sqlite_url)
    engine = make_engine(url)
    with store.Store(engine, url) as opened:
        run = opened.begin_run(NOW, "sync", "root")
        opened.record(run, "u@x", SEEN, entries("a@x"), SAFE, NOW)
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UnavailableError, match="disk is full"):
            opened.record(run, "u@x", SEEN, entries(*(f"{n}@x" for n in range(5000))), SAFE, NOW)
        assert [c.sender.text for c in opened.candidates(Settings(), NOW)] == ["a@x"]


def test_postgresql_database_that_does_not_exist(postgres_home: Path) -> None:
    with pytest.raises(SafelistError, match='database "nosuch" does not exist'):
        store.open_store(f"postgresql://safelist@/nosuch?host={postgres_home}")


@pytest.fixture
def postgres_url(postgres_home: Path) -> Iterator[str]:
    """The URL of an aggregate without mailboxes, in PostgreSQL."""
    with postgres.database(postgres_home, "failures") as url:
        store.upgrade(url)
        yield url


def test_role_that_may_not_read(postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("CREATE ROLE stranger LOGIN")
        with pytest.raises(PermissionDeniedError, match="lacks a privilege"):
            store.open_store(postgres_url.replace("safelist@", "stranger@"))
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger")
        with store.open_store(postgres_url.replace("safelist@", "stranger@")) as opened:
            assert list(opened.candidates(Settings(), NOW)) == []
            with pytest.raises(PermissionDeniedError, match="lacks a privilege"):
                opened.begin_run(NOW, "sync", "stranger")
        admin.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM stranger")
        admin.execute("DROP ROLE stranger")


def test_connection_that_is_cut(postgres_url: str) -> None:
    with store.open_store(postgres_url) as opened:
        assert opened.last_runs(1) == []
        with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(UnavailableError, match=r"terminat.*try again later"):
            opened.last_runs(1)
        assert opened.last_runs(1) == []


def test_a_statement_that_the_server_ends(postgres_url: str) -> None:
    url = parse_url(f"{postgres_url}&options=-c%20statement_timeout%3D50")
    engine = make_engine(url)
    with (
        pytest.raises(UnavailableError, match=r"timeout: .* SET statement_timeout = 0"),
        failures(url),
        engine.connect() as connection,
    ):
        connection.exec_driver_sql("SELECT pg_sleep(20)")
    engine.dispose()


def test_the_url_of_another_section_is_named_by_its_key() -> None:
    for url in ("nonsense", "sqlite://", "postgresql://a@b@host/x"):
        with pytest.raises(ConfigError, match=r"\Apublish\.other\.url: "):
            parse_url(url, "publish.other.url", None)
    assert parse_url("mysql+pymysql://host/x", "publish.other.url", None).get_backend_name() == "mysql"
    with pytest.raises(ConfigError, match=r"\Apublish\.other\.url: the driver \w+ is not installed"):
        make_engine(parse_url("mysql+pymysql://host/x", "publish.other.url", None), setting="publish.other.url")


def test_a_database_of_others_keeps_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    sqlite3.connect(path).close()
    for is_ours, journal in ((False, "delete"), (True, "wal")):
        engine = make_engine(parse_url(f"sqlite:///{path}"), is_ours=is_ours)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == journal
        engine.dispose()
