"""``safelist sync``: collect every mailbox's lists; with ``--publish`` the one line that cron needs."""

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from safelist import store
from safelist.cli import completion, leavers
from safelist.cli import publish as publishing
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.ping import PingOption, pinged
from safelist.cli.problems import one_line_a_cause
from safelist.cli.terminal import ConfigOption, JsonOption, actor, complain, now, print_json, say, shown
from safelist.collector.sources import configured
from safelist.config import Collect, Config, ListType
from safelist.errors import EX_OK, EX_TEMPFAIL
from safelist.runs import json_form
from safelist.store import Outcome

if TYPE_CHECKING:  # exchangelib takes longer to import than most commands to run
    from safelist.collector.collect import MailboxResult
    from safelist.collector.source import Selection
    from safelist.runs.sync import SourceRun, SyncOptions

_CLOCK_SKEW = timedelta(seconds=60)
"""By so much the clocks of two machines that share a database may differ."""


def sync(
    mailbox: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Only this mailbox (repeatable).",
            autocompletion=completion.mailboxes,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only this source, where the configuration has several.",
            autocompletion=completion.sources,
        ),
    ] = None,
    type: Annotated[
        ListType | None,
        typer.Option(
            metavar="TYPE", help="Which lists to record: safe-senders, safe-recipients, both, blocked-senders, all."
        ),
    ] = None,
    include_domains: Annotated[
        bool | None,
        typer.Option("--include-domains/--no-include-domains", help="Record domain entries too."),
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Publish to every configured target afterwards.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; write nothing.")] = False,
    accept_vanished: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Believe that this mailbox's rule is gone (repeatable).",
            autocompletion=completion.mailboxes,
        ),
    ] = None,
    accept_mass_change: Annotated[
        bool, typer.Option("--accept-mass-change", help="Believe that many mailboxes lost their lists at once.")
    ] = False,
    read_anew: Annotated[
        bool, typer.Option("--read-anew", help="Read every rule anew, also where nothing has changed since.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=100, metavar="N", help="Mailboxes asked at once, instead of the set number."),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(min=0, metavar="MINUTES", help="Stop asking after so long, instead of the set time; 0: never."),
    ] = None,
    ping: PingOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Collect the lists of every mailbox into the aggregate. Silent on success where nobody looks."""
    with pinged(ping):
        from safelist.runs.sync import SyncOptions

        config = load_config(config_file)
        options = SyncOptions(
            lists=_collect(config, type, include_domains).lists, source=source,
            mailboxes=tuple(addresses_in(mailbox or [], "--mailbox")), dry_run=dry_run,
            accept_vanished=frozenset(addresses_in(accept_vanished or [], "--accept-vanished")),
            accept_mass_change=accept_mass_change, read_anew=read_anew, workers=workers, budget=budget,
            asks_rooms=has_readers(json=json), goes_on=publish,
        )  # fmt: skip
        _sync(config, options, publish=publish, json=json)


def _sync(config: Config, options: "SyncOptions", *, publish: bool, json: bool) -> None:
    """Collect, publish, show; ends the command with the worst code of all sources and targets."""
    from safelist.runs.sync import sync as collect

    with store.open_store(config.database.url) as opened:
        _warn_of_clock(opened)
        report = SyncReport(opened, options, json=json)
        done = collect(opened, config, options, report, now, actor())
        published = publishing.publish_all(opened, config, [], dry_run=options.dry_run, json=json) if publish else []
    if json:
        of_targets = {"published": [json_form.publishing(each) for each in published]}
        print_json(json_form.sync(report.of_sources, is_only=len(configured(config)) <= 1) | of_targets)
    problems = [(run.source, run.summary.problem) for run in done if run.summary.problem is not None]
    for name, problem in problems:
        complain(f"{name}: {problem}" if len(done) > 1 else str(problem))
    codes = [problem.exit_code for _, problem in problems]
    publishing.end(published, *codes, EX_TEMPFAIL if report.has_problems else EX_OK)


def has_readers(*, json: bool) -> bool:
    """Whether anybody sees what is no problem: not where cron runs."""
    return json or sys.stdout.isatty()


def _warn_of_clock(opened: store.Store) -> None:
    """Once for each jump: what this run records is the newest from now on."""
    at = now()
    ahead = opened.dated_ahead(at + _CLOCK_SKEW)
    if ahead is not None:
        complain(
            f"the clock says {at:%Y-%m-%d %H:%M} UTC, but the newest record is of {ahead:%Y-%m-%d %H:%M}: one of both "
            "is wrong. Correct the clock (timedatectl) and look at `safelist audit history`. Overrides that are dated "
            "ahead are in force; where one ends a time after it was made (`safelist override list`), it ends that long "
            "after its date: make it anew with --replace"
        )


def _collect(config: Config, type_: ListType | None, include_domains: bool | None) -> Collect:
    changed: dict[str, Any] = {} if type_ is None else {"type": type_}
    return config.collect.model_copy(
        update=changed | ({} if include_domains is None else {"include_domains": include_domains})
    )


class SyncReport:
    """Looks on at a run over the sources, and keeps what ``--json`` says of each."""

    def __init__(self, opened: store.Store, options: "SyncOptions", *, json: bool) -> None:
        self._opened = opened
        self._options = options
        self._is_json = json
        self._known = opened.known_failures(now()).keys()
        self._rows: list[dict[str, Any]] = []
        self.of_sources: list[dict[str, Any]] = []
        """What came of each, as it is said in JSON."""
        self.has_problems = False
        """Whether anything needs a person or a later run."""

    @contextmanager
    def collecting(self, source: str, selection: "Selection") -> "Iterator[Callable[[MailboxResult], None]]":
        """Show one source's mailboxes as they come."""
        shown_ = _MailboxProgress(len(selection.addresses), self._options, self._known, self._rows, json=self._is_json)
        shown_.complain_of(selection.problems, selection.part)
        try:
            with shown_:
                yield shown_.show
        finally:
            self.has_problems |= shown_.has_problems

    def end(self, run: "SourceRun") -> None:
        """Say of a source what concerns more than one mailbox."""
        if run.not_named and not self._is_json:
            say(leavers.sentence(run.source, run.not_named))
        if not (self._options.dry_run or has_readers(json=self._is_json)):
            leavers.tell(self._opened, run.source, run.not_named)
        if run.rooms and not self._is_json:
            say(_rooms_sentence(run.rooms))
        self.of_sources.append(json_form.source_run(run, self._rows))
        self._rows.clear()


def _rooms_sentence(addresses: Sequence[str]) -> str:
    """Each room has a vote, which whoever manages it has besides the own."""
    count, first = len(addresses), addresses[0]
    return (
        f"{count} collected mailbox{' is a room' if count == 1 else 'es are rooms'} "
        f"({first}{', ...' if count > 1 else ''}) and ha{'s' if count == 1 else 've'} a vote; "
        "if they shall have none, name them in [policy] exclude_mailboxes"
    )


class _MailboxProgress:
    """A bar on a terminal, at the end a line for each cause of a problem on stderr, nothing else."""

    def __init__(
        self, mailboxes: int, options: "SyncOptions", known: Collection[tuple[str, str]], rows: list[dict[str, Any]],
        *, json: bool,
    ) -> None:  # fmt: skip
        from safelist.collector.collect import Summary

        self._summary = Summary()
        self._is_json = json
        self._options = options
        self._problems: list[tuple[str, str]] = []
        self._known = known
        self._acknowledged = 0
        self._rows = rows
        self.has_problems = False
        self._bar = Progress(
            TextColumn("collecting"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[problems]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True), disable=json or not sys.stderr.isatty(), transient=True,
            redirect_stdout=sys.stdout.isatty(),  # else the answer would go where the bar is, not into the file
        )  # fmt: skip
        self._task = self._bar.add_task("collecting", total=mailboxes, problems="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
        self.complain_of(self._problems)
        if kind is None and not self._is_json:
            figures = self._summary.figures()
            asked = sum(self._summary.outcomes.values())
            parts = [f"{figures[o]} {o}" for o in Outcome if figures[o]]
            asked_text = f"{asked} mailbox{'' if asked == 1 else 'es'}"
            told = f"{asked_text}: {', '.join(parts)}; {figures['added']} entries new, {figures['removed']} gone"
            dry_run = self._options.dry_run
            say(f"{told}; nothing was written" if dry_run else told, is_answer=dry_run)
            if count := self._acknowledged:
                say(f"{count} of the failures {'is' if count == 1 else 'are'} acknowledged: safelist failure list")

    def complain_of(self, problems: Sequence[tuple[str, str]], part: str | None = None) -> None:
        """Say in a line for each cause what is wrong with those mailboxes, or those parts of the source."""
        self.has_problems |= bool(problems)
        for line in one_line_a_cause(problems, f"{part}s" if part else "mailboxes"):
            self._complain(f"{part} {line}" if part else line)

    def _complain(self, message: str) -> None:
        """A line that the progress bar neither breaks nor swallows."""
        if self._bar.disable:
            complain(message)
            return
        self._bar.console.print(f"safelist: {shown(message)}", soft_wrap=True, markup=False, highlight=False)

    def show(self, result: "MailboxResult") -> None:
        """Take one mailbox's result."""
        self._summary.count(result)
        self._bar.advance(self._task)
        is_known = result.outcome is Outcome.FAILED and (result.address, result.reason) in self._known
        self._acknowledged += is_known
        if result.message is not None and not is_known:
            self._problems.append((result.address, result.message))
            self._bar.update(self._task, problems=f"{len(self._problems)} with a problem")
        for note in result.notes if result.outcome is Outcome.COLLECTED else ():
            self._complain(f"{result.address}: {note}")
        if self._is_json:
            self._rows.append(json_form.mailbox_result(result, dry_run=self._options.dry_run, acknowledged=is_known))
        elif self._options.dry_run:
            _print_change(result)


def _print_change(result: "MailboxResult") -> None:
    for sign, entries in (("+", result.change.added), ("-", result.change.removed)):
        for entry in sorted(entries):
            print(f"{sign} {result.address}: {entry.list.title}: {shown(entry.pattern.text)}")
