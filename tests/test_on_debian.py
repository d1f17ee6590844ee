"""The script that runs the tests on another Debian leaves alone whatever it did not make."""

import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "on-debian"


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SCRIPT, *options], check=False, capture_output=True, text=True, timeout=60)


def test_its_help_has_every_option() -> None:
    help_ = run("--help").stdout
    options = set(re.findall(r"--[a-z]+(?= \||\))", SCRIPT.read_text().partition("while [")[2].partition("done")[0]))
    assert options - {"--inside", "--help"} == set(re.findall(r"--[a-z]+", help_))


@pytest.mark.parametrize("option", ["--remove", "--prepare"])
def test_a_directory_that_it_did_not_make_is_left_alone(tmp_path: Path, option: str) -> None:
    (tmp_path / "mail").write_text("somebody's")
    done = run(option, "--root", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"tests/on-debian: {tmp_path} was not made by this script: name another --root\n"
    assert (tmp_path / "mail").read_text() == "somebody's"


@pytest.mark.parametrize(
    ("options", "why"), [(["--root", "here"], "--root must begin with /: here"), (["--suite"], "--suite needs a value")]
)
def test_what_it_cannot_do_is_said(options: list[str], why: str) -> None:
    done = run("--remove", *options)
    assert (done.returncode, done.stderr) == (2, f"tests/on-debian: {why}\n")


def test_what_it_made_is_removed(tmp_path: Path) -> None:
    made = tmp_path / "trixie"
    (made / "chroot/etc").mkdir(parents=True)
    (made / "lock").touch()
    done = run("--remove", "--root", str(made))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not made.exists()
