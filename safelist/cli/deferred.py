"""Commands whose modules are imported when they are called: help, completion and one command wait for no other."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


class Place(NamedTuple):
    """Where a command's function is (``module:name``, below this package) and the first line of its help."""

    at: str
    help: str


class Group(NamedTuple):
    """Commands under one name."""

    help: str
    commands: Mapping[str, Place]


def build(app: typer.Typer, commands: Mapping[str, Place | Group]) -> TyperGroup:
    """The group that ``app`` describes, with these commands in their order."""
    made = get_command(app)
    assert isinstance(made, TyperGroup)  # noqa: S101 (an app with a callback)
    for name, each in commands.items():
        made.add_command(Deferred(name, each) if isinstance(each, Place) else _group(each), name)
    return made


def _group(group: Group) -> TyperGroup:
    app = typer.Typer(help=group.help, no_args_is_help=True, rich_markup_mode=None)
    made = get_group(app)
    for name, place in group.commands.items():
        made.add_command(Deferred(name, place), name)
    return made


class Deferred(TyperCommand):
    """Knows its name and the first line of its help; all else is asked of the real command."""

    def __init__(self, name: str, place: Place) -> None:
        super().__init__(name, help=place.help, rich_markup_mode=None)
        self._at = place.at

    def real(self) -> TyperCommand:
        """Import the module, and build the command of its function."""
        module, _, function = self._at.partition(":")
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(self.name)(getattr(import_module(f"safelist.cli.{module}"), function))
        made = get_command(app)
        assert isinstance(made, TyperCommand)  # noqa: S101 (an app of one command)
        return made

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Import the command, and make the context of the real one: that one then runs, helps and completes."""
        return self.real().make_context(*args, **kwargs)
