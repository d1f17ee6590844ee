"""Everything around a configuration that a command would stumble over: files, the database, the targets."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from safelist import store
from safelist.collector import sources
from safelist.collector.sources import ews
from safelist.config import Config
from safelist.errors import SafelistError
from safelist.policy import Settings
from safelist.publisher.publish import publish
from safelist.publisher.target import FileChange, Nothing, Place, Published
from safelist.publisher.targets import configured
from safelist.runs import Clock, published_files, web_check
from safelist.runs.published_files import FileState


def look_over(path: Path, loaded: Config, now: Clock) -> tuple[list[str], list[str]]:
    """Try everything that the configuration of that file names, and change nothing.

    Returns the faults, and notes on what is none yet; each begins with the file. No Exchange is asked.
    """
    faults = [f"{path}: {fault}" for fault in _faults_around(loaded, now)]
    notes = [f"{path}: publish.{name}: {note}" for name in loaded.publish for note in _notes(loaded, name, now)]
    return faults, [*notes, *(f"{path}: publish.{name}: {note}" for name, note in _no_more_as_published(loaded))]


def _faults_around(loaded: Config, now: Clock) -> Iterator[str]:
    """What each command would stumble over: secrets, files, the database, the targets' directories."""
    if not sources.configured(loaded):
        yield "exchange: is missing or empty: `safelist sync` cannot run with this file, the other commands can"
        yield from ews.mailbox_faults(loaded.mailboxes)
    for source in (named := sources.configured(loaded)):
        faults = sources.KINDS[source.kind].faults(source.settings)
        yield from (f"sources.{source.name}: {fault}" if len(named) > 1 else fault for fault in faults)
    yield from _fault(lambda: store.open_store(loaded.database.url).close())
    if (rules := loaded.web) is not None:
        yield from _fault(lambda: web_check.check(rules))
    for name, settings in loaded.publish.items():
        yield from _fault(lambda n=name, s=settings: _try_target(n, s, loaded.policy.settings(), now))  # type: ignore[misc]


def _try_target(name: str, chosen: Any, settings: Settings, now: Clock) -> Published:
    return publish(Nothing(), settings, configured(name, chosen), chosen, now, dry_run=True, allow_shrink=True)


def _notes(loaded: Config, name: str, now: Clock) -> Iterator[str]:
    """What is no fault of the configuration, but would be one of a filter that used the file already."""
    try:
        tried = _try_target(name, loaded.publish[name], loaded.policy.settings(), now)
    except SafelistError:
        return  # a fault, which is said
    missing = next(chain.from_iterable(map(_missing, tried.files)), None)
    if missing is not None:
        yield (
            f"{missing} is not there: run `safelist publish` before a filter's configuration names it "
            f"({configured(name, loaded.publish[name]).if_missing})"
        )


def _no_more_as_published(loaded: Config) -> Iterator[tuple[str, str]]:
    """Each target whose files are not what was published, with what they are; as `safelist status` says it."""
    with suppress(SafelistError), store.open_store(loaded.database.url) as opened:
        for name, settings in loaded.publish.items():
            target = configured(name, settings)
            state = opened.target_state(name, str(target.place(settings)))
            found = published_files.look_at(target, target.beside(settings), state)
            if found.state in (FileState.DIFFERENT, FileState.UNREADABLE):
                yield name, found.text


def _missing(file: FileChange) -> Iterator[Place]:
    yield from (path for path in file.opened if not path.exists())
    yield from (file.absent,) if file.absent else ()


def _fault(look: Callable[[], object]) -> Iterator[str]:
    try:
        look()
    except SafelistError as error:
        yield from str(error).split("\n")
