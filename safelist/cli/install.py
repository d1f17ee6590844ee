"""``safelist install units``: what systemd needs to know of safelist."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from safelist.cli.terminal import JsonOption, complain, print_json, say
from safelist.errors import EX_CONFIG
from safelist.runs import install_units
from safelist.runs.install_units import UnitFile, UnitState


def units(
    names: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="Default: all of them.")] = None,
    directory: Annotated[
        Path, typer.Option(help="What has systemd/system, sysusers.d and tmpfiles.d below it: /usr/lib in a package.")
    ] = install_units.DIRECTORY,
    called: Annotated[
        Path | None, typer.Option("--program", help="What the units call. Default: this safelist.", show_default=False)
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the files; write nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace also what was changed by hand; the old file stays beside it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write out the units for systemd, its users and directories; starts nothing, and says what comes next."""
    files = install_units.planned(
        names or [], directory.absolute(), called or install_units.this_program(), replaces=force
    )
    done = files if show or dry_run else list(install_units.write(files))
    if json:
        print_json([{"path": str(file.path), "state": file.state.name.lower(), "text": file.text} for file in done])
    else:
        (_show if show else _report)(done)
    if not show and any(file.state is UnitState.FOREIGN for file in done):
        raise typer.Exit(EX_CONFIG)


def _show(files: Sequence[UnitFile]) -> None:
    for file in files:
        print(f"# {file.path}\n{file.text}")


def _report(files: Sequence[UnitFile]) -> None:
    for file in files:
        if file.state is UnitState.FOREIGN:
            complain(
                f"{file.path}: changed by hand, left as it is; compare it with what `safelist install units --show "
                f"{file.name}` prints, keep your change as a drop-in (systemctl edit {file.name}), then --force"
            )
        else:
            kept = f" ({file.backup})" if file.state is UnitState.REPLACED else ""
            say(f"{file.path}: {file.state}{kept}", is_answer=True)
    commands = "\n  ".join(install_units.next_commands(files))
    say(f"Nothing was started. Next:\n  {commands}", is_answer=True)
