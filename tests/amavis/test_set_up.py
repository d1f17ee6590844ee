"""The documents' steps in their order, on a PostgreSQL and an amavisd that know nothing of safelist; and the check."""

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from safelist.store import Store
from tests.amavis import schema, servers
from tests.amavis.conftest import trust
from tests.amavis.servers import DSN, RECOMMENDED, Amavisd
from tests.cli import in_process
from tests.docs.documents import PAGES
from tests.filter.dns_server import nameserver
from tests.mail import world
from tests.mail.world import ALL, BOB, DESK, OTHER, Offer
from tests.postfix.servers import mailboxes
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(servers.missing()), reason=servers.missing())

PAGE = PAGES["docs/filters/amavis.md"]
URL = "postgresql+psycopg://safelist@/amavis?host=/run/postgresql"
READS = "CREATE ROLE amavis LOGIN; GRANT SELECT ON policy, users, mailaddr, wblist TO amavis"


GONE = (
    "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') "
    "THEN DROP OWNED BY {role}; DROP ROLE {role}; END IF; END $$"
)
PUBLISHER = "CREATE ROLE publisher SUPERUSER LOGIN"


def block(language: str, number: int = 0) -> str:
    return PAGE.blocks(language, "The way")[number].text


@dataclass(frozen=True)
class Site:
    """A database of amavisd's, and safelist's configuration."""

    url: str
    database: str
    home: Path
    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "safelist.toml"

    def configure(self, configuration: Sequence[Path] = ()) -> None:
        """With the page's section, for this database; whoever publishes is no owner of it."""
        url = self.url.replace("//safelist@", "//publisher@")
        section = block("toml").replace(URL, url).replace("/var/lib/safelist/amavis", str(self.directory))
        assert url in section
        self.config.write_text(
            f'[database]\nurl = "sqlite:///{self.directory}/safelist.db"\n{section}unauthenticated = true\n'
            f"configuration = {json.dumps(list(map(str, configuration)))}\n"
        )

    def __call__(self, line: str) -> tuple[int, str, str]:
        """Run a line of the page: its exit code, output and errors."""
        words = [*line.split()[1:], "--config", str(self.config)]
        code, out, err = in_process.run(words, {"PATH": os.environ["PATH"], "HOME": str(self.directory)})
        return code, out.decode(), err.decode()

    def faults(self) -> list[str]:
        """What the check says, of the running program and of its configuration."""
        code, out, err = self("safelist check amavis --json")
        found = [each["text"] for each in json.loads(out) if each["fault"]] if out else [err]
        assert (code == 0) == (not found), (code, out, err)
        return found


@pytest.fixture
def site(url: str, amavis_home: Path, tmp_path: Path, opened: Store) -> Iterator[Site]:
    schema.run(url, schema.statements("postgresql", with_ours=False))
    schema.run(url, READS.split("; "))
    trust(opened, DESK, BOB)
    made = Site(url, _name(url), amavis_home, tmp_path)
    made.configure()
    yield made
    schema.run(url, [GONE.format(role=role) for role in ("amavis", "publisher")])


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def test_the_steps_in_their_order(site: Site, opened: Store) -> None:
    assert block("sql") == "".join(f"{each};\n" for each in schema.set_up())
    rights = block("sql", 1).replace("safelist LOGIN", "publisher LOGIN").replace("TO safelist", "TO publisher")
    schema.run(site.url, [*schema.set_up(), *filter(None, rights.split(";\n"))])
    assert "wblist holds no row of safelist's: run `safelist publish`" in site.faults()[0]
    dry_run, publish, check = block("sh").splitlines()
    before = schema.everything(site.url)
    code, out, _ = site(dry_run)
    assert (code, f"{DESK} {BOB} -5" in out) == (0, True)
    assert schema.everything(site.url) == before
    code, out, err = site(publish)
    assert code == 0, err
    assert [row[2] for row in schema.rows(site.url, "wblist")] == ["-5"]
    assert block("perl") == RECOMMENDED
    lines = block("perl").replace(DSN, f"DBI:Pg:dbname={site.database};host={site.home}")
    with (
        nameserver(world.zone()) as names, mailboxes() as boxes,
        servers.amavisd(lines, names.address, boxes.port) as running,
    ):  # fmt: skip
        assert running.offer(Offer(BOB, (DESK, OTHER))) == {DESK: 250, OTHER: 554}
        said = f"wbl: (SQL) soft-whitelisted (-5) sender <{BOB}>"
        assert said.replace(BOB, "...") in PAGE.text
        assert until(lambda: said in running.log.read_text()), running.log.read_text()
        site.configure([running.configuration])
        code, out, err = site(check)
        assert (code, err) == (0, "")
        assert block("sql") in out
        assert f"['DBI:Pg:dbname={site.database};host={site.home}', 'amavis', '']" in out
        assert out.endswith("wblist holds 1 rows of safelist's\nno faults\n")
        assert_read_since(site, running)
        trust(opened, DESK, ALL)
        assert site(publish)[0] == 0, "who publishes may also take away what he has made"
        assert running.offer(Offer(BOB, (DESK,))) == {DESK: 554}
        assert len(schema.rows(site.url, "mailaddr")) == len(schema.rows(site.url, "users")) == 1


