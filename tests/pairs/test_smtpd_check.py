"""``safelist check pairs``: whether OpenSMTPD reads the table, and lets anybody pass by it; by a real one."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from safelist.config import toml
from safelist.publisher.smtpd_conf import included, placement
from tests import aggregate
from tests.cli import in_process
from tests.pairs import smtpd
from tests.pairs.smtpd import OpenSmtpd

needs_smtpd = pytest.mark.skipif(bool(smtpd.missing()), reason=smtpd.missing())
PATH = "/var/lib/safelist-pairs/opensmtpd"
RIGHT = smtpd.RECOMMENDED.text


@pytest.mark.parametrize(
    ("change", "table", "why"),
    [
        (("", ""), "safelist", ""),
        ((f"file:{PATH}", f'"file:{PATH}"'), "safelist", ""),
        (("table safelist", "#table safelist"), "", "no table reads it: write `table safelist file:/var/lib/"),
        ((PATH, "/elsewhere"), "", "no table reads it"),
        (("<safelist> bypass", "<safelist> reject"), "safelist", "no filter asks its table: write `filter safelist ph"),
        (("<safelist>", "<others>"), "safelist", "no filter asks its table"),
        (("{ safelist, dnsbl }", "{ dnsbl }"), "safelist", "safelist stands in no chain in front of another filter"),
        (("{ safelist, dnsbl }", "{ dnsbl, safelist }"), "safelist", "safelist stands in no chain in front of another"),
        (("0.0.0.0 filter inbound", "0.0.0.0"), "safelist", "no listener uses the chain: write `filter inbound`"),
        (("0.0.0.0 filter inbound", "0.0.0.0 filter dnsbl"), "safelist", "no listener uses the chain"),
        (("{ safelist, dnsbl }", "{ \\\n  safelist, \\\n  dnsbl }"), "safelist", ""),
        (("table safelist", "table trusted"), "trusted", "no filter asks its table: write `filter trusted phase"),
    ],
)
def test_what_a_configuration_says_of_the_file(change: tuple[str, str], table: str, why: str) -> None:
    found = placement(RIGHT.replace(*change), PATH)
    assert found.table == table
    assert found.why.startswith(why)
    assert bool(found.why) is bool(why)


def test_the_files_that_it_includes() -> None:
    assert included('include "/etc/a.conf"\n# include "/etc/b.conf"\ninclude "/etc/c d.conf"\n') == [
        "/etc/a.conf", "/etc/c d.conf"
    ]  # fmt: skip


class Site(NamedTuple):
    """A configuration of safelist beside a directory of smtpd's."""

    directory: Path

    @property
    def table(self) -> Path:
        return self.directory / "table"

    def configure(self, **keys: object) -> None:
        section = {
            "path": str(self.table), "format": "opensmtpd", "smtpd_conf": str(self.directory / "smtpd.conf"),
            "on_change": ["smtpctl", "update", "table", "safelist"], **keys,
        }  # fmt: skip
        lines = "".join(f"{key} = {toml(value)}\n" for key, value in section.items())
        url = aggregate.create(self.directory / "database" / "safelist.db")
        path = self.directory / "safelist.toml"
        path.write_text(f'[database]\nurl = "{url}"\n[publish.pairs.table]\n{lines}')

    def run(self, *arguments: str, programs: Path | None = None) -> tuple[int, str, str]:
        line = [*arguments, "--config", str(self.directory / "safelist.toml")]
        environment = {"PATH": f"{programs or self.directory / 'site'}:/usr/bin:/bin", "HOME": str(self.directory)}
        code, out, err = in_process.run(line, environment)
        return code, out.decode(), err.decode()

    def faults(self, programs: Path | None = None) -> list[str]:
        code, out, _ = self.run("check", "pairs.table", "--json", programs=programs)
        found = [each["text"] for each in json.loads(out) if each["fault"]]
        assert code == (78 if found else 0)
        return found

    def install(self, pid: int | None) -> None:
        """Its programs, as on a machine where smtpd has no /var of its own."""
        site = self.directory / "site"
        site.mkdir(exist_ok=True)
        enter = f"exec nsenter -m -t {pid} " if pid else "exec unshare -m -- "
        for name in ("smtpd", "smtpctl"):
            prefix = enter if name == "smtpctl" else "exec "
            (site / name).write_text(f'#!/bin/sh\n{prefix}{self.directory / "bin" / name} "$@"\n')
            (site / name).chmod(0o755)


