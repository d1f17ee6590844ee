"""``on_change``: the command that runs after a change, and again at the next publication where it failed."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from safelist.errors import ConfigError, SafelistError, UnavailableError
from safelist.publisher import program
from safelist.publisher.files import real
from safelist.publisher.target import Place


def pending(path: Path) -> Path:
    """The file that is there while ``on_change`` is owed."""
    text = real(path)
    return text.with_name(f"{text.name}.on-change-pending")


def run(path: Path, command: Sequence[str], place: Place) -> SafelistError | None:
    """Run the command, after ``place`` was written, and owe it no more; or what made it fail."""
    failed = f"{place} was written, but on_change `{shlex.join(command)}` failed"
    later = "it runs again at the next publish"
    executable = program.find(command[0])
    if executable is None:
        return ConfigError(f"{failed}: there is no program {command[0]}; correct on_change; {later}")
    try:
        outcome = program.run([executable, *command[1:]])
    except UnavailableError as error:
        return UnavailableError(f"{failed}: {error}; {later}")
    if outcome.code != 0:
        return UnavailableError(f"{failed}: {outcome.complaint}; {later}")
    pending(path).unlink(missing_ok=True)
    return None
