"""The design is true: each module that it names is there, and each library is explained."""

import re
import tomllib
from collections.abc import Iterator

from safelist.cli.configuration import target_sections
from tests.docs.documents import PAGES, PROJECT, ROOT

DESIGN = PAGES["docs/design.md"]
PACKAGE = ROOT / "safelist"
FOREIGN = {"../shared/data", "lmdb"}
"""Not of this repository."""


def rooms() -> Iterator[tuple[str, str]]:
    """The first and the second cell of each row about rooms."""
    table = DESIGN.text.partition("| room | knows |\n|---|---|\n")[2].partition("\n\n")[0]
    for row in table.splitlines():
        room, _, knows = row.strip("| ").partition(" | ")
        yield room, knows


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def is_path(span: str) -> bool:
    """Whether it is meant as a file's or a folder's."""
    return bool(re.fullmatch(r"\.?[\w./-]+(\.(py|txt|in|toml|md)|/)|[\w-]+(/[\w-]+)+/?|\.ci/run", span))


def test_every_room_is_in_the_table_and_no_other() -> None:
    named = {span.rstrip("/") for room, _ in rooms() for span in spans(room)}
    there = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert named == there - {"__init__.py", "__main__.py"}


def test_what_a_room_holds_is_there() -> None:
    for room, knows in rooms():
        (first, *_) = spans(room)
        for span in filter(is_path, spans(knows)):
            assert any((place / span).exists() for place in (PACKAGE / first, PACKAGE, ROOT)), f"{first}: {span}"


def test_every_path_is_there() -> None:
    rest = DESIGN.text.partition("| room | knows |\n")
    for span in filter(is_path, spans(rest[0] + rest[2].partition("\n\n")[2])):
        if span not in FOREIGN:
            assert any((place / span).exists() for place in (PACKAGE, ROOT)), span


def test_the_picture_names_rooms() -> None:
    (picture,) = DESIGN.blocks("text")
    rooms_below = re.findall(r"[a-z_]+(?:/[a-z_]+)*", picture.text.splitlines()[1] + picture.text.splitlines()[3])
    assert "store" in rooms_below
    for room in rooms_below:
        assert (PACKAGE / room).exists() or (PACKAGE / f"{room}.py").exists(), room


def test_every_target_has_a_page() -> None:
    pages = "".join(page.text for name, page in PAGES.items() if name.startswith("docs/filters/"))
    for section in target_sections():
        assert f"[publish.{section}]" in pages


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    table = DESIGN.text.partition("| library | what for")[2].partition("\n\n")[0].lower()
    for line in wanted:
        name = re.split(r"[\[<>=]", line)[0]
        assert name in table, f"{name} is not in the table of libraries"
    assert all(f"`{extra}`" in table for extra in extras)


def test_every_benchmark_is_named() -> None:
    scripts = [path.name for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text("utf-8")]
    assert scripts
    for name in scripts:
        assert f"| `benchmarks/{name}` | " in PAGES["docs/performance.md"].text


def test_the_packages_that_tests_need_are_those_of_the_script() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    wanted = (ROOT / "tests/debian-packages").read_text(encoding="utf-8").splitlines()
    installed = re.findall(r"^need \S+ (\S+)$", script, re.MULTILINE)
    installed += [name for names in re.findall(r"packages\+=\(([a-z0-9 -]+)\)", script) for name in names.split()]
    assert {line for line in wanted if not line.startswith("#")} == set(installed)


def test_whoever_tests_is_told_what_the_script_unpacks() -> None:
    (unpack,) = re.findall(r"^\.ci/unpack .+$", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    assert unpack in "".join(block.text for block in PROJECT["CONTRIBUTING.md"].blocks("sh")).splitlines()
