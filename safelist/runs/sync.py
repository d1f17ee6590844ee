"""Collect the lists of every mailbox, source by source."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

from safelist import store
from safelist.collector import sources
from safelist.collector.collect import MailboxResult, Options, Summary, collect
from safelist.collector.source import Selection, Source
from safelist.config import Config, NamedSource
from safelist.entry import FIRST_SOURCE, UserList
from safelist.errors import ConfigError, SafelistError, UsageError
from safelist.runs import Clock
from safelist.store import Outcome, Store


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """How a run over the sources differs from the plain one.

    ``source`` names the only one to collect from, ``mailboxes`` the only ones to ask. ``workers`` and ``budget``
    (minutes; 0: no end) are the source's own where they are None. ``asks_rooms``: somebody will read which mailboxes
    are rooms. ``goes_on``: what can be published must be: a source that cannot even begin is a problem of its report.
    """

    lists: frozenset[UserList]
    source: str | None = None
    mailboxes: tuple[str, ...] = ()
    dry_run: bool = False
    accept_vanished: Collection[str] = ()
    accept_mass_change: bool = False
    read_anew: bool = False
    workers: int | None = None
    budget: int | None = None
    asks_rooms: bool = False
    goes_on: bool = False

    def of_collector(self, source: NamedSource) -> Options:
        """The same for one source; its time begins now."""
        minutes = source.settings.budget if self.budget is None else self.budget
        return Options(
            lists=self.lists, dry_run=self.dry_run, accept_vanished=self.accept_vanished,
            accept_mass_change=self.accept_mass_change, workers=self.workers or source.settings.workers,
            read_anew=self.read_anew, until=time.monotonic() + 60 * minutes if minutes else None,
        )  # fmt: skip


@dataclass(slots=True)
class SourceRun:
    """What came of one source.

    ``selection`` is what was to be asked, ``not_named`` the mailboxes that still count and that the configuration does
    not name any more (those of sources that it has no more are the last run's), ``rooms`` those with a vote that are no
    person's.
    """

    source: str
    summary: Summary = field(default_factory=Summary)
    selection: Selection = field(default_factory=lambda: Selection([]))
    not_named: list[str] = field(default_factory=list)
    rooms: list[str] = field(default_factory=list)


class Watcher(Protocol):
    """Whoever looks on while a source is collected."""

    def collecting(
        self, source: str, selection: Selection
    ) -> AbstractContextManager[Callable[[MailboxResult], None]]:  # fmt: skip
        """Begin to look on; inside, each mailbox's result is passed to the function as it comes."""
        ...

    def end(self, run: SourceRun) -> None:
        """Take what came of the source."""
        ...


def sync(
    opened: Store, config: Config, options: SyncOptions, watcher: Watcher, now: Clock, actor: str
) -> list[SourceRun]:  # fmt: skip
    """Collect the lists of every mailbox, source by source; each has its own run, lock and outcome.

    One that fails does not keep the next from its turn: its error is its summary's ``problem``. Where there is only
    one, the error is raised, unless the options say that the run goes on; a lock that is held ends that one anyhow.
    """
    if options.goes_on and not sources.configured(config):
        run = SourceRun(FIRST_SOURCE, Summary(problem=_no_source()))
        watcher.end(run)
        return [run]
    chosen = _chosen(opened, config, options)
    has_others = len(chosen) > 1
    runs = [SourceRun(source.name) for source, _ in chosen]
    for (source, mailboxes), run in zip(chosen, runs, strict=True):
        with (
            _kept_as_problem(run, has_others),
            _lock(config, options, source, now),
            _kept_as_problem(run, has_others or options.goes_on),
        ):
            _collect_into(run, opened, config, options, source, mailboxes, watcher, now, actor)
        if run is runs[-1] and not options.mailboxes:
            run.not_named += _of_removed_sources(opened, config, runs)
        watcher.end(run)
    return runs


@contextmanager
def _kept_as_problem(run: SourceRun, is_kept: bool) -> Iterator[None]:
    """Keep an error of the block as the run's problem, instead of raising it, where ``is_kept`` says so."""
    try:
        yield
    except SafelistError as error:
        if not is_kept:
            raise
        run.summary.problem = error


def _lock(config: Config, options: SyncOptions, source: NamedSource, now: Clock) -> AbstractContextManager[None]:
    return nullcontext() if options.dry_run else store.hold(config.database.url, "sync", now(), source.name)


def _chosen(opened: Store, config: Config, options: SyncOptions) -> list[tuple[NamedSource, list[str]]]:
    """The sources to collect from, each with the only mailboxes to ask, if there are such."""
    known = {source.name: source for source in sources.configured(config)}
    if not known:
        raise _no_source()
    if options.source is not None and options.source not in known:
        raise UsageError(f"--source: there is no source {options.source!r}; there are: {', '.join(known)}")
    if not options.mailboxes:
        return [(source, []) for name, source in known.items() if options.source in (None, name)]
    wanted: dict[str, list[str]] = {}
    for address in options.mailboxes:
        wanted.setdefault(_source_of(opened, address, known, options.source), []).append(address)
    return [(known[name], addresses) for name, addresses in wanted.items()]


def _no_source() -> ConfigError:
    return ConfigError("there is no [exchange] in the configuration: write where the mailboxes are")


def _source_of(opened: Store, address: str, known: Collection[str], named: str | None) -> str:
    """The source to ask for a mailbox: the one that is named, the only one, or the one that it was recorded from."""
    if named is not None or len(known) == 1:
        return named or next(iter(known))
    state = opened.mailbox(address)
    if state is None or state.source not in known or state.outcome == Outcome.FORGOTTEN:
        raise UsageError(f"--mailbox: {address} is recorded from none of the sources; say with --source which has it")
    return state.source


def _collect_into(
    run: SourceRun, opened: Store, config: Config, options: SyncOptions, named: NamedSource, mailboxes: list[str],
    watcher: Watcher, now: Clock, actor: str,
) -> None:  # fmt: skip
    """Collect one source, and note in ``run`` what came of it."""
    chosen = options.of_collector(named)
    with ExitStack() as stack:
        with _recorded_failure(opened, named.name, options, now, actor):
            source = stack.enter_context(sources.KINDS[named.kind].open_source(named.name, named.settings))
            selection = Selection(mailboxes, is_whole=False) if mailboxes else source.mailboxes(chosen.until)
        run.selection = selection
        chosen = replace(chosen, is_partial=bool(mailboxes), left_out=len(selection.problems))
        with watcher.collecting(named.name, selection) as report:
            run.summary = collect(opened, source, selection.addresses, chosen, now, report, actor)
        if selection.is_whole:
            run.not_named += _not_named(opened, run)
        if options.asks_rooms and not mailboxes and run.summary.problem is None:
            run.rooms += _voting_rooms(opened, config, source, chosen.until)


@contextmanager
def _recorded_failure(opened: Store, source: str, options: SyncOptions, now: Clock, actor: str) -> Iterator[None]:
    """Record that a run failed before it could ask any mailbox: nobody else would say so."""
    try:
        yield
    except SafelistError as error:
        if not options.dry_run:
            opened.end_run(opened.begin_run(now(), "sync", actor, source), now(), {}, str(error))
        raise


def _not_named(opened: Store, run: SourceRun) -> Iterator[str]:
    """Mailboxes of the run's source whose entries still count although the source does not name them any more."""
    named = frozenset(run.selection.addresses)
    for state in opened.mailboxes():
        if state.entries and state.source == run.source and state.address not in named:
            yield state.address


def _of_removed_sources(opened: Store, config: Config, runs: Iterable[SourceRun]) -> Iterator[str]:
    """Mailboxes whose entries still count although the configuration has their source no more.

    One that a source of these runs names is a problem of that source, with what to do.
    """
    known = {source.name for source in sources.configured(config)}
    named = {address for run in runs for address in run.selection.addresses}
    for state in opened.mailboxes():
        if state.entries and state.source not in known and state.address not in named:
            yield state.address


def _voting_rooms(opened: Store, config: Config, source: Source, until: float | None) -> Iterator[str]:
    """Collected mailboxes with entries that are rooms and that the policy counts."""
    rooms, excluded = source.rooms(until), frozenset(config.policy.exclude_mailboxes)
    for state in opened.mailboxes():
        if state.entries and state.source == source.name and state.address in rooms and state.address not in excluded:
            yield state.address
