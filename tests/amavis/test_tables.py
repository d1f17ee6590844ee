"""Only safelist's own rows are ever touched, in one transaction, wherever it is cut short."""

import os
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from safelist import config, sender, store
from safelist.cli.configuration import target_sections
from safelist.errors import ConfigError, SafelistError, TemporaryError
from safelist.override import Effect, Terms
from safelist.policy import Settings
from safelist.publisher import wblist_tables
from safelist.publisher.publish import publish
from safelist.publisher.target import Published
from safelist.publisher.targets import amavis
from safelist.publisher.targets.amavis import AmavisSettings
from safelist.runs.publish import publish as publish_configured
from safelist.store import Store
from tests.amavis import lookups, schema
from tests.amavis.conftest import trust
from tests.forked import exit_code
from tests.publisher.site import NOW

DESK, FRONT, OTHER = "desk@corp.example", "front@corp.example", "other@corp.example"
ANN, BOB, EVE = "ann@a.example", "bob@b.example", "eve@e.example"
THEIRS = [
    "INSERT INTO users (policy_id, priority, email, fullname) VALUES (1, 7, 'desk@corp.example', 'the desk')",
    "INSERT INTO users (policy_id, priority, email) VALUES (1, 0, '@.')",
    "INSERT INTO mailaddr (priority, email) VALUES (9, 'ann@a.example')",
    "INSERT INTO mailaddr (priority, email) VALUES (8, 'eve@e.example')",
    "INSERT INTO wblist SELECT u.id, m.id, 'B' FROM users u, mailaddr m WHERE m.priority = 8 AND u.fullname > ''",
]
"""The site's own rows: of the desk and of everybody, of two senders, and a pair that it has ruled on."""


