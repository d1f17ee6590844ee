"""``safelist publish``: decide every sender of the aggregate and write the targets' files."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from safelist import store
from safelist.cli import completion
from safelist.cli.configuration import load_config
from safelist.cli.terminal import ConfigOption, JsonOption, actor, complain, now, print_json, say
from safelist.config import Config
from safelist.errors import SafelistError, worst
from safelist.publisher.target import FileChange, Published
from safelist.runs import json_form
from safelist.runs.publish import Publishing
from safelist.runs.publish import publish as publish_configured
from safelist.store import Store


def publish(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET",
            help="Default: all configured.",
            autocompletion=completion.targets,
        ),
    ] = None,
    config_file: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; write nothing.")] = False,
    allow_shrink: Annotated[
        bool, typer.Option("--allow-shrink", help="Publish even if more than half of the entries disappear.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write the safelist to every configured target; unchanged files are not touched."""
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        done = publish_all(opened, config, targets or [], dry_run=dry_run, allow_shrink=allow_shrink, json=json)
    if json:
        print_json([json_form.publishing(each) for each in done])
    end(done)


def end(done: Sequence[Publishing], *others: int) -> None:
    """End the command with the worst code of all targets and ``others``, if that is not 0."""
    errors = [each.error for each in done if each.error is not None]
    for error in errors:
        if not isinstance(error, SafelistError):
            raise error
    if code := worst([*others, *(error.exit_code for error in errors if isinstance(error, SafelistError))]):
        raise typer.Exit(code)


def publish_all(
    opened: Store,
    config: Config,
    names: list[str],
    *,
    dry_run: bool = False,
    allow_shrink: bool = False,
    json: bool = False,
) -> list[Publishing]:
    """Publish as :func:`safelist.runs.publish.publish` does, and say what became of each target.

    Every failure is a line; :func:`end` then gives the exit code.
    """
    done = publish_configured(opened, config, names, now, actor(), dry_run=dry_run, allow_shrink=allow_shrink)
    for each in done:  # only now: an output that is full or has gone must not stop a target either
        if each.unrecorded is not None:
            complain(f"publish {each.done.target}: its failure could not be recorded: {each.unrecorded}")
        if isinstance(each.done, Published) and not json:
            _report(each.done, dry_run=dry_run)
        if isinstance(each.error, SafelistError):
            complain(str(each.error))
    return done


def _report(published: Published, *, dry_run: bool) -> None:
    # Unchanged means that it was said before: cron would mail it every hour, and nobody can mend a user's entry.
    for refused in published.refused if published.changed or sys.stderr.isatty() else ():
        complain(f"{published.target}: {refused.pattern.text} was left out: {refused.why}")
    for note in published.notes if published.changed or sys.stderr.isatty() else ():
        complain(note)
    if dry_run:
        for file in published.files:
            _print_changes(file)
    change = f"{published.entries} entries, {published.new} new, {published.gone} gone"
    verb = "would be written" if dry_run else "written"
    done = f"{verb}: {change}" if published.changed else f"unchanged ({published.entries} entries)"
    say(f"{published.path}: {done}", is_answer=dry_run)
    if published.use:
        say(_use(published), is_answer=dry_run)


def _use(published: Published) -> str:
    """What the filter's configuration has to say; many lines only once, when the files are new."""
    name, use = published.target, published.use
    if "\n" not in use:
        return f"{name} asks it with: {use}"
    if published.changed and not any(file.had for file in published.files):
        return f"{name} asks it once its own configuration says:\n\n{use}"
    return f"what {name}'s own configuration has to say, and whether it is read: safelist check {name}"


def _print_changes(file: FileChange) -> None:
    for sign, keys, count in (("+", file.added, file.new), ("-", file.removed, file.gone)):
        print("".join(f"{sign} {file.path}: {key}\n" for key in keys), end="")
        if count > len(keys):
            print(f"{sign} {file.path}: and {count - len(keys)} more")
