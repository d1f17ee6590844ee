"""Built, installed, run, upgraded and purged: what an administrator does with the package in its years."""

import re
import subprocess
from pathlib import Path

import pytest

import safelist
from manual import files
from tests import programs
from tests.debian import machine
from tests.debian.machine import Debian

ROOT = Path(__file__).parents[2]

MISSING = programs.installation({"dh": "debhelper", "dpkg-buildpackage": "dpkg-dev", "ip": "iproute2"})
WHY_NOT = MISSING or machine.obstacle()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this checkout."""
    build = [str(ROOT / "packaging/debian/build"), "--quick", str(tmp_path_factory.mktemp("package"))]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=280)
    assert (done.returncode, done.stderr) == (0, "")
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Debian:
    """A Debian on which it was installed, and nothing else done."""
    debian = Debian.in_(tmp_path_factory.mktemp("debian") / "root")
    said = debian.install(package)
    assert "nothing runs yet. Fill in /etc/safelist/safelist.toml" in said
    return debian


def field(debian: Debian, name: str) -> str:
    return debian.run("dpkg-query", "--show", f"--showformat=${{{name}}}", "safelist")


def test_it_brings_all_but_python(installed: Debian) -> None:
    minor = installed.run("python3", "-c", "import sys; print(sys.version_info.minor)").strip()
    assert f"python3 (>= 3.{minor}), python3 (<< 3.{int(minor) + 1})" in field(installed, "Depends")
    assert installed.run("safelist", "--version") == f"safelist {safelist.__version__}\n"
    extras = "gssapi, lmdb, lxml, msal, prometheus_client, psycopg, redis"
    installed.run("/usr/lib/safelist/bin/python", "-c", f"import {extras}")
    locked = (ROOT / "uv.lock").read_text(encoding="utf-8")
    for library in installed.path("/usr/lib/safelist/lib").glob("python3.*/site-packages/*.dist-info"):
        name, _, version = library.name.removesuffix(".dist-info").partition("-")
        assert f'name = "{re.sub("[._]+", "-", name).lower()}"\nversion = "{version}"\n' in locked


def test_anybody_runs_the_demo_and_nothing_is_written_into_the_package(installed: Debian) -> None:
    shown = installed.run("runuser", "-u", "nobody", "--", "sh", "-c", "cd /tmp && safelist demo")
    assert "accounts.desk@aol.com        permit_auth_destination" in shown
    assert installed.run("dpkg", "--verify", "safelist") == ""
    owned = set(installed.run("dpkg", "--listfiles", "safelist").split())
    found = set(installed.run("find", "/usr/lib/safelist").split())
    assert found <= owned
    assert installed.run("find", "/usr/lib/safelist", "!", "-perm", "-o=r") == ""


def test_nothing_is_enabled_and_every_unit_is_in_order(installed: Debian) -> None:
    units = sorted(path.name for path in installed.path("/lib/systemd/system").glob("safelist*"))
    assert units == sorted(path.name for path in (ROOT / "safelist/systemd/system").iterdir())
    for unit in units:
        state = installed.run("systemctl", "is-enabled", unit, code=0 if is_static(installed, unit) else 1).strip()
        assert state in ("static", "disabled", "indirect")
        text = installed.path(f"/lib/systemd/system/{unit}").read_text()
        for page in re.findall("file://(/[^ \n]+)", text):
            assert installed.path(page).is_file()
    directory = "/lib/systemd/system"
    assert installed.run("systemd-analyze", "verify", "--man=no", *(f"{directory}/{unit}" for unit in units)) == ""


def is_static(debian: Debian, unit: str) -> bool:
    return "[Install]" not in debian.path(f"/lib/systemd/system/{unit}").read_text()


def test_users_and_directories_are_there(installed: Debian) -> None:
    for line in (ROOT / "safelist/systemd/sysusers.d/safelist.conf").read_text().splitlines():
        if line.startswith("u "):
            assert installed.run("getent", "passwd", line.split()[1])
    assert installed.run("stat", "--format=%U %a", "/var/lib/safelist") == "safelist 2770\n"


def test_the_configuration_is_there_as_a_commented_conffile(installed: Debian) -> None:
    conffiles = re.findall("^ (/\\S+) ", field(installed, "Conffiles"), re.MULTILINE)
    assert sorted(conffiles) == ["/etc/safelist/filter.toml", "/etc/safelist/safelist.toml"]
    for path in conffiles:
        assert installed.path(path).read_text() == files.samples()[Path(path).name]
    assert "exchange: is missing or empty" in installed.run("safelist", "config", "check", code=78)


def test_man_and_bash_know_it(installed: Debian) -> None:
    assert "--workers N" in installed.run("man", "safelist-sync", MANWIDTH="100")
    assert "SAFELIST.TOML(5)" in installed.run("man", "safelist.toml")
    assert "Collect the lists of every mailbox" in installed.run("whatis", "safelist-sync")
    ask = "COMP_WORDS=(safelist audit w); COMP_CWORD=2; _safelist_completion safelist; echo ${COMPREPLY[@]}"
    load = ". /usr/share/bash-completion/bash_completion; _completion_loader safelist"
    assert installed.run("bash", "-c", f"{load}; complete -p safelist; {ask}").split()[-2:] == ["who", "why"]


def changed(package: Path, directory: Path) -> Path:
    """The same package as the next version, with a further line in both configurations."""
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(directory)], check=True)
    control = directory / "DEBIAN/control"
    control.write_text(re.sub("(?m)^(Version: .+)$", r"\g<1>+next", control.read_text()))
    for path in (directory / "etc/safelist").iterdir():
        path.write_text(f"{path.read_text()}# What the next version says.\n")
    made = directory.with_suffix(".deb")
    subprocess.run(["dpkg-deb", "-Znone", "--build", str(directory), str(made)], check=True, stdout=subprocess.DEVNULL)
    return made


def test_an_upgrade_keeps_everything_and_a_purge_the_history(installed: Debian, package: Path, tmp_path: Path) -> None:
    debian = Debian.in_(tmp_path / "root", installed.root)
    configuration, secret = debian.path("/etc/safelist/safelist.toml"), debian.path("/etc/safelist/secret")
    configuration.write_text(f"{configuration.read_text()}# Ours.\n")
    secret.write_text("hush")
    debian.run("safelist", "db", "upgrade")
    debian.run("safelist", "override", "allow", "bob@partner.example", "--reason", "x")
    debian.run("systemctl", "enable", "safelist.timer")
    mode, ours = configuration.stat().st_mode, configuration.read_text()

    said = debian.install(changed(package, tmp_path / "next"), "--force-confold")
    assert "safelist db upgrade" in said
    assert field(debian, "Version").endswith("+next")
    assert (configuration.read_text(), configuration.stat().st_mode) == (ours, mode)
    assert "next version" in configuration.with_suffix(".toml.dpkg-dist").read_text()
    assert "next version" in debian.path("/etc/safelist/filter.toml").read_text()
    assert debian.run("systemctl", "is-enabled", "safelist.timer") == "enabled\n"
    assert "bob@partner.example" in debian.run("safelist", "override", "list")

    debian.run("safelist", "audit", "verify")
    debian.run("dpkg", "--remove", "safelist")
    assert configuration.read_text() == ours
    said = debian.run("dpkg", "--purge", "safelist")
    assert re.search("rm -r .*/etc/safelist.* /var/lib/safelist( |$)", said, re.MULTILINE)
    assert secret.read_text() == "hush"
    assert b"bob@partner.example" in debian.path("/var/lib/safelist/safelist.db").read_bytes()
    assert not debian.path("/usr/lib/safelist").exists()
    assert not configuration.exists()
    assert not list(debian.path("/etc/systemd/system").rglob("safelist*"))
