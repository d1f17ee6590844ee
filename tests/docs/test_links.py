"""Every link of the documents leads somewhere, and every page can be found."""

import pytest

from tests.docs.documents import PAGES, PROJECT, README, ROOT, Page

ALL = PAGES | PROJECT
MOST_LINES = 170
MOST_COLUMNS = 120


def target(page: Page, link: str) -> tuple[str, str]:
    """The path from the top that a relative link leads to, and the anchor there."""
    path, _, anchor = link.partition("#")
    found = (ROOT / page.name).parent / path if path else ROOT / page.name
    return str(found.resolve().relative_to(ROOT)), anchor


@pytest.mark.parametrize("name", ALL)
def test_links_lead_somewhere(name: str) -> None:
    for link in ALL[name].links():
        if link.startswith("https://"):
            continue
        path, anchor = target(ALL[name], link)
        assert (ROOT / path).exists(), f"{link}: there is no {path}"
        if anchor:
            assert anchor in ALL[path].anchors, f"{link}: {path} has no such heading"


def test_pages_need_only_each_other() -> None:
    """They are installed without the README and the rest of the repository."""
    for page in PAGES.values():
        if page is not README:
            assert {target(page, link)[0] for link in page.links() if not link.startswith("https://")} <= set(PAGES)


@pytest.mark.parametrize("name", ALL)
def test_no_heading_of_a_page_is_ambiguous(name: str) -> None:
    assert len(set(ALL[name].anchors)) == len(ALL[name].anchors)
    assert not any(anchor.endswith("-1") for anchor in ALL[name].anchors)


def test_the_readme_leads_to_every_page() -> None:
    linked = {target(README, link)[0] for link in README.links() if not link.startswith("https://")}
    assert set(PAGES) - {README.name} <= linked


def test_the_readme_stays_short() -> None:
    assert len(README.text.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", PAGES)
def test_no_filter_is_to_read_where_only_the_database_s_user_may(name: str) -> None:
    """`safelist init` makes /var/lib/safelist for nobody else."""
    read = [line for line in PAGES[name].text.splitlines() if "/var/lib/safelist/" in line and "lock" not in line]
    assert [line for line in read if "/var/lib/safelist/safelist.db" not in line] == []


@pytest.mark.parametrize("name", ALL)
def test_prose_is_wrapped(name: str) -> None:
    """But tables, which cannot be, and what programs write."""
    quoted = {line.strip() for block in ALL[name].blocks() for line in block.text.splitlines()}
    prose = [line for line in ALL[name].text.splitlines() if not line.startswith("|") and line.strip() not in quoted]
    assert [line for line in prose if len(line) > MOST_COLUMNS] == []


NOT_THERE = {f"safelist/{path}/mta.py" for path in ("publisher/targets", "collector/sources", "rejections/formats")}
"""What a page tells to write."""


def test_files_that_pages_speak_of_are_there() -> None:
    spans = {span for page in ALL.values() for span in page.spans()}
    named = {
        span for span in spans if span.startswith(("safelist/", "tests/", "benchmarks/", "migrations/"))
    } - NOT_THERE
    assert "safelist/store/schema.py" in named
    for path in named:
        assert any(ROOT.glob(path)), path
