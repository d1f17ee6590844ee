"""The chapters about operations, line by line: what they say is run, on a real Exchange, SQLite and PostgreSQL."""

import grp
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from safelist import store
from safelist.junkrule import JunkRule
from safelist.store.database import make_engine, parse_url
from safelist.store.schema import metadata
from tests import aggregate
from tests.cli.command import Command, Done
from tests.docs.command_lines import program_of
from tests.docs.documents import PAGES
from tests.exchange import DemoServer, Mailbox, Organisation
from tests.store import postgres
from tests.store.conftest import postgres_home
from tests.store.test_schema import take_back

__all__ = ["postgres_home"]

PAGE = PAGES["docs/operations.md"]
SENDER = "bob@aol.com"
OLD, NEW = "old.example", "example.com"


def people(domain: str) -> list[Mailbox]:
    """The same people with the same lists, at an address in that domain."""
    return [
        Mailbox(f"{name}@{domain}", JunkRule(safe_senders=(SENDER, f"{name}@friend.example")))
        for name in ("you", "boss", "desk")
    ]


class Site:
    """A machine with safelist on it: the pages' paths lie below a directory of the test's."""

    def __init__(self, directory: Path, server: DemoServer) -> None:
        self.command, self.server = Command(directory), server
        self.backups = directory / "backups"
        self.places = {
            "/var/lib/safelist/safelist.db": str(self.command.database),
            "/var/lib/safelist": str(self.command.database.parent),
            "/var/backups/safelist": str(self.backups),
            "/srv/safelist-audit": str(directory / "audit"),
        }
        self.head = ""
        self.given: dict[str, str] = {}

    def configure(self, addresses: list[str], url: str | None = None) -> None:
        database = {"database": {"url": url}} if url else {}
        self.command.configure(self.server, addresses, **database)

    def local(self, text: str) -> str:
        for place, here in self.places.items():
            text = text.replace(place, here)
        return text

    def run(self, line: str) -> Done | None:
        """Run a line of a page; what would change the machine itself (services, the program) is left out."""
        line, _, output = line.partition(" > ")
        words = [self.local(word) for word in shlex.split(line, comments=True)]
        words = [self.given.get(word, word) for word in words]
        program = program_of(words[0])
        if program in ("systemctl", "pip", "createdb"):
            return None
        if program != "safelist":
            here = str(self.command.directory)
            assert all(word.startswith(here) for word in words if word.startswith("/")), words
            subprocess.run(words, check=True)
            return None
        done = self.command(*words[1:])
        assert done.code == 0, (line, done)
        if output:
            Path(self.local(output.split("#")[0].strip())).write_text(done.out)
        if words[1:3] == ["audit", "verify"]:
            self.given["HEAD"] = done.out.split()[-1]
        return done

    def chapter(self, heading: str, *numbers: int) -> list[str]:
        """The lines of those blocks of a chapter, or of all of them."""
        blocks = PAGE.blocks("sh", heading)
        return [line for n in numbers or range(len(blocks)) for line in blocks[n].text.splitlines()]

    def run_all(self, lines: list[str]) -> None:
        for line in lines:
            self.run(line)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Three people are collected and published; an override is made."""
    with DemoServer(Organisation.of(people(NEW))) as server:
        here = Site(tmp_path, server)
        here.configure([each.address for each in people(NEW)])
        aggregate.create(here.command.database)
        made = here.command("override", "allow", "fax@gateway.example", "--reason", "sends without SPF")
        assert (made.code, here.command("sync", "--publish").code) == (0, 0)
        yield here


def head(site: Site) -> str:
    return str(site.command("audit", "verify", "--json").json["head"])


def test_a_backup_comes_back(site: Site) -> None:
    before = head(site)
    first, *_ = site.chapter("Backup and restore", 0)
    assert first.startswith("install -d -m 700 ")
    site.run_all(site.chapter("Backup and restore", 0))
    assert site.backups.stat().st_mode & 0o777 == 0o700
    assert "fax@gateway.example" in (site.backups / "overrides.csv").read_text()
    site.command.database.write_bytes(b"broken" * 1000)
    assert site.command("sync").code == 78
    site.command.database.with_name("safelist.db-wal").write_bytes(b"its last records")
    site.run_all(site.chapter("Backup and restore", 1))
    assert site.command("audit", "verify", "--contains", before).code == 0
    assert site.command.database.with_name("safelist.db.broken").read_bytes().startswith(b"broken")
    assert site.command.database.with_name("safelist.db-wal.broken").read_bytes() == b"its last records"


def test_a_backup_of_an_older_safelist_comes_back(site: Site) -> None:
    site.backups.mkdir(0o700)
    old, noted = site.backups / "old.db", head(site)
    assert site.command("db", "backup", str(old)).code == 0
    take_back(f"sqlite:///{old}", "0003")
    site.command.database.unlink()
    refused = site.command("db", "restore", str(old))
    assert (refused.code, "its schema 0003 is older" in refused.err) == (78, True)
    assert not site.command.database.exists()
    before = old.read_bytes()
    site.run_all(site.chapter("Backup and restore", 2))
    assert old.read_bytes() == before
    assert head(site) == noted


def test_an_upgrade_keeps_the_past_and_has_a_way_back(site: Site) -> None:
    site.backups.mkdir(0o700)
    site.run_all(site.chapter("Upgrade"))
    assert site.command("audit", "verify", "--contains", site.given["HEAD"]).code == 0
    assert site.command("sync").code == 0


def test_the_database_moves_and_the_next_run_goes_on(site: Site, postgres_home: Path) -> None:
    site.run("safelist audit verify")
    with postgres.database(postgres_home, "operations") as url:
        site.given["postgresql+psycopg://safelist@/safelist"] = url
        site.run_all(site.chapter("From SQLite to PostgreSQL, and back", 0))
        site.configure([each.address for each in people(NEW)], url)
        site.run_all(site.chapter("From SQLite to PostgreSQL, and back", 1))
        before = head(site)
        site.command.database.unlink()
        (span,) = (each for each in PAGE.spans() if each.startswith("safelist db copy sqlite:"))
        site.run(span)
        site.configure([each.address for each in people(NEW)])
        assert head(site) == before
        assert site.command("sync", "--publish").code == 0


def test_a_lost_database_is_collected_anew(site: Site) -> None:
    site.run_all(site.chapter("Backup and restore", 0))
    before = site.command.map.read_text()
    for each in site.command.database.parent.iterdir():
        each.unlink()
    site.run_all(site.chapter("When the database is lost"))
    assert [line for line in site.command.map.read_text().splitlines() if line[0] != "#"] == [
        line for line in before.splitlines() if line[0] != "#"
    ]
    found = site.command("audit", "who", SENDER, "--json").json
    assert [each["at_first_collection"] for each in found["entries"]] == [True] * 3


def test_another_exchange_answers_for_the_same_mailboxes(site: Site) -> None:
    with DemoServer(Organisation.of(people(NEW))) as other:
        site.server = other
        site.configure([each.address for each in people(NEW)])
        site.run_all(site.chapter("When Exchange is replaced"))
    assert site.command("audit", "history", "--what", "entry-removed", "--json").json == []


def test_the_organisation_gets_another_name(tmp_path: Path) -> None:
    with DemoServer(Organisation.of([*people(OLD), *people(NEW)])) as server:
        site = Site(tmp_path, server)
        site.configure([each.address for each in people(OLD)])
        aggregate.create(site.command.database)
        assert site.command("sync", "--publish").code == 0
        made = site.command("override", "block", SENDER, "--domain", OLD, "--reason", "account was taken over")
        assert made.code == 0
        site.backups.mkdir(0o700)
        site.run_all(site.chapter("When the organisation is renamed", 0))
        site.configure([each.address for each in people(NEW)], None)
        file = site.backups / "overrides.csv"
        file.write_text(file.read_text().replace(OLD, NEW))
        site.run_all(site.chapter("When the organisation is renamed", 1))
        holders = {
            each["mailbox"]
            for each in site.command("audit", "who", SENDER, "--json").json["entries"]
            if not each["until"]
        }
        assert holders == {each.address for each in people(NEW)}
        for_new = site.command("audit", "why", SENDER, "--recipient", f"you@{NEW}", "--json").json
        assert (for_new["safe"], for_new["reason"]) == (False, "enforced-block")
        again = site.command("forget", "--domain", OLD)
        assert (again.code, "no mailbox in old.example is collected and not forgotten yet" in again.err) == (64, True)


def test_uninstalling_keeps_what_an_auditor_may_ask_for(site: Site) -> None:
    site.backups.mkdir(0o700)
    site.run_all(site.chapter("Uninstall", 0))
    kept = site.command(
        "audit", "verify", "--database", str(site.backups / "last.db"), "--contains", site.given["HEAD"]
    )
    assert kept.code == 0
    assert SENDER in (site.backups / "last.html").read_text()


def test_an_auditor_asks_the_nightly_copy(site: Site) -> None:
    group = grp.getgrgid(site.backups.parent.stat().st_gid).gr_name
    site.given["auditors"] = group
    site.run("safelist audit verify")
    site.run_all(site.chapter("An auditor who is not root"))
    copy = Path(site.places["/srv/safelist-audit"]) / "safelist.db"
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o640, 0o750)
    (example,) = PAGE.blocks("toml", "An auditor who is not root")
    site.command.config.write_text(site.local(example.text))
    for line in QUESTIONS:
        assert site.command(*line.split()).code == 0, line
    assert [each.name for each in copy.parent.iterdir()] == ["safelist.db"]


QUESTIONS = (
    f"audit who {SENDER}", f"audit why {SENDER}", f"audit why {SENDER} --recipient you@{NEW}",
    f"audit mailbox you@{NEW}", "audit history", "audit runs", "audit search aol", "audit changes", "audit verify",
    "audit report --html -", "override list", "override show 1", "override export", "failure list", "db verify",
)  # fmt: skip
CHANGES = (
    "override allow eve@aol.com --reason none", "override revoke 1 --reason none", f"forget you@{NEW}",
    "sync", "publish",
)  # fmt: skip


def test_an_auditor_may_ask_everything_and_change_nothing(site: Site, postgres_home: Path) -> None:
    """The role of the page, on a real PostgreSQL: every question, each command that writes, each table by SQL."""
    (role,) = PAGES["docs/operations.md"].blocks("sql", "An auditor who is not root")
    with postgres.database(postgres_home, "audited") as url:
        assert site.command("db", "copy", url).code == 0
        address = f"host={postgres_home} dbname=audited"
        with psycopg.connect(f"{address} user=safelist", autocommit=True) as owner:
            owner.execute(role.text.encode())
        site.configure([each.address for each in people(NEW)], url.replace("//safelist@", "//auditor@"))
        before = _contents(url)
        for line in QUESTIONS:
            done = site.command(*line.split())
            assert done.code == 0, (line, done)
        for line in CHANGES:
            done = site.command(*line.split())
            assert (done.code, "this user lacks a privilege" in done.err) == (77, True), (line, done)
        with psycopg.connect(f"{address} user=auditor", autocommit=True) as auditor:
            for statement in _statements():
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    auditor.execute(statement.encode())
        assert _contents(url) == before
        with psycopg.connect(f"{address} user=safelist", autocommit=True) as owner:
            owner.execute(b"DROP OWNED BY auditor; DROP ROLE auditor")


def _statements() -> Iterator[str]:
    for table in (*metadata.tables, "safelist_revision"):
        yield f'DELETE FROM "{table}"'
        yield f'TRUNCATE "{table}" CASCADE'
        yield f'INSERT INTO "{table}" DEFAULT VALUES'
        yield f'SELECT * FROM "{table}" FOR UPDATE'
        yield f'DROP TABLE "{table}"'
    yield "UPDATE mailbox SET address = 'x'"
    yield "CREATE TABLE mine (id int)"
    yield "SELECT setval('run_id_seq', 1)"


def _contents(url: str) -> dict[str, int]:
    engine = make_engine(parse_url(url))
    with engine.connect() as connection:
        found = {each.name: len(connection.execute(each.select()).all()) for each in metadata.sorted_tables}
    engine.dispose()
    with store.open_store(url) as opened:
        return found | {opened.head(): 1}