@pytest.fixture
def site() -> Iterator[Site]:
    with smtpd.laid_out() as directory:
        made = Site(directory)
        made.configure()
        made.install(None)
        yield made


def start(site: Site, text: str | None = None) -> int:
    """Write smtpd.conf; the port it names."""
    port = smtpd.free_port()
    (site.directory / "smtpd.conf").write_text(text or smtpd.configured(site.directory, site.table, port))
    return port


@needs_smtpd
def test_what_is_wrong_before_smtpd_is_asked(site: Site, tmp_path: Path) -> None:
    assert site.faults() == [f"{site.table} is not there: run `safelist publish`, then let the filter read it"]
    code, _, err = site.run("check", "pairs.other")
    assert code == 64
    assert "the configuration has no [publish.pairs.other]; it has: pairs.table" in err
    site.table.write_text("bob@partner.example\n")
    assert "safelist did not write this file" in site.faults()[0]
    site.table.unlink()
    assert site.run("publish", "pairs.table")[0] == 75 or site.table.exists()  # its hook finds no smtpd
    code, _, err = site.run("check", "pairs.table", programs=tmp_path)
    assert code == 69
    assert "OpenSMTPD is not installed here" in err


@needs_smtpd
def test_what_is_wrong_in_its_configuration_and_where_it_does_not_run(site: Site) -> None:
    site.configure(on_change=[])
    assert site.run("publish")[0] == 0
    (site.directory / "smtpd.conf").write_text("no such line\n")
    assert site.faults()[0].startswith(f"smtpd would not start with {site.directory / 'smtpd.conf'}: ")
    port = smtpd.free_port()
    right = smtpd.configured(site.directory, site.table, port)
    start(site, right.replace("{ safelist, dnsbl }", "{ dnsbl, safelist }"))
    (fault,) = site.faults()
    assert "safelist stands in no chain in front of another filter" in fault
    start(site, right)
    running, hook = site.faults()
    assert running == "smtpd is not running: start it (systemctl start opensmtpd)"
    assert 'write on_change = "smtpctl update table safelist"' in hook


@needs_smtpd
def test_a_table_that_it_reads_and_one_that_it_began_without(site: Site) -> None:
    site.configure(on_change=[])
    site.run("publish")
    site.configure()
    port = start(site)
    right = (site.directory / "smtpd.conf").read_text()
    start(site, right.replace(str(site.table), str(site.directory / "other")))
    (site.directory / "other").write_text("x@other.example\n")
    with smtpd.running(site.directory, port) as server:
        site.install(server.process.pid)
        start(site, right.replace("<safelist>", "<new>").replace("table safelist", "table new"))
        site.configure(on_change=["smtpctl", "update", "table", "new"])
        (fault,) = site.faults()
        assert fault.startswith("the running smtpd cannot read its table new (exit code 1): it may have begun before")
        assert "systemctl restart opensmtpd" in fault
    start(site, right)
    site.configure()
    with smtpd.running(site.directory, port) as server:
        site.install(server.process.pid)
        assert_all_right(site, server)
        assert_read_since(site)


def assert_read_since(site: Site) -> None:
    """A configuration, or a file that it includes, that was changed after the start is not read yet."""
    conf, further = site.directory / "smtpd.conf", site.directory / "further.conf"
    for path in (conf, further):
        further.write_text("")
        conf.write_text(f'include "{further}"\ninclude "{further}"\n{conf.read_text()}')
        os.utime(conf, (0, 0))
        os.utime(further, (0, 0))
        assert site.faults() == []
        os.utime(path, (time.time() + 60, time.time() + 60))
        (fault,) = site.faults()
        assert fault.startswith(f"{path} was changed after smtpd was started, and is not read yet: restart it")


def assert_all_right(site: Site, server: OpenSmtpd) -> None:
    assert site.faults() == []
    code, out, _ = site.run("check", "pairs.table")
    assert code == 0
    assert "filter safelist phase mail-from match mail-from <safelist> bypass\n" in out
    assert out.endswith("no faults\n")
    assert not server.lifts("ann@partner.example")
    allow = ["override", "allow", "ann@partner.example", "--reason", "x", "--authentication", "none", "--i-understand"]
    assert site.run(*allow)[0] == 0
    assert site.run("publish")[0] == 0, "its hook has smtpd read the new table"
    assert server.lifts("ann@partner.example")
