"""``safelist sync``: collect every mailbox's lists; with ``--publish`` the one line that cron needs."""

import sys
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from safelist import store
from safelist.cli import leavers
from safelist.cli import publish as publishing
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.problems import one_line_a_cause
from safelist.cli.terminal import ConfigOption, JsonOption, actor, complain, now, print_json, say, shown
from safelist.collector import sources
from safelist.config import Collect, Config, ListType
from safelist.entry import Entry
from safelist.errors import EX_OK, EX_TEMPFAIL, ConfigError, SafelistError
from safelist.store import Outcome

if TYPE_CHECKING:  # exchangelib takes longer to import than most commands to run
    from safelist.collector.collect import MailboxResult, Options, Summary

_CLOCK_SKEW = timedelta(seconds=60)
"""By so much the clocks of two machines that share a database may differ."""


def sync(
    mailbox: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="Only this mailbox (repeatable).")
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
        list[str] | None, typer.Option(metavar="ADDRESS", help="Believe that this mailbox's rule is gone (repeatable).")
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
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Collect the lists of every mailbox into the aggregate. Silent on success where nobody looks."""
    from safelist.collector.collect import Options

    config = load_config(config_file)
    options = Options(
        lists=_collect(config, type, include_domains).lists,
        dry_run=dry_run,
        accept_vanished=frozenset(addresses_in(accept_vanished or [], "--accept-vanished")),
        accept_mass_change=accept_mass_change,
        workers=workers or (config.exchange.workers if config.exchange else 1),
        until=_end_of(budget if budget is not None else config.exchange.budget if config.exchange else 0),
        read_anew=read_anew,
    )
    selected = addresses_in(mailbox or [], "--mailbox")
    lock = nullcontext() if dry_run else store.hold(config.database.url, "sync", now())
    with store.open_store(config.database.url) as opened, lock:
        _warn_of_clock(opened)
        collecting = run_or_report if publish else run
        done = collecting(opened, config, selected, options, json=json)
        published = publishing.publish_all(opened, config, [], dry_run=dry_run, json=json) if publish else []
    if json:
        print_json(done.as_json() | {"published": [publishing.as_json(p) for p in published]})
    problem = done.summary.problem
    if problem is not None:
        complain(str(problem))
    publishing.end(published, problem.exit_code if problem else EX_TEMPFAIL if done.has_problems else EX_OK)


def _end_of(minutes: int) -> float | None:
    """By the monotonic clock; None for a run without an end."""
    return time.monotonic() + 60 * minutes if minutes else None


def run_or_report(
    opened: store.Store, config: Config, selected: list[str], options: "Options", *, json: bool
) -> "SyncReport":
    """The same as :func:`run`; a run that cannot begin is a problem of the report: what was decided must get out."""
    from safelist.collector.collect import Summary

    try:
        return run(opened, config, selected, options, json=json)
    except SafelistError as error:
        return SyncReport(0, options, Summary(problem=error), json=json)


def run(
    opened: store.Store, config: Config, selected: list[str], options: "Options", *, json: bool = False
) -> "SyncReport":
    """Collect ``selected`` mailboxes, or all configured ones, and show what came of them."""
    from safelist.collector.collect import Summary, collect
    from safelist.collector.source import Selection

    chosen = next(iter(sources.configured(config)), None)
    if chosen is None:
        raise ConfigError("there is no [exchange] in the configuration: write where the mailboxes are")
    with sources.KINDS[chosen.kind].open_source(chosen.name, chosen.settings) as source:
        selection = Selection(selected, is_whole=False) if selected else source.mailboxes(options.until)
        with SyncReport(len(selection.addresses), options, Summary(), json=json) as report:
            report.note_left_out(selection.problems)
            report.summary = collect(opened, source, selection.addresses, options, now, report.show, actor())
        if selection.is_whole:
            report.note_not_named(_not_named(opened, selection.addresses))
            if not (options.dry_run or report.has_readers):
                leavers.tell(opened, report.not_named)
        if not selected and report.has_readers and report.summary.problem is None:
            report.note_rooms(_voting_rooms(opened, config, source.rooms(options.until)))
    return report


def _voting_rooms(opened: store.Store, config: Config, rooms: Collection[str]) -> list[str]:
    """Collected mailboxes with entries that are rooms and that the policy counts."""
    excluded = frozenset(config.policy.exclude_mailboxes)
    return [s.address for s in opened.mailboxes() if s.entries and s.address in rooms and s.address not in excluded]


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


def _not_named(opened: store.Store, addresses: Iterable[str]) -> Iterator[str]:
    """Mailboxes whose entries still count although the configuration does not name them any more."""
    named = frozenset(addresses)
    return (state.address for state in opened.mailboxes() if state.entries and state.address not in named)


def _collect(config: Config, type_: ListType | None, include_domains: bool | None) -> Collect:
    changed: dict[str, Any] = {} if type_ is None else {"type": type_}
    return config.collect.model_copy(
        update=changed | ({} if include_domains is None else {"include_domains": include_domains})
    )


class SyncReport:
    """Shows a run: a bar on a terminal, at the end a line for each cause of a problem on stderr, nothing else."""

    def __init__(self, mailboxes: int, options: "Options", summary: "Summary", *, json: bool) -> None:
        self.summary = summary
        self._is_json = json
        self._options = options
        self._problems: list[tuple[str, str]] = []
        self._rows: list[dict[str, Any]] = []
        self._left_out: list[str] = []
        self.not_named: list[str] = []
        self._rooms: list[str] = []
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
        for line in one_line_a_cause(self._problems, "mailboxes"):
            self._complain(line)
        if kind is None and not self._is_json:
            figures = self.summary.figures()
            asked = sum(self.summary.outcomes.values())
            parts = [f"{figures[o]} {o}" for o in Outcome if figures[o]]
            asked_text = f"{asked} mailbox{'' if asked == 1 else 'es'}"
            told = f"{asked_text}: {', '.join(parts)}; {figures['added']} entries new, {figures['removed']} gone"
            dry_run = self._options.dry_run
            say(f"{told}; nothing was written" if dry_run else told, is_answer=dry_run)

    @property
    def has_problems(self) -> bool:
        """Whether anything needs a person or a later run."""
        return bool(self._problems or self._left_out)

    @property
    def has_readers(self) -> bool:
        """Whether anybody sees what is no problem: not where cron runs."""
        return self._is_json or sys.stdout.isatty()

    def note_rooms(self, addresses: list[str]) -> None:
        """Rooms that were collected; each has a vote, which whoever manages it has besides the own."""
        self._rooms = addresses
        if addresses and not self._is_json:
            count, first = len(addresses), addresses[0]
            say(
                f"{count} collected mailbox{' is a room' if count == 1 else 'es are rooms'} "
                f"({first}{', ...' if count > 1 else ''}) and ha{'s' if count == 1 else 've'} a vote; "
                "if they shall have none, name them in [policy] exclude_mailboxes"
            )

    def note_left_out(self, problems: list[tuple[str, str]]) -> None:
        """Groups that could not be expanded, and what is wrong with each."""
        self._left_out = [f"group {group}: {message}" for group, message in problems]
        for line in one_line_a_cause(problems, "groups"):
            self._complain(f"group {line}")

    def note_not_named(self, addresses: Iterator[str]) -> None:
        """Mailboxes that were collected and are not named any more; no problem, but somebody has to know."""
        self.not_named = list(addresses)
        if self.not_named and not self._is_json:
            say(leavers.sentence(self.not_named))

    def _complain(self, message: str) -> None:
        """A line that the progress bar neither breaks nor swallows."""
        if self._bar.disable:
            complain(message)
            return
        self._bar.console.print(f"safelist: {shown(message)}", soft_wrap=True, markup=False, highlight=False)

    def show(self, result: "MailboxResult") -> None:
        """Take one mailbox's result."""
        self._bar.advance(self._task)
        if result.message is not None:
            self._problems.append((result.address, result.message))
            self._bar.update(self._task, problems=f"{len(self._problems)} with a problem")
        for note in result.notes if result.outcome is Outcome.COLLECTED else ():
            self._complain(f"{result.address}: {note}")
        if self._is_json:
            self._keep(result)
        elif self._options.dry_run:
            _print_change(result)

    def _keep(self, result: "MailboxResult") -> None:
        row: dict[str, Any] = {
            "mailbox": result.address,
            "outcome": result.outcome,
            "reason": result.reason,
            "message": result.message,
        }
        if self._options.dry_run:
            changes = {"added": result.change.added, "removed": result.change.removed}
            row |= {name: [_entry_as_json(entry) for entry in entries] for name, entries in changes.items()}
        else:
            row |= {"added": len(result.change.added), "removed": len(result.change.removed)}
        self._rows.append(row | {"refused": dict(result.refused), "notes": list(result.notes)})

    def as_json(self) -> dict[str, Any]:
        """The run for ``--json``."""
        problem = self.summary.problem
        return {
            "summary": self.summary.figures(),
            "problem": str(problem) if problem is not None else None,
            "not_reached": self.summary.not_reached,
            "left_out": self._left_out,
            "not_named": self.not_named,
            "rooms": self._rooms,
            "mailboxes": self._rows,
        }


def _entry_as_json(entry: Entry) -> dict[str, str | None]:
    return {"list": entry.list.code, "entry": entry.pattern.text, "refused": entry.pattern.refusal}


def _print_change(result: "MailboxResult") -> None:
    for sign, entries in (("+", result.change.added), ("-", result.change.removed)):
        for entry in sorted(entries):
            print(f"{sign} {result.address}: {entry.list.title}: {shown(entry.pattern.text)}")
