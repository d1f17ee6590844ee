"""`safelist install units`: what it writes, what it leaves, what it says comes next; systemd judges the files."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import Command, Done
from tests.programs import installation

PROGRAM = "/opt/safelist/bin/safelist"
SHIPPED = Path(__file__).parents[2] / "safelist" / "systemd"
SERVICES = sorted(path.name for path in (SHIPPED / "system").glob("*.service"))
MOST_EXPOSED = 2.0
"""What systemd-analyze may say of a unit."""

needs_systemd = pytest.mark.skipif(
    bool(absent := installation({"systemd-analyze": "systemd", "systemd-sysusers": "systemd"})), reason=absent
)


def units(directory: Path, *arguments: str) -> Done:
    command = Command(directory)
    return command("install", "units", "--directory", str(directory / "etc"), "--program", PROGRAM, *arguments)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, below etc."""
    directory = tmp_path_factory.mktemp("units")
    assert units(directory).code == 0
    return directory / "etc"


def test_every_file_is_written_where_systemd_looks_for_it(written: Path) -> None:
    found = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    of_units = {f"systemd/system/{path.name}" for path in (SHIPPED / "system").iterdir()}
    assert found == of_units | {"sysusers.d/safelist.conf", "tmpfiles.d/safelist.conf"}
    assert all((written / name).stat().st_mode & 0o777 == 0o644 for name in found)


def test_it_says_what_comes_next_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    first = units(tmp_path)
    etc = tmp_path / "etc"
    assert first.out.partition("Nothing was started. Next:\n")[2].split("\n  ") == [
        f"  systemd-sysusers {etc}/sysusers.d/safelist.conf",
        f"systemd-tmpfiles --create {etc}/tmpfiles.d/safelist.conf",
        "systemctl daemon-reload",
        "systemctl start safelist safelist-publish",
        "systemctl enable --now safelist.timer safelist-verify.timer\n",
    ]
    assert first.out.count(": written\n") == len(list(SHIPPED.rglob("*.*[a-z]"))) - 2  # two folders end with .d
    before = {path: path.stat().st_mtime_ns for path in etc.rglob("*")}
    assert ": unchanged\n" in units(tmp_path).out
    assert {path: path.stat().st_mtime_ns for path in etc.rglob("*")} == before


def test_a_file_of_an_older_version_is_brought_to_this_one(tmp_path: Path) -> None:
    units(tmp_path)
    timer = tmp_path / "etc/systemd/system/safelist.timer"
    current = timer.read_text()
    assert units(tmp_path, "safelist.service", "--program", "/usr/bin/safelist").out.startswith(
        f"{timer.with_name('safelist.service')}: updated\n"
    )
    assert "ExecStart=/usr/bin/safelist sync\n" in timer.with_name("safelist.service").read_text()
    assert timer.read_text() == current


def test_what_was_changed_by_hand_stays_and_is_named(tmp_path: Path) -> None:
    units(tmp_path)
    timer = tmp_path / "etc/systemd/system/safelist.timer"
    edited = timer.read_text().replace("OnCalendar=hourly", "OnCalendar=daily")
    timer.write_text(edited)
    for options in ([], ["--dry-run"]):
        done = units(tmp_path, *options)
        assert (done.code, timer.read_text()) == (78, edited)
        assert f"{timer}: changed by hand, left as it is" in done.err
        assert "systemctl edit safelist.timer" in done.err
    forced = units(tmp_path, "--force")
    backup = timer.with_name("safelist.timer.before-safelist")
    assert (forced.code, forced.err) == (0, "")
    assert f"{timer}: replaced, with what was there beside it ({backup})\n" in forced.out
    assert backup.read_text() == edited
    assert "OnCalendar=hourly" in timer.read_text()
    timer.write_text("[Timer]\n")
    again = units(tmp_path, "--force")
    assert f"({backup}.2)" in again.out
    assert (backup.read_text(), Path(f"{backup}.2").read_text()) == (edited, "[Timer]\n")


def test_a_file_of_somebody_else_is_one_changed_by_hand(tmp_path: Path) -> None:
    there = tmp_path / "etc/systemd/system/safelist.service"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"[Service]\nExecStart=/bin/true \xff\n")
    assert units(tmp_path).code == 78
    assert there.read_bytes().startswith(b"[Service]")


def test_a_link_that_leads_nowhere_is_somebody_s(tmp_path: Path) -> None:
    unit = tmp_path / "etc/systemd/system/safelist.service"
    unit.parent.mkdir(parents=True)
    unit.symlink_to(tmp_path / "gone")
    assert units(tmp_path).code == 78
    assert unit.is_symlink()
    assert units(tmp_path, "--force").code == 0
    assert unit.with_name("safelist.service.before-safelist").is_symlink()


