"""Whoever has the source distribution has the documents."""

import tarfile

import pytest

from tests.docs.documents import PAGES, PROJECT, README, ROOT
from tests.test_packaging import build


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in it, from its own top."""
    directory = tmp_path_factory.mktemp("sdist")
    build(ROOT, directory, "-t", "sdist")
    (path,) = directory.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_it_brings_every_document(sdist: set[str]) -> None:
    assert set(PAGES | PROJECT) <= sdist


def test_it_brings_what_the_readme_links_to(sdist: set[str]) -> None:
    """A package index shows the README without the other pages; whoever follows a link there finds it here."""
    linked = {link.partition("#")[0] for link in README.links() if not link.startswith("https://")}
    assert linked
    assert linked <= sdist


def test_it_brings_what_a_skipped_test_or_a_page_names(sdist: set[str]) -> None:
    assert {".ci/unpack", "tests/on-debian", "tests/debian-packages", "packaging/release"} <= sdist
