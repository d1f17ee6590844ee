"""Every option of every command, for the reference, made of the program's own help: ``python -m tests.docs.commands``.

What stands above the heading is written by hand.
"""

import re
from collections.abc import Iterator

from typer.core import TyperGroup

from safelist.cli import command
from safelist.cli.deferred import Deferred
from tests.docs.documents import ROOT

PAGE = "docs/reference/commands.md"
HEADING = "## Every option\n"
_COMMON = ("--help",)


def commands() -> dict[str, Deferred]:
    """Every command by its words, in the program's order."""
    found: dict[str, Deferred] = {}
    for name, each in command().commands.items():
        if isinstance(each, TyperGroup):
            found |= {f"{name} {below}": it for below, it in each.commands.items() if isinstance(it, Deferred)}
        elif isinstance(each, Deferred):
            found[name] = each
    return found


def written() -> str:
    """The whole page: its part that is written by hand, and behind the heading every command."""
    by_hand = (ROOT / PAGE).read_text(encoding="utf-8").partition(HEADING)[0]
    return by_hand + HEADING + "\n" + "\n".join(_section(name, each) for name, each in commands().items())


def _section(name: str, deferred: Deferred) -> str:
    """One command: what it does, and a table of its arguments and options."""
    real = deferred.real()
    context = real.make_context(f"safelist {name}", [], resilient_parsing=True)
    records = [found for each in real.get_params(context) if (found := each.get_help_record(context))]
    named = ((opts.replace(" <list[str]>", "..."), text) for opts, text in records if opts not in _COMMON)
    rows = "".join(f"| `{_cell(opts)}` | {_cell(text)} |\n" for opts, text in named)
    text = re.sub(r"\s*\n\s*", " ", (real.help or "").strip())
    table = f"\n| argument or option | what it does |\n|---|---|\n{rows}" if rows else ""
    words = "\n".join(_wrapped(text))
    return f"### `safelist {name}`\n\n{words}\n{table}"


def _wrapped(text: str) -> Iterator[str]:
    """Lines of at most 120 characters."""
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > 120:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


if __name__ == "__main__":
    (ROOT / PAGE).write_text(written(), encoding="utf-8")
