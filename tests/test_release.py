"""`make release`, in a repository that is thrown away: what is no release is refused, and what is one is tried."""

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import safelist
from safelist.store.schema import REVISIONS
from tests.programs import installation

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
MAJOR, _, PATCH = VERSION.split(".")
DATED = f"## [{VERSION}] - 2026-12-01"
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "dist", "build", "__pycache__", ".*_cache", ".hypothesis", ".coverage*"
)

pytestmark = pytest.mark.skipif(bool(installation({"git": "git"})), reason="apt-get install git")


def test_the_version_tells_the_newest_migration() -> None:
    """0.7.x has 0007: whoever adds a migration raises the version, and a database says which one it needs."""
    assert [int(each) for each in REVISIONS] == list(range(1, len(REVISIONS) + 1))
    assert f"{MAJOR}.{len(REVISIONS)}.{PATCH}" == VERSION
    assert safelist.__version__ == VERSION, "run: .venv/bin/uv sync --inexact"
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert [each["version"] for each in locked if each["name"] == "safelist"] == [VERSION], "run: .venv/bin/uv lock"


class Repository:
    """A copy of this checkout with a history of its own; what it builds with is this one's virtual environment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(ROOT, path, ignore=LEFT_OUT)
        (path / ".venv").symlink_to(sys.prefix)
        self.git("init", "--quiet")
        for key, value in (("user.name", "Nobody"), ("user.email", "nobody@example.com"), ("tag.gpgSign", "false")):
            self.git("config", key, value)
        (path / ".git/info/exclude").write_text(".venv\n")
        self.commit()

    def git(self, *words: str) -> str:
        return subprocess.run(["git", *words], cwd=self.path, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("-c", "commit.gpgSign=false", "commit", "--quiet", "--message", "As it was found")

    def change(self, name: str, old: str, new: str) -> None:
        """Put ``new`` in the place of ``old``, which a pattern finds once, and commit it."""
        text, times = re.subn(old, new, (self.path / name).read_text(), count=1, flags=re.MULTILINE | re.DOTALL)
        assert times == 1
        (self.path / name).write_text(text)
        self.commit()

    def release(self, *options: str) -> "subprocess.CompletedProcess[str]":
        command = ["packaging/release", *options]
        return subprocess.run(command, cwd=self.path, check=False, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Ready for a release; whoever changes it brings it back."""
    made = Repository(tmp_path_factory.mktemp("release") / "safelist")
    changes = (made.path / "CHANGELOG.md").read_text()
    if DATED[: len(VERSION) + 5] not in changes:
        made.change("CHANGELOG.md", r"^## \[Unreleased\]$", f"## [Unreleased]\n\n{DATED}")
    return made


def other_schema(made: Repository) -> None:
    (made.path / f"migrations/versions/{len(REVISIONS) + 1:04}_more.py").write_text("")
    made.commit()


Change = Callable[[Repository], object]
REFUSED: Sequence[tuple[Change, str]] = [
    (lambda it: (it.path / "new.py").write_text(""), "changes that are not committed"),
    (lambda it: (it.path / "README.md").write_text(""), "changes that are not committed"),
    (lambda it: it.git("tag", f"v{VERSION}"), f"v{VERSION} is there already: raise version in pyproject.toml"),
    (lambda it: it.change("pyproject.toml", '^version = "[^"]+"', 'version = "9.9.9"'), "uv.lock is not of this"),
    (other_schema, f"the newest migration is {len(REVISIONS) + 1}, so that the version must be {'MAJOR'}"),
    (lambda it: it.change("CHANGELOG.md", re.escape(DATED), ""), r"needs the heading of this release: ## \["),
    (
        lambda it: it.change("CHANGELOG.md", r"^## \[Unreleased\].*", f"## [{VERSION}]\n\n- All.\n"),
        rf"there is no heading of this release: ## \[{VERSION}\] - YYYY-MM-DD",
    ),
    (lambda it: it.change("CHANGELOG.md", rf"^{re.escape(DATED)}.*", DATED), "nothing stands below"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), REFUSED, ids=[why[:30] for _, why in REFUSED])
def test_what_is_no_release_is_refused(dated: Repository, change: Change, why: str) -> None:
    head = dated.git("rev-parse", "HEAD")
    change(dated)
    try:
        done = dated.release()
        assert done.returncode == 1
        assert re.search(why, done.stderr)
        assert done.stderr.splitlines()[-1].startswith("no release: ")
        assert not (dated.path / "dist").exists()
    finally:
        dated.git("reset", "--quiet", "--hard", head)
        dated.git("clean", "--quiet", "--force", "-d")
        dated.git("tag", "--list", f"v{VERSION}") and dated.git("tag", "--delete", f"v{VERSION}")


def test_a_trial_keeps_nothing(dated: Repository) -> None:
    done = dated.release("--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"== v{VERSION} could be released; nothing was kept"
    assert dated.git("tag") == ""
    assert not (dated.path / "dist").exists()


def test_a_release_is_a_tag_and_files_that_were_tried(dated: Repository) -> None:
    done = dated.release()
    assert (done.returncode, done.stderr) == (0, "")
    files = {path.name: path.read_bytes() for path in (dated.path / "dist").iterdir()}
    sums = files.pop("SHA256SUMS").decode()
    assert set(files) == {f"safelist-{VERSION}.tar.gz", f"safelist-{VERSION}-py3-none-any.whl"}
    assert set(sums.splitlines()) == {f"{hashlib.sha256(text).hexdigest()}  {name}" for name, text in files.items()}
    assert dated.git("rev-parse", f"v{VERSION}^{{commit}}") == dated.git("rev-parse", "HEAD")
    said = dated.git("tag", "--list", "--format=%(contents)", f"v{VERSION}")
    assert said.startswith(f"safelist {VERSION}\n\n### ")
    assert "\n## " not in said
    assert dated.git("status", "--porcelain") == ""  # dist/ is no part of it