def test_root_publishes_where_postgresql_asks_who_somebody_is(site: Site) -> None:
    """The page's two lines, beside the line without which root may not be that role."""
    ident, line = re.findall("line `(.*?)`", PAGE.text)
    schema.run(site.url, [*schema.set_up(), PUBLISHER])
    line = line.replace(" amavis ", f" {site.database} ").replace(" safelist ", " publisher ")
    known = site.home / "data/pg_ident.conf"
    known.write_text(known.read_text() + ident.removesuffix("safelist") + "publisher\n")
    with let_in(site, line.partition(" map=")[0]):
        assert until(lambda: 'Peer authentication failed for user "publisher"' in site.faults()[0])
    with let_in(site, line):
        assert until(lambda: site("safelist publish")[0] == 0)


@contextmanager
def let_in(site: Site, line: str) -> Iterator[None]:
    """Have the server read this line before all others of its pg_hba.conf."""
    path = site.home / "data/pg_hba.conf"
    before = path.read_text()
    path.write_text(f"{line}\n{before}")
    schema.run(site.url, ["SELECT pg_reload_conf()"])
    try:
        yield
    finally:
        path.write_text(before)
        schema.run(site.url, ["SELECT pg_reload_conf()"])


def assert_read_since(site: Site, running: Amavisd) -> None:
    """A configuration that was changed after the start is not read yet."""
    os.utime(running.configuration, (time.time() + 60, time.time() + 60))
    (fault,) = site.faults()
    assert fault == f"{running.configuration} was changed after amavisd was started, and is not read yet: restart it"


WRONG = {
    "": "amavisd asks no database: write there",
    "# @lookup_sql_dsn = ( ['DBI:Pg:dbname={name}', 'amavis', ''] );": "amavisd asks no database: write there",
    "@lookup_sql_dsn = ( ['DBI:Pg:dbname=other;host={home}', 'a', 'pw'] );": "dsn names DBI:Pg:dbname=other;",
    "@lookup_sql_dsn = ( ['DBI:Pg:dbname={name};host=192.0.2.1', 'a', 'pw'] );": "DBI:Pg:dbname={name};host=192.0.2.1",
    "@lookup_sql_dsn = ( ['DBI:mysql:database={name}', 'a', 'pw'] );": "names DBI:mysql:database={name}, but",
}


def test_the_check_finds_what_amavisd_would_not_ask(site: Site) -> None:
    schema.run(site.url, [PUBLISHER])
    assert "lacks table safelist_mailaddr, table safelist_wblist: name the one that" in site.faults()[0]
    schema.run(site.url, schema.set_up())
    assert site("safelist publish")[0] == 0
    path = site.directory / "amavisd.conf"
    site.configure([path])
    assert [
        each for each in site.faults() if f"{path}: cannot be read" in each or "no configuration of amavisd" in each
    ]
    for text, wanted in WRONG.items():
        given, found = (each.format(name=site.database, home=site.home) for each in (text, wanted))
        path.write_text(f"use strict;\n{given}\n$sql_allow_8bit_address = 1;\n1;\n")
        assert f"{path}: " in site.faults()[0]
        assert found in site.faults()[0]
        assert "pw" not in site.faults()[0].split()


def test_the_check_finds_what_keeps_amavisd_from_asking_rightly(site: Site) -> None:
    schema.run(site.url, [*schema.set_up(), PUBLISHER])
    assert site("safelist publish")[0] == 0
    path = site.directory / "amavisd.conf"
    site.configure([path])
    path.write_text(
        f"@lookup_sql_dsn = ( ['DBI:Pg:dbname={site.database}', 'a', ''] );\n@bypass_spam_checks_maps  = (1);  # none\n"
        "$recipient_delimiter = '+-';\n$localpart_is_case_sensitive = 1;\n"
    )
    bypass, bytes_, delimiter, case, stopped = site.faults()
    assert "@bypass_spam_checks_maps = (1): while spam is not checked amavisd asks no list" in bypass
    assert "the columns email are bytea: write $sql_allow_8bit_address = 1;" in bytes_
    assert "$recipient_delimiter has -: say so in [publish.amavis] recipient_delimiter" in delimiter
    assert "$localpart_is_case_sensitive is true" in case
    another_runs = f"{path} was changed after amavisd was started"  # of the tests beside this one
    assert stopped.startswith(("no amavisd runs on this machine", another_runs))
    schema.run(site.url, ["UPDATE policy SET spam_lover = 'Y' WHERE policy_name = 'safelist'"])
    assert "the policy safelist sets spam_lover" in site.faults()[0]


def test_without_its_section_the_check_says_what_to_write(site: Site) -> None:
    site.config.write_text(f'[database]\nurl = "sqlite:///{site.directory}/safelist.db"\n')
    (fault,) = site.faults()
    assert fault.startswith("the configuration has no [publish.amavis]: write that section")
