"""A path whose links lead in a circle is named as such, by every Python: before 3.13 it raised RuntimeError."""

from pathlib import Path

import pytest

from safelist.config import toml
from tests.cli.command import Command


@pytest.fixture
def circle(tmp_path: Path) -> Path:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    return tmp_path / "a"


def configured(directory: Path, database: Path) -> Command:
    safelist = Command(directory)
    safelist.config.write_text(f"[database]\nurl = {toml(f'sqlite:///{database}')}\n")
    return safelist


def test_a_database_is_not_made_there(circle: Path) -> None:
    done = configured(circle.parent, circle)("db", "upgrade")
    assert (done.code, done.out) == (69, "")
    assert done.err == f"safelist: {circle}: cannot be created: Too many levels of symbolic links\n"


def test_a_page_is_not_written_there(circle: Path) -> None:
    safelist = configured(circle.parent, circle.with_name("safelist.db"))
    assert safelist("db", "upgrade").code == 0
    done = safelist("audit", "report", "--html", str(circle))
    assert (done.code, done.out) == (69, "")
    assert done.err == f"safelist: {circle}: this is no regular file; name one, or - for standard output\n"
    assert circle.is_symlink()
