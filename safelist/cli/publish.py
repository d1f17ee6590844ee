"""``safelist publish``: decide every sender of the aggregate and write the targets' files."""

import json as json_text
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from safelist import store
from safelist.cli.configuration import load_config
from safelist.cli.terminal import ConfigOption, JsonOption, actor, complain, now, print_json, say
from safelist.config import Config
from safelist.errors import ConfigError, SafelistError, UsageError, worst
from safelist.policy import Candidate, Settings
from safelist.publisher import publish as publisher
from safelist.publisher.target import Published
from safelist.publisher.targets import NAMES, STORE_TARGETS, TARGETS
from safelist.store import Publication, Store


def publish(
    targets: Annotated[list[str] | None, typer.Argument(metavar="[TARGET]...", help="Default: all configured.")] = None,
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
        print_json([as_json(each) for each in done])
    end(done)


class Failed(NamedTuple):
    """A target that could not be published, and why."""

    target: str
    path: Path
    error: Exception


def end(done: Sequence[Published | Failed], *others: int) -> None:
    """End the command with the worst code of all targets and ``others``, if that is not 0."""
    errors = [error for each in done if (error := _error(each)) is not None]
    for error in errors:
        if not isinstance(error, SafelistError):
            raise error
    if code := worst([*others, *(error.exit_code for error in errors if isinstance(error, SafelistError))]):
        raise typer.Exit(code)


def _error(each: Published | Failed) -> Exception | None:
    return each.error if isinstance(each, Failed) else each.failed


def publish_all(
    opened: Store,
    config: Config,
    names: list[str],
    *,
    dry_run: bool = False,
    allow_shrink: bool = False,
    json: bool = False,
) -> list[Published | Failed]:
    """Publish to the targets of those names (all configured ones by default), each whatever becomes of the others.

    Every failure is a line; :func:`end` then gives the exit code.
    """
    for name in names:
        if name not in config.publish:
            raise UsageError(f"publish: the configuration has no [publish.{name}]; it has: {', '.join(config.publish)}")
    if not config.publish:
        raise ConfigError(f"there is no target: write a section such as [publish.{next(iter(NAMES))}]")
    settings = config.policy.settings(opened.own_domains())
    done = [
        _publish_one(opened, config, name, settings, dry_run=dry_run, allow_shrink=allow_shrink)
        for name in dict.fromkeys(names or config.publish)
    ]
    for each in done:  # only now: an output that is full or has gone must not stop a target either
        if isinstance(each, Published) and not json:
            _report(each, dry_run=dry_run)
        if isinstance(error := _error(each), SafelistError):
            complain(str(error))
    return done


def _publish_one(
    opened: Store, config: Config, name: str, settings: Settings, *, dry_run: bool, allow_shrink: bool
) -> Published | Failed:
    """Publish and record; a failure of this target must not keep the next one from its turn."""
    done: Published | Failed
    try:
        done = _publish(opened, config, name, settings, dry_run=dry_run, allow_shrink=allow_shrink)
        if not dry_run:
            _note(opened, done, settings)
    except Exception as error:
        done = Failed(name, config.publish[name].path, error)
    if not dry_run and (why := _error(done)) is not None:
        _note_failure(opened, name, why)
    return done


def _publish(
    opened: Store, config: Config, name: str, settings: Settings, *, dry_run: bool, allow_shrink: bool
) -> Published:
    chosen, at = config.publish[name], now()
    if name in STORE_TARGETS:
        publish_ = STORE_TARGETS[name].publish
        return publish_(opened, settings, chosen, at, dry_run=dry_run, allow_shrink=allow_shrink)
    return publisher.publish(
        _candidates(opened, settings), settings, TARGETS[name], chosen, at, dry_run=dry_run, allow_shrink=allow_shrink
    )  # fmt: skip


def _candidates(opened: Store, settings: Settings) -> Iterator[Candidate]:
    """As of when the first is asked for: by then another publication may have been waited for."""
    yield from opened.candidates(settings, now(), settings.quorum)


def _note_failure(opened: Store, name: str, error: Exception) -> None:
    try:
        run = opened.begin_run(now(), f"publish {name}", actor())
        opened.end_run(run, now(), {}, str(error))
    except SafelistError as another:
        complain(f"publish {name}: its failure could not be recorded: {another}")


def _note(opened: Store, published: Published, settings: Settings) -> None:
    """Record what the file holds now, unless that is known: also when an earlier run could not say it any more."""
    last = opened.last_publication(published.target, str(published.path))
    if last is not None and last.file_digest == published.file_digest:
        return
    run = opened.begin_run(now(), f"publish {published.target}", actor())
    added, removed = len(published.added), len(published.removed)
    opened.note_publication(
        run, now(),
        Publication(
            published.target, str(published.path), published.entries, added, removed, published.file_digest,
            json_text.dumps(settings.as_json(), sort_keys=True),
        ),
    )  # fmt: skip
    opened.end_run(run, now(), {"entries": published.entries, "added": added, "removed": removed}, None)


def _report(published: Published, *, dry_run: bool) -> None:
    # Unchanged means that it was said before: cron would mail it every hour, and nobody can mend a user's entry.
    for pattern, why in published.refused if published.changed or sys.stderr.isatty() else ():
        complain(f"{published.target}: {pattern.text} was left out: {why}")
    for note in published.notes if published.changed or sys.stderr.isatty() else ():
        complain(note)
    if dry_run:
        for sign, keys in (("+", published.added), ("-", published.removed)):
            print("".join(f"{sign} {published.path}: {key}\n" for key in keys), end="")
    change = f"{published.entries} entries, {len(published.added)} new, {len(published.removed)} gone"
    verb = "would be written" if dry_run else "written"
    done = f"{verb}: {change}" if published.changed else f"unchanged ({published.entries} entries)"
    say(f"{published.path}: {done}", is_answer=dry_run)
    if published.use:
        say(f"{published.target} asks it with: {published.use}", is_answer=dry_run)


def as_json(published: Published | Failed) -> dict[str, Any]:
    """What became of a target, for ``--json``; of one that failed there are only its name, path and error."""
    error = _error(published)
    failure = {"error": None if error is None else str(error)}
    if isinstance(published, Failed):
        return {"target": published.target, "path": str(published.path)} | failure
    return {
        "target": published.target,
        "path": str(published.path),
        "entries": published.entries,
        "changed": published.changed,
        "added": list(published.added),
        "removed": list(published.removed),
        "refused": [{"sender": pattern.text, "why": why} for pattern, why in published.refused],
        "use": published.use,
        "notes": list(published.notes),
    } | failure
