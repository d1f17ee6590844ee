"""How a check says what it found: a line each, or JSON, and the exit code."""

from collections.abc import Sequence

import typer

from safelist.cli.terminal import complain, print_json, shown
from safelist.errors import EX_CONFIG
from safelist.remark import Remark


def report(found: Sequence[Remark], *, json: bool) -> None:
    """Print the remarks, and end the command with EX_CONFIG where one is a fault."""
    if json:
        print_json([{"fault": remark.is_fault, "text": remark.text} for remark in found])
    for remark in found if not json else ():
        if remark.is_fault:
            complain(remark.text)
        else:
            print(shown(f"note: {remark.text}"))
    if any(remark.is_fault for remark in found):
        raise typer.Exit(EX_CONFIG)
    if not json:
        print("no faults")
