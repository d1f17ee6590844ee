"""Whoever has the source distribution has the documents."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.docs.documents import PAGES, README, ROOT


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in it, from its own top."""
    directory = tmp_path_factory.mktemp("sdist")
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip(f"there is no {uv}: make .venv/.ready")
    command = [str(uv), "build", "--sdist", "--quiet", "--out-dir", str(directory), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = directory.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_it_brings_every_document(sdist: set[str]) -> None:
    assert set(PAGES) <= sdist


def test_it_brings_what_the_readme_links_to(sdist: set[str]) -> None:
    """A package index shows the README without the other pages; whoever follows a link there finds it here."""
    linked = {link.partition("#")[0] for link in README.links() if not link.startswith("https://")}
    assert linked
    assert linked <= sdist