@pytest.fixture(params=["postgresql", "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tables(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the tables and the site's rows."""
    if kind == "sqlite":
        (tmp_path / "amavis.db").touch()
        made = f"sqlite:///{tmp_path}/amavis.db"
    else:
        made = str(request.getfixturevalue("url"))
    schema.run(made, [*schema.statements(kind), *THEIRS])
    return made


@pytest.fixture
def chosen(tables: str, tmp_path: Path) -> AmavisSettings:
    return AmavisSettings.model_validate({"url": tables, "lock": tmp_path / "lock", "unauthenticated": True})


def published(opened: Store, chosen: AmavisSettings, **options: bool) -> Published:
    return publish(opened, Settings(quorum=9), amavis.TARGET, chosen, lambda: NOW, **options)


def pairs(url: str) -> set[tuple[str, str, str]]:
    """Every row of ``wblist``, safelist's and the site's."""
    users, senders = ({row[0]: text(row) for row in schema.rows(url, name)} for name in ("users", "mailaddr"))
    return {(users[rid], senders[sid], wb) for rid, sid, wb in schema.rows(url, "wblist")}


def text(row: Sequence[Any]) -> str:
    email = next(each for each in row if isinstance(each, bytes) or (isinstance(each, str) and "@" in each))
    return email.decode() if isinstance(email, bytes) else email


SITES = (DESK, EVE, "B")


every_kind = pytest.mark.parametrize("kind", list(schema.KINDS), indirect=True)


@every_kind
def test_the_sites_rows_are_used_and_never_changed_or_removed(
    tables: str, opened: Store, chosen: AmavisSettings
) -> None:
    before = schema.everything(tables)
    trust(opened, DESK, ANN, BOB)
    trust(opened, FRONT, ANN)
    assert published(opened, chosen).entries == 3
    assert pairs(tables) == {SITES, (DESK, ANN, "-5"), (DESK, BOB, "-5"), (FRONT, ANN, "-5")}
    after = schema.everything(tables)
    assert all(set(rows) <= set(after[name]) for name, rows in before.items())
    (ours,) = set(after["users"]) - set(before["users"])
    assert ours[1:3] == (8, 2)
    trust(opened, DESK)
    trust(opened, FRONT)
    assert published(opened, chosen, allow_shrink=True).gone == 3
    assert schema.everything(tables) == before


def test_a_pair_that_the_site_has_ruled_on_is_the_sites(tables: str, opened: Store, chosen: AmavisSettings) -> None:
    trust(opened, DESK, EVE, BOB)
    done = published(opened, chosen)
    (refused,) = done.refused
    assert (refused.pattern.text, "the site has a row of its own" in refused.why) == (EVE, True)
    assert pairs(tables) == {SITES, (DESK, BOB, "-5")}
    trust(opened, DESK)
    published(opened, chosen)
    assert pairs(tables) == {SITES}


def test_a_wider_row_of_the_sites_that_would_count_first_is_reported(
    tables: str, opened: Store, chosen: AmavisSettings
) -> None:
    schema.run(tables, ["INSERT INTO mailaddr (priority, email) VALUES (9, '@b.example')"])
    of_desk = "SELECT u.id, m.id, 'B' FROM users u, mailaddr m WHERE u.fullname > ''"
    schema.run(tables, [f"INSERT INTO wblist {of_desk} AND m.email = '@b.example'"])
    trust(opened, DESK, ANN, BOB)
    assert [each.pattern.text for each in published(opened, chosen).refused] == [BOB]
    schema.run(tables, ["UPDATE mailaddr SET priority = 5 WHERE email = '@b.example'"])
    assert published(opened, chosen).refused == ()
    assert lookups.verdicts(tables, DESK, [ANN, BOB, "x@b.example"]) == {ANN: "-5.0", BOB: "-5.0", "x@b.example": "B"}


def test_a_row_that_the_site_has_changed_is_the_sites_from_then_on(
    tables: str, opened: Store, chosen: AmavisSettings
) -> None:
    trust(opened, DESK, ANN, BOB)
    published(opened, chosen)
    schema.run(tables, ["UPDATE wblist SET wb = 'B' WHERE wb = '-5' AND sid = (SELECT min(sid) FROM wblist)"])
    changed = {SITES, (DESK, ANN, "B"), (DESK, BOB, "-5")}
    assert pairs(tables) == changed
    assert [each.pattern.text for each in published(opened, chosen).refused] == [ANN]
    assert pairs(tables) == changed
    trust(opened, DESK)
    published(opened, chosen)
    assert pairs(tables) == {SITES, (DESK, ANN, "B")}


def test_a_row_that_the_site_has_deleted_and_made_anew_is_the_sites(
    tables: str, opened: Store, chosen: AmavisSettings, kind: str
) -> None:
    trust(opened, DESK, BOB)
    published(opened, chosen)
    (ours,) = [row for row in schema.rows(tables, "wblist") if row[2] == "-5"]
    schema.run(tables, ["DELETE FROM wblist WHERE wb = '-5'"])
    assert schema.rows(tables, "safelist_wblist") == []
    schema.run(tables, [f"INSERT INTO wblist VALUES ({ours[0]}, {ours[1]}, '-5')"])
    trust(opened, DESK)
    assert not published(opened, chosen).changed
    assert pairs(tables) == {SITES, (DESK, BOB, "-5")}


def test_what_a_program_deletes_that_keeps_no_references_is_written_again(opened: Store, tmp_path: Path) -> None:
    """An SQLite program that does not ask for foreign keys leaves safelist's note of the pair behind."""
    path = tmp_path / "amavis.db"
    path.touch()
    schema.run(f"sqlite:///{path}", [*schema.statements("sqlite"), *THEIRS])
    chosen = AmavisSettings.model_validate(
        {"url": f"sqlite:///{path}", "lock": tmp_path / "lock", "unauthenticated": True}
    )
    trust(opened, DESK, ANN, BOB)
    published(opened, chosen)
    before = schema.everything(chosen.url)
    with closing(sqlite3.connect(path)) as site, site:
        site.execute("DELETE FROM wblist WHERE wb = '-5'")
    assert len(schema.rows(chosen.url, "safelist_wblist")) == 2
    assert published(opened, chosen).new == 2
    assert schema.everything(chosen.url) == before


def test_a_sender_of_safelists_that_the_site_refers_to_stays(
    tables: str, opened: Store, chosen: AmavisSettings
) -> None:
    trust(opened, FRONT, BOB)
    published(opened, chosen)
    with_desk = "SELECT users.id, mailaddr.id, 'B' FROM users, mailaddr WHERE users.email = 'desk@corp.example'"
    schema.run(tables, [f"INSERT INTO wblist {with_desk} AND mailaddr.email = 'bob@b.example'"])
    trust(opened, FRONT)
    published(opened, chosen)
    assert pairs(tables) == {SITES, (DESK, BOB, "B")}
    schema.run(tables, ["DELETE FROM wblist WHERE wb = 'B' AND sid = (SELECT max(id) FROM mailaddr)"])
    trust(opened, FRONT, ANN)
    published(opened, chosen)
    assert {text(row) for row in schema.rows(tables, "mailaddr")} == {ANN, EVE}


@pytest.mark.parametrize("table", ["outbound_wblist", "somebodys"])
def test_what_another_table_refers_to_stays(tables: str, opened: Store, chosen: AmavisSettings, table: str) -> None:
    """iRedMail's has no foreign keys; of a table that safelist does not know the database says it."""
    refers = ("", "") if table == "outbound_wblist" else ("REFERENCES mailaddr (id)", "REFERENCES users (id)")
    schema.run(tables, [f"CREATE TABLE {table} (rid integer {refers[0]}, sid integer {refers[1]}, wb varchar(10))"])
    trust(opened, FRONT, BOB)
    published(opened, chosen)
    ids = {text(row): row[0] for name in ("users", "mailaddr") for row in schema.rows(tables, name)}
    schema.run(tables, [f"INSERT INTO {table} VALUES ({ids[BOB]}, {ids[FRONT]}, 'W')"])
    trust(opened, FRONT)
    published(opened, chosen)
    assert pairs(tables) == {SITES}
    assert {text(row) for name in ("users", "mailaddr") for row in schema.rows(tables, name)} >= {BOB, FRONT}


def test_where_the_sites_priorities_hide_an_exception_the_wider_is_left_out(
    tables: str, opened: Store, chosen: AmavisSettings
) -> None:
    schema.run(tables, ["INSERT INTO mailaddr (priority, email) VALUES (0, '@s.b.example')"])
    allow, block = (Terms(each, sender.parse(".b.example"), "x") for each in (Effect.ALLOW, Effect.BLOCK))
    opened.make_overrides([allow, block._replace(pattern=sender.parse("s.b.example"))], NOW, "root")
    (refused,) = published(opened, chosen).refused
    assert refused.pattern.text == ".b.example"
    assert "@s.b.example must have a higher priority than @.b.example" in refused.why
    assert lookups.safe(tables, OTHER, ["x@b.example", "x@s.b.example"]) == set()
    schema.run(tables, ["UPDATE mailaddr SET priority = 5 WHERE email = '@s.b.example'"])
    assert published(opened, chosen).refused == ()
    assert lookups.safe(tables, OTHER, ["x@b.example", "x@s.b.example"]) == {"x@b.example"}


def test_a_recipient_whose_row_comes_after_everybodys_is_left_out(
    tables: str, opened: Store, chosen: AmavisSettings
) -> None:
    schema.run(tables, ["UPDATE users SET priority = 9 WHERE email = '@.'"])
    trust(opened, DESK, BOB)
    done = published(opened, chosen)
    assert [each.pattern.text for each in done.refused] == [DESK]
    assert "its row in the table users is the site's own" in done.refused[0].why
    assert pairs(tables) == {SITES}


def test_a_row_of_users_without_a_policy_is_the_sites(
    amavis_home: Path, url: str, opened: Store, tmp_path: Path
) -> None:
    """amavisd joins policies from the left: a site's table may let that column be NULL."""
    nullable = "ALTER TABLE users ALTER policy_id DROP NOT NULL"
    of_all = "INSERT INTO users (priority, policy_id, email) VALUES (9, NULL, '@.')"
    schema.run(url, [*schema.statements("postgresql"), nullable, of_all])
    chosen = AmavisSettings.model_validate({"url": url, "lock": tmp_path / "lock", "unauthenticated": True})
    trust(opened, DESK, BOB)
    assert [each.pattern.text for each in published(opened, chosen).refused] == [DESK]
    assert pairs(url) == set()


def test_a_second_policy_of_that_name_changes_nothing(tables: str, opened: Store, chosen: AmavisSettings) -> None:
    """Whoever has the set-up run again gets complaints about the tables, and another policy."""
    trust(opened, FRONT, BOB)
    published(opened, chosen)
    before = schema.everything(tables)
    schema.run(tables, ["INSERT INTO policy (policy_name) VALUES ('safelist')"])
    assert not published(opened, chosen).changed
    schema.run(tables, ["UPDATE policy SET spam_kill_level = 9 WHERE id = (SELECT min(id) FROM policy) + 1"])
    remarks = list(amavis.check(chosen))
    assert any("the policy safelist sets spam_kill_level" in each.text for each in remarks)
    assert schema.everything(tables)["users"] == before["users"]


def test_a_priority_of_safelists_that_somebody_has_changed_is_put_right(
    tables: str, opened: Store, chosen: AmavisSettings
) -> None:
    trust(opened, FRONT, BOB)
    published(opened, chosen)
    before = schema.everything(tables)
    schema.run(tables, ["UPDATE mailaddr SET priority = 0 WHERE email = 'bob@b.example'"])
    schema.run(tables, ["UPDATE users SET priority = 0 WHERE email = 'front@corp.example'"])
    done = published(opened, chosen)
    assert (done.changed, done.new, done.gone) == (True, 0, 0)
    assert schema.everything(tables) == before
    assert not published(opened, chosen).changed


def test_what_has_not_changed_is_not_written_again(
    tables: str, opened: Store, chosen: AmavisSettings, kind: str, tmp_path: Path
) -> None:
    trust(opened, DESK, ANN, BOB)
    first = published(opened, chosen)
    versions = {name: versions_of(tables, name) for name in schema.TABLES if kind != "sqlite"}
    file = (tmp_path / "amavis.db").stat() if kind == "sqlite" else None
    again = published(opened, chosen)
    assert (again.changed, again.new, again.gone, again.file_digest) == (False, 0, 0, first.file_digest)
    assert {name: versions_of(tables, name) for name in versions} == versions
    assert file is None or (tmp_path / "amavis.db").stat().st_mtime_ns == file.st_mtime_ns


IN_ANY_CASE = {
    "sqlite": [
        "DROP TABLE mailaddr",
        "CREATE TABLE mailaddr (id integer PRIMARY KEY, priority integer, email varchar(255) COLLATE NOCASE UNIQUE)",
    ],
    "postgresql, text": [
        "CREATE COLLATION in_any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "ALTER TABLE mailaddr ALTER email TYPE varchar(255) COLLATE in_any_case",
    ],
}


@pytest.mark.parametrize("kind", list(IN_ANY_CASE), indirect=True)
def test_a_column_that_knows_no_capitals_is_named_with_the_row_to_mend(
    opened: Store, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """To try again later would help nobody."""
    url = f"sqlite:///{tmp_path}/amavis.db" if kind == "sqlite" else str(request.getfixturevalue("url"))
    (tmp_path / "amavis.db").touch()
    capitals = "INSERT INTO mailaddr (priority, email) VALUES (8, 'Bob@B.example')"
    schema.run(url, [*schema.statements(kind, with_ours=False), *IN_ANY_CASE[kind], *schema.set_up(), capitals])
    chosen = AmavisSettings.model_validate({"url": url, "lock": tmp_path / "lock", "unauthenticated": True})
    trust(opened, DESK, BOB)
    with pytest.raises(ConfigError, match=r"mailaddr takes small letters and capitals .*: Bob@B\.example; nothing"):
        published(opened, chosen)
    assert pairs(url) == set()
    schema.run(url, ["UPDATE mailaddr SET email = lower(email)"])
    published(opened, chosen)
    assert pairs(url) == {(DESK, BOB, "-5")}


def versions_of(url: str, table: str) -> list[tuple[Any, ...]]:
    """Which transaction has written each row (PostgreSQL's xmin)."""
    return sorted(schema.asked(url, f"SELECT CAST(xmin AS text) FROM {table}"))


def test_another_score_changes_every_row_and_loses_none(tables: str, opened: Store, chosen: AmavisSettings) -> None:
    trust(opened, FRONT, *(f"s{number}@b.example" for number in range(20)))
    published(opened, chosen)
    done = published(opened, chosen.model_copy(update={"score": -7.25}))
    assert (done.new, done.gone, done.entries) == (20, 20, 20)
    assert {wb for _, _, wb in pairs(tables)} == {"B", "-7.25"}
    published(opened, chosen.model_copy(update={"whitelist": True}))
    assert {wb for _, _, wb in pairs(tables)} == {"B", "W"}


def statement_by_statement(opened_at: str, path: Path, at: int) -> int:
    """Publish in another process, which is killed at the ``at``-th statement that changes the database; its end."""
    seen = 0

    def kill(_: Any, __: Any, statement: str, *___: Any) -> None:
        nonlocal seen
        seen += (
            statement.split(None, 1)[0] in ("INSERT", "DELETE", "UPDATE") and "safelist" not in statement.split()[:1]
        )
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def run() -> None:
        with store.open_store(opened_at) as opened:
            event.listen(Engine, "before_cursor_execute", kill)
            loaded = config.load(path, target_sections())
            (done,) = publish_configured(opened, loaded, [], lambda: NOW, "root")
            assert isinstance(done.done, Published), done

    return exit_code(run)


def test_a_kill_at_any_statement_leaves_the_old_or_the_new(
    tables: str, opened: Store, chosen: AmavisSettings, tmp_path: Path
) -> None:
    path = tmp_path / "safelist.toml"
    path.write_text(
        f'[database]\nurl = "sqlite:///{tmp_path}/safelist.db"\n[policy]\nquorum = 9\n'
        f'[publish.amavis]\nurl = "{tables}"\nlock = "{tmp_path}/lock"\nunauthenticated = true\n'
    )
    trust(opened, DESK, ANN)
    published(opened, chosen)
    old = schema.everything(tables)
    trust(opened, DESK, BOB)
    trust(opened, FRONT, BOB)
    killed = 0
    for at in range(1, 50):
        code = statement_by_statement(f"sqlite:///{tmp_path}/safelist.db", path, at)
        if code != -signal.SIGKILL:
            assert code == 0
            break
        if pairs(tables) != {SITES, (DESK, BOB, "-5"), (FRONT, BOB, "-5")}:
            assert schema.everything(tables) == old
            killed += 1
    assert killed > 6
    assert pairs(tables) == {SITES, (DESK, BOB, "-5"), (FRONT, BOB, "-5")}


def test_who_comes_between_is_not_overwritten(amavis_home: Path, url: str, opened: Store, tmp_path: Path) -> None:
    """The site makes the same pair while safelist plans: nothing is written, and the next time it is the site's."""
    schema.run(url, [*schema.statements("postgresql"), *THEIRS])
    chosen = AmavisSettings.model_validate({"url": url, "lock": tmp_path / "lock", "unauthenticated": True})
    trust(opened, DESK, ANN)
    theirs = "SELECT users.id, mailaddr.id, 'B' FROM users, mailaddr WHERE users.email = 'desk@corp.example'"

    def between(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("INSERT INTO wblist (") and not done:
            done.append(statement)
            schema.run(url, [f"INSERT INTO wblist {theirs} AND mailaddr.email = 'ann@a.example'"])

    done: list[str] = []
    event.listen(Engine, "before_cursor_execute", between)
    try:
        with pytest.raises(TemporaryError, match="another program was writing; try again later"):
            published(opened, chosen)
    finally:
        event.remove(Engine, "before_cursor_execute", between)
    assert pairs(url) == {SITES, (DESK, ANN, "B")}
    assert [each.pattern.text for each in published(opened, chosen).refused] == [ANN]


@pytest.mark.parametrize(
    ("url_", "kind", "message"),
    [
        ("sqlite:////no/such/dir/x.db", SafelistError, "/no/such/dir/x.db"),
        ("postgresql://u:hunter2@127.0.0.1:1/x", SafelistError, r"127.0.0.1.* the one that publish\.amavis\.url names"),
        (
            "mysql+pymysql://u:hunter2@127.0.0.1/x",
            ConfigError,
            "publish.amavis.url: the driver pymysql is not installed",
        ),
        ("oracle7://u:hunter2@127.0.0.1/x", ConfigError, "publish.amavis.url: oracle7 is unknown"),
        ("postgresql://u:hunter2@h@h/x", ConfigError, r"publish.amavis.url: inside a name, password"),
    ],
)
def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    tmp_path: Path, opened: Store, url_: str, kind: type[SafelistError], message: str
) -> None:
    chosen = AmavisSettings.model_validate({"url": url_, "lock": tmp_path / "lock"})
    with pytest.raises(kind, match=message) as raised:
        published(opened, chosen)
    assert "hunter2" not in str(raised.value)


def test_a_url_that_is_none_keeps_no_other_target_from_its_turn(opened: Store, tmp_path: Path) -> None:
    path = tmp_path / "safelist.toml"
    path.write_text(
        f'[database]\nurl = "sqlite:///{tmp_path}/safelist.db"\n'
        f'[publish.amavis]\nurl = "postgresql://u:hunter2@h@h/x"\nlock = "{tmp_path}/lock"\n'
        f'[publish.pairs]\npath = "{tmp_path}/pairs"\n'
    )
    path.chmod(0o600)
    of_amavis, of_pairs = publish_configured(opened, config.load(path, target_sections()), [], lambda: NOW, "root")
    assert "publish.amavis.url: inside a name, password" in str(of_amavis.error)
    assert (of_amavis.done.path, of_pairs.error) == ("amavisd's database", None)
    assert (tmp_path / "pairs").exists()


def test_no_log_in_is_in_the_history_or_in_what_is_said() -> None:
    url = wblist_tables.parse("postgresql://publisher:hunter2@db.corp.example:5432/amavis?sslpassword=hunter3")
    assert wblist_tables.place(url) == "postgresql://db.corp.example:5432/amavis"
    chosen = AmavisSettings.model_validate({"url": "postgresql://u:hunter2@h/x?sslpassword=hunter3", "lock": "/x"})
    said = amavis.use(chosen) + str(amavis.place(chosen))
    assert "DBI:Pg:dbname=x;host=h" in said
    assert "hunter" not in said
