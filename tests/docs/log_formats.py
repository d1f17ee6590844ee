"""The table of the page about logs, made of the formats and their cases: ``python -m tests.docs.log_formats``."""

from safelist.rejections.format import LogFormat
from safelist.rejections.formats import FORMATS
from safelist.rejections.rejection import Rejection
from tests.docs.documents import ROOT
from tests.rejections.cases import CASES

PAGE = "docs/rejections.md"
HEADING = "\n## What a log can tell\n"
TITLES = {
    "client": "client's address",
    "host": "its name",
    "provider": "DNS list",
    "listed": "what was listed",
}
"""Of fields that do not say it themselves."""
FIELDS = [name for name in Rejection._fields if name not in ("at", "kind", "place", "note")]


def written() -> str:
    """All that stands below the heading."""
    titles = ["format", *(TITLES.get(name, name) for name in FIELDS)]
    return f"""
When, and whether it was for good, each of them tells. Of the rest, *yes* is told of every rejection in the examples
that the tests have of the format, *some* of some of them, *no* of none; the exceptions are in the second table.

{_row(titles)}{"|---" * len(titles)}|
{"".join(map(_fields, FORMATS.values()))}
| format | what it cannot tell |
|---|---|
{"".join(_row([f"`{each.name}`", _prose(each.cannot_tell)]) for each in FORMATS.values())}"""


def _fields(format_: LogFormat) -> str:
    (found,) = (case.found for case in CASES if case.format == format_.name)
    return _row([f"`{format_.name}`", *(_told(found, name) for name in FIELDS)])


def _told(found: tuple[Rejection, ...], name: str) -> str:
    """An empty sender is the null sender, and told; an empty reply is not."""
    told = [getattr(each, name) not in ((None, "") if name == "reply" else (None,)) for each in found]
    return "yes" if all(told) else "some" if any(told) else "no"


def _prose(text: str) -> str:
    return text.replace("*", r"\*").replace("|", r"\|")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    path = ROOT / PAGE
    head = path.read_text(encoding="utf-8").partition(HEADING)[0]
    path.write_text(f"{head}{HEADING}{written()}", encoding="utf-8")
