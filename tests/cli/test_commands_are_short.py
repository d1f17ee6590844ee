"""A command takes its options, makes one call and prints: what it knows more lies where a page could call it, too."""

import ast
import inspect
import textwrap

import pytest

from safelist.cli.deferred import Deferred
from tests.cli.test_startup import leaves

LINES = 14
"""Of statements, behind the docstring."""


def lines_of(deferred: Deferred) -> int:
    function = inspect.unwrap(deferred.real().callback)  # type: ignore[arg-type] # every command has one
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(found, ast.FunctionDef)
    body = found.body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize("name", [name for name, _ in leaves()])
def test_the_body_of_a_command_is_short(name: str) -> None:
    found = dict(leaves())[name]
    assert found.real().help, "the first statement is the docstring"
    assert lines_of(found) <= LINES