def test_nothing_is_written_where_it_is_only_shown(tmp_path: Path) -> None:
    shown = units(tmp_path, "--show", "safelist.timer")
    path = tmp_path / "etc/systemd/system/safelist.timer"
    assert shown.out.startswith(f"# {path}\n# Written by `safelist install units`")
    assert "\n[Timer]\nOnCalendar=hourly\n" in shown.out
    planned = units(tmp_path, "--dry-run", "--json").json
    assert {row["state"] for row in planned} == {"new"}
    assert not (tmp_path / "etc").exists()


def test_mistakes_are_told(tmp_path: Path) -> None:
    assert "there is no safelist.tiemr; there are: safelist-filter" in units(tmp_path, "safelist.tiemr").err
    odd = ("/opt/a b/safelist", "/opt/%n", "/opt/$x/safelist", "/opt/\x01/safelist")
    for program in ("/root/venv/bin/safelist", "/home/jo/bin/safelist", "bin/safelist", *odd):
        refused = units(tmp_path, "--program", program)
        assert (refused.code, refused.out) == (64, ""), program
    (tmp_path / "file").write_text("")
    assert Command(tmp_path)("install", "units", "--directory", f"{tmp_path}/file", "--program", PROGRAM).code == 69


@pytest.mark.parametrize("name", SERVICES)
@needs_systemd
def test_no_unit_is_more_exposed_than_it_must_be(name: str) -> None:
    path = SHIPPED / "system" / name
    said = subprocess.check_output(["systemd-analyze", "security", "--offline=yes", "--no-pager", path], text=True)
    (figure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert float(figure) <= MOST_EXPOSED


@needs_systemd
def test_systemd_takes_every_unit(written: Path, tmp_path: Path) -> None:
    """Run where the program is there: systemd looks for what ExecStart= names."""
    there = tmp_path / "etc"
    command = Command(tmp_path)
    assert command("install", "units", "--directory", str(there), "--program", "/usr/bin/true").code == 0
    paths = sorted(map(str, (there / "systemd/system").iterdir()))
    assert len(paths) == len(list((written / "systemd/system").iterdir()))
    verify = ["systemd-analyze", "verify", "--man=no", *paths]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_users_and_directories_are_made(written: Path, tmp_path: Path) -> None:
    for name in ("sysusers.d", "tmpfiles.d"):
        (tmp_path / "etc" / name).mkdir(parents=True)
        (tmp_path / "etc" / name / "safelist.conf").write_text((written / name / "safelist.conf").read_text())
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], check=True, capture_output=True)
    groups = (line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines())
    members = {name: people for name, _, _, people in groups if name.startswith("safelist")}
    assert members == {
        "safelist": "safelist-publish,safelist-web", "safelist-publish": "", "safelist-filter": "", "safelist-web": "",
    }  # fmt: skip
    users = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert set(users) >= set(members)
    assert all(users[name][6].endswith("/nologin") for name in members)
    if os.geteuid():
        return  # nobody else can give directories away
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "etc/safelist").mkdir()
    (tmp_path / "etc/safelist/safelist.toml").touch(0o600)
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create"], check=True, capture_output=True)
    for path, mode, user, group in (
        ("etc/safelist", 0o2755, "root", "safelist"), ("etc/safelist/safelist.toml", 0o640, "root", "safelist"),
        ("var/lib/safelist", 0o2770, "safelist", "safelist"),
        ("var/lib/safelist-map", 0o755, "safelist-publish", "safelist-publish"),
        ("var/lib/safelist-snapshot", 0o2750, "safelist-publish", "safelist-filter"),
    ):  # fmt: skip
        found = (tmp_path / path).stat()
        ids = (int(users[user][2]) if user != "root" else 0, int(users[group][3]))
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (mode, *ids), path


def test_identities_stay_apart() -> None:
    """Who collects has the secret, who publishes may write maps; the filter, to which strangers talk, has neither."""
    text = {name: (SHIPPED / "system" / name).read_text() for name in SERVICES}
    secrets = {name for name, lines in text.items() if "LoadCredential" in re.sub("(?m)^#.*", "", lines)}
    assert secrets == {"safelist.service", "safelist@.service"}
    writers = {name for name, lines in text.items() if "safelist-map" in re.sub("(?m)^#.*", "", lines)}
    assert writers == {"safelist-publish.service"}
    users = {name: re.findall("(?m)^User=(.+)$|^DynamicUser=(yes)$", lines) for name, lines in text.items()}
    assert {name: "".join(found) for name, (found,) in users.items()} == {
        "safelist.service": "safelist", "safelist@.service": "safelist", "safelist-verify.service": "safelist",
        "safelist-publish.service": "safelist-publish", "safelist-filter.service": "safelist-filter",
        "safelist-notify@.service": "yes", "safelist-web.service": "safelist-web",
    }  # fmt: skip
