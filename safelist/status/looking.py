"""Looks at everything: the database, the targets' files, the filters. It changes nothing, and waits for nobody long."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from safelist import audit, store
from safelist.collector import sources
from safelist.collector.figures import LEFT_OUT, PARTIAL
from safelist.config import Config, span
from safelist.errors import SafelistError
from safelist.override import Override
from safelist.publisher.targets import configured
from safelist.runs import published_files
from safelist.runs.published_files import FileState
from safelist.status import filters
from safelist.status.facts import SourceFacts, StatusFacts, TargetFacts
from safelist.store import Acknowledgement, Run, Store

PATIENCE = 5.0
"""Seconds for a database that another program holds locked."""


def look(config: Config, now: datetime, *, verify: bool = False) -> StatusFacts:
    """Look at everything that the configuration names; what cannot be looked at is said, never raised.

    With ``verify`` the chain of digests is recomputed, too, which reads the whole database.
    """
    found = filters.installed(config)
    facts = StatusFacts(
        now, snapshot=filters.look_at_snapshot(found, now), filters=tuple(filters.ask(found.addresses)),
        unknown=(("filter", found.unknown),) if found.unknown else (),
    )  # fmt: skip
    try:
        with store.open_store(config.database.url, PATIENCE) as opened:
            return _with_database(facts, opened, config, verify=verify)
    except SafelistError as error:
        return facts._replace(unknown=(*facts.unknown, ("database", str(error))))


def _with_database(facts: StatusFacts, opened: Store, config: Config, *, verify: bool) -> StatusFacts:
    now = facts.at
    return facts._replace(
        sources=tuple(_sources(opened, config, now)),
        targets=tuple(look_at_target(opened, name, chosen) for name, chosen in config.publish.items()),
        overrides=tuple(_ending(opened, config, now)),
        known=tuple(_known(opened, now)),
        verified=audit.verify(opened) if verify else None,
        is_whole=True,
    )


def _sources(opened: Store, config: Config, now: datetime) -> Iterator[SourceFacts]:
    """Those of the configuration, and those that mailboxes were recorded from and that it has no more."""
    outcomes, troubled = opened.outcomes(), opened.troubled()
    stale = opened.stale(now - span(config.status.stale))
    named = [source.name for source in sources.configured(config)]
    for name in dict.fromkeys([*named, *sorted(outcomes)]):
        last, ended, good = _runs(opened, name)
        yield SourceFacts(
            name, name in named, last, ended, good, outcomes.get(name, {}),
            tuple(each for each in troubled if each.source == name),
            tuple(each for each in stale if each.source == name),
            tuple(_not_named(opened, name, good, now, is_configured=name in named)),
        )  # fmt: skip


def _runs(opened: Store, source: str) -> tuple[Run | None, Run | None, Run | None]:
    """The newest run of the source; the newest that ended and asked all; and the newest of those without a problem."""
    last = ended = None
    for run in opened.runs_of("sync", source):
        last = last or run
        if run.finished is None or run.counts.get(PARTIAL):
            continue
        ended = ended or run
        if run.problem is None:
            return last, ended, run
    return last, ended, None


def _not_named(
    opened: Store, source: str, good: Run | None, now: datetime, *, is_configured: bool
) -> Iterator[str]:  # fmt: skip
    """Mailboxes whose entries count, and that the last good run did not ask: the source names them no more.

    A run that could not tell of some groups who is in them says nothing about it.
    """
    if not is_configured:
        yield from (each.address for each in opened.not_asked_since(source, now))
    elif good is not None and not good.counts.get(LEFT_OUT):
        yield from (each.address for each in opened.not_asked_since(source, good.started))


def look_at_target(opened: Store, name: str, chosen: Any) -> TargetFacts:
    """What is known of a target's publications, and what its files are now."""
    target = configured(name, chosen)
    path = str(target.place(chosen))
    state, changed = opened.target_state(name, path), opened.last_published(name, path)
    file = published_files.look_at(target, target.beside(chosen), state)
    if file.state not in _AS_IT_SHOULD_BE and (newer := opened.target_state(name, path)) != state:
        state, file = newer, published_files.look_at(target, target.beside(chosen), newer)
    confirmed = state.confirmed if state else changed
    failure = _failure(opened, name, state.after_run if state else 0)
    return TargetFacts(name, path, state.entries if state else None, confirmed, changed, failure, file)


_AS_IT_SHOULD_BE: Collection[FileState] = (FileState.AS_PUBLISHED, FileState.NO_FILE)


def _failure(opened: Store, name: str, well_after: int) -> str | None:
    """Why the newest publication of the target failed, unless one went well since: after the run of that number."""
    run = opened.last_run(f"publish {name}")
    return run.problem if run is not None and run.id > well_after else None


def _ending(opened: Store, config: Config, now: datetime) -> Iterator[Override]:
    """The overrides in force that end soon, the first to end first."""
    if config.status.ending == "never":
        return
    until = now + span(config.status.ending)
    in_force = [it for it in opened.overrides() if it.in_force(now) and it.terms.expires is not None]
    yield from sorted(
        (it for it in in_force if it.terms.expires is not None and it.terms.expires <= until),
        key=lambda it: (it.terms.expires, it.id),
    )


def _known(opened: Store, now: datetime) -> Iterator[Acknowledgement]:
    yield from (each for each in opened.acknowledgements() if each.in_force(now))
