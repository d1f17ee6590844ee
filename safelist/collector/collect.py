"""One run of the collector: ask, compare, believe, record, mailbox by mailbox, whatever the source.

The workers ask the source and read its texts; one thread, the caller's, reads and writes the store. A failure keeps
the last good list and never stops the rest.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from safelist import sender
from safelist.collector import plausibility
from safelist.collector.failure import HOPELESS, STALLED, Extent, FailureReason, FetchError
from safelist.collector.figures import LEFT_OUT, PARTIAL
from safelist.collector.plausibility import Doubt
from safelist.collector.source import Lists, Source, SourceTerms, Unchanged, name_mailboxes
from safelist.collector.workers import answers
from safelist.entry import TRUSTING_LISTS, Entry, UserList
from safelist.errors import PermissionDeniedError, SafelistError, TemporaryError, UnavailableError
from safelist.store import NO_RULE, Change, MailboxState, Outcome, RuleVersion, Store

CREDENTIAL_FAILURES = 3
"""This many rejected log-ins in a row end the run: going on would lock the account out."""
UNREACHABLE_FAILURES = 20
STALLED_FAILURES = 48
"""This many equal failures in a row of a server that is silent, busy or broken end the run."""

_NOTHING = Change(added=(), removed=())


@dataclass(frozen=True, slots=True)
class Options:
    """How a run differs from the plain one.

    ``read_anew``: what is known of a mailbox saves no reading; every rule is fetched, decoded and compared.
    ``is_partial``: not every mailbox of the source is asked; ``left_out`` parts of the source could not say which it
    has. Both are noted with the run's figures.
    """

    lists: frozenset[UserList]
    dry_run: bool = False
    accept_vanished: Collection[str] = ()
    accept_mass_change: bool = False
    workers: int = 16
    read_anew: bool = False
    until: float | None = None
    """When to stop asking, by the monotonic clock."""
    is_partial: bool = False
    left_out: int = 0

    def figures(self) -> dict[str, int]:
        """What the figures of the run say of its extent."""
        return {name: int(value) for name, value in ((PARTIAL, self.is_partial), (LEFT_OUT, self.left_out)) if value}


@dataclass(frozen=True, slots=True)
class MailboxResult:
    """What became of one mailbox. ``message`` is a sentence for people where something is to be done."""

    address: str
    outcome: Outcome
    reason: str | None = None
    message: str | None = None
    change: Change = _NOTHING
    refused: Counter[sender.Refusal] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Summary:
    """The figures of a run; ``problem`` says why it ended early or held something back.

    ``not_reached`` were not asked, or gave no answer, before the run's time was up; nothing was recorded of them.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    added: int = 0
    removed: int = 0
    problem: SafelistError | None = None
    not_reached: list[str] = field(default_factory=list)

    def count(self, result: MailboxResult) -> MailboxResult:
        """Take ``result`` into the figures."""
        self.outcomes[result.outcome] += 1
        self.added += len(result.change.added)
        self.removed += len(result.change.removed)
        return result

    def figures(self) -> dict[str, int]:
        """For the store and for JSON."""
        return {str(o): self.outcomes[o] for o in Outcome} | {"added": self.added, "removed": self.removed}


class _Task(NamedTuple):
    address: str
    state: MailboxState | None


class _Answer(NamedTuple):
    """What a worker brought: a failure, no rule, nothing new, or a version and, if its content is new, its entries."""

    task: _Task
    failure: FetchError | None = None
    version: RuleVersion | None = None
    is_same: bool = False
    entries: frozenset[Entry] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> RuleVersion:
        """What was recorded of the mailbox's rule."""
        return self.task.state.rule if self.task.state is not None else NO_RULE

    @property
    def doubt(self) -> Doubt | None:
        """What the run before left of a doubt."""
        state = self.task.state
        return Doubt(state.doubt, state.doubt_runs) if state is not None and state.doubt is not None else None


def collect(
    store: Store, source: Source, addresses: Iterable[str], options: Options, now: Callable[[], datetime],
    report: Callable[[MailboxResult], None], actor: str,
) -> Summary:  # fmt: skip
    """Ask every mailbox once and record what it holds. Results are passed to ``report`` as they come.

    Those that were not asked for longest come first, so that a run whose time is up leaves other ones than the last.
    The summary's ``problem`` is set, not raised, so that a caller can still publish what was recorded.
    """
    summary = Summary()
    run = 0 if options.dry_run else store.begin_run(now(), "sync", actor, source.name)
    recorder = _Recorder(store, run, source, options, now)
    others, waiting = _whose(store, source, addresses)
    for address, other in others:
        report(summary.count(_of_another_source(address, other)))

    def tasks() -> Iterator[_Task]:
        for address in list(waiting):
            state = store.mailbox(address)
            if state is not None and _is_anothers(state, source):  # whose run, beside this one, was first
                del waiting[address]
                report(summary.count(_of_another_source(address, state.source)))
            else:
                yield _Task(address, state)

    try:
        for answer in _answers(source, tasks(), options):
            waiting.pop(answer.task.address)
            result = recorder.settle(answer)
            if result is not None:
                report(summary.count(result))
        summary.not_reached = list(waiting)
        summary.problem = recorder.mass_change() or _time_is_up(summary.not_reached, source.terms)
        for result in recorder.settle_losses():
            report(summary.count(result))
    except _RunEndedError as ended:
        report(summary.count(ended.result))
        summary.problem = ended.problem
    if not options.dry_run:
        figures = summary.figures() | options.figures()
        store.end_run(run, now(), figures, str(summary.problem) if summary.problem else None)
    return summary


def _whose(
    store: Store, source: Source, addresses: Iterable[str]
) -> tuple[list[tuple[str, str]], dict[str, None]]:  # fmt: skip
    """The mailboxes that another source recorded first, with its name; and the others, the longest not asked first."""
    asked = dict.fromkeys(addresses, datetime.min.replace(tzinfo=UTC))
    others: list[tuple[str, str]] = []
    for state in store.mailboxes():
        if state.address not in asked:
            continue
        if _is_anothers(state, source):
            others.append((state.address, state.source))
            del asked[state.address]
        else:
            asked[state.address] = state.checked
    return others, dict.fromkeys(sorted(asked, key=asked.__getitem__))


def _is_anothers(state: MailboxState, source: Source) -> bool:
    """Whether another source recorded it; one that only ever failed is nobody's, and so is one that was forgotten."""
    is_recorded = state.answered is not None and state.outcome != Outcome.FORGOTTEN
    return is_recorded and state.source != source.name


def _of_another_source(address: str, other: str) -> MailboxResult:
    message = (
        f"it is recorded from the source {other}, and counts once: name it in one source only, or, where it moved, end "
        f"its entries first: safelist forget {address}; a source that only got another name needs its old one back"
    )
    return MailboxResult(address, Outcome.FAILED, FailureReason.OTHER_SOURCE, message)


def _time_is_up(not_reached: list[str], terms: SourceTerms) -> TemporaryError | None:
    if not not_reached:
        return None
    count, first = len(not_reached), not_reached[0]
    return TemporaryError(
        f"the run's time was up before {count} mailbox{'' if count == 1 else 'es'} ({first}{', ...' * (count > 1)}) "
        "answered; what the others answered was recorded, and the next run asks these first; "
        f"if it is so every time, raise {terms.budget}, or look why {terms.system} is slow"
    )


def entries_of(texts: Mapping[UserList, Sequence[str]], lists: Collection[UserList]) -> frozenset[Entry]:
    """The entries of those ``lists``, normalised; refused ones are kept with their reason."""
    parse = sender.parse
    return frozenset(Entry(list_, parse(text)) for list_ in lists for text in texts.get(list_, ()))


def _wanted(source: Source, options: Options) -> frozenset[UserList]:
    """The lists that the run is about: what the source does not hold was not asked."""
    return options.lists & source.lists


class _RunEndedError(Exception):
    """Every further mailbox would fail the same way."""

    def __init__(self, result: MailboxResult, problem: SafelistError) -> None:
        super().__init__(str(problem))
        self.result = result
        self.problem = problem


def _answers(source: Source, tasks: Iterator[_Task], options: Options) -> Iterator[_Answer]:
    """The first mailbox is asked alone: a wrong password must not be tried by sixteen workers at once."""

    def ask(task: _Task) -> _Answer:
        return _ask(source, task, options)

    in_a_row: Counter[FailureReason] = Counter()
    for answer in answers(ask, islice(tasks, 1), 1, options.until):
        _end_if_hopeless(answer, in_a_row, options, alone=True)
        yield answer
    if options.until is not None and time.monotonic() >= options.until:
        return
    for answer in answers(ask, tasks, options.workers, options.until):
        _end_if_hopeless(answer, in_a_row, options)
        yield answer


def _end_if_hopeless(
    answer: _Answer, in_a_row: Counter[FailureReason], options: Options, *, alone: bool = False
) -> None:
    failure = answer.failure
    if failure is None or failure.reason not in HOPELESS | STALLED or failure.extent is Extent.ONE:
        in_a_row.clear()
        return
    in_a_row[failure.reason] += 1
    if in_a_row[failure.reason] < (1 if alone and _is_of_all(failure) else _bearable(failure.reason, options)):
        return
    message = f"{failure.message}; the run ended there, and every mailbox keeps its last good list"
    if failure.reason in STALLED:
        message = f"{in_a_row[failure.reason]} mailboxes in a row: {message}"
    is_login = failure.reason is FailureReason.CREDENTIALS
    problem = PermissionDeniedError(message) if is_login else UnavailableError(message)
    # Said once: the problem holds the failure's own words.
    raise _RunEndedError(MailboxResult(answer.task.address, Outcome.FAILED, failure.reason), problem)


def _is_of_all(failure: FetchError) -> bool:
    """Whether one mailbox tells of all."""
    return failure.reason in HOPELESS and failure.extent is Extent.ALL


def _bearable(reason: FailureReason, options: Options) -> int:
    """How many such failures in a row end the run; more than all workers can meet in one moment of a stall."""
    if reason in STALLED:
        return max(STALLED_FAILURES, 2 * options.workers)
    return CREDENTIAL_FAILURES if reason is FailureReason.CREDENTIALS else UNREACHABLE_FAILURES


def _ask(source: Source, task: _Task, options: Options) -> _Answer:
    """A worker's part: everything that needs no store."""
    lists = _wanted(source, options)
    is_covered = task.state is not None and lists <= task.state.lists and not options.read_anew
    known = task.state.rule if task.state is not None and is_covered else None
    try:
        found = source.fetch(task.address, known)
        match found:
            case None:
                return _Answer(task)
            case Unchanged(version, notes):
                return _Answer(task, version=version, is_same=True, notes=notes)
            case Lists(version, texts, notes):
                return _Answer(task, version=version, entries=entries_of(texts, lists), notes=notes)
    except FetchError as error:
        return _Answer(task, failure=error)
    except OSError as error:  # a source of files meets them at one mailbox; it must not end the run of the others
        return _Answer(
            task, failure=FetchError(FailureReason.UNAVAILABLE, f"it cannot be read: {error}", "", Extent.ONE)
        )


class _Recorder:
    """Settles the answers, one at a time, against the store."""

    def __init__(self, store: Store, run: int, source: Source, options: Options, now: Callable[[], datetime]) -> None:
        self._store = store
        self._run = run
        self._source = source
        self._options = options
        self._now = now
        self._losses: list[_Answer] = []
        self._with_lists = 0
        self._is_held = False

    def settle(self, answer: _Answer) -> MailboxResult | None:
        """Record or note one answer; None when it must wait for the end of the run."""
        state = answer.task.state
        if answer.failure is not None:
            return self._fail(answer, answer.failure.reason, answer.failure.message)
        self._with_lists += bool(state is not None and state.entries)
        if answer.version is None and not answer.is_same:
            return self._settle_without_rule(answer)
        if (suspicion := self._suspect(answer)) is not None:
            return suspicion
        if answer.is_same:
            return self._note(answer, Outcome.UNCHANGED, answer.version)
        return self._record_unless_lost(answer)

    def mass_change(self) -> TemporaryError | None:
        """Hold every loss of this run back where they are too many: the error that says so, or None."""
        losing = len(self._losses)
        if self._options.accept_mass_change or not plausibility.is_mass_change(losing, self._with_lists):
            return None
        self._is_held = True
        return TemporaryError(
            f"{losing} of {self._with_lists} mailboxes with lists lost all their entries, or everybody they trusted, "
            "in this run; nothing of that was recorded. If it is true, run `safelist sync --accept-mass-change`; "
            f"else look at {self._source.terms.system} first."
        )

    def settle_losses(self) -> Iterator[MailboxResult]:
        """Record, or hold back, the lists that vanished or became empty."""
        for answer in self._losses:
            if self._is_held:
                yield self._hold(answer)
            elif answer.version is not None:
                yield self._record(answer)
            else:
                yield self._settle_vanished(answer)

    def _settle_without_rule(self, answer: _Answer) -> MailboxResult | None:
        state = answer.task.state
        if answer.known == NO_RULE and (state is None or not state.entries):
            return self._note(answer, Outcome.NO_RULE)
        self._losses.append(answer)
        return None

    def _settle_vanished(self, answer: _Answer) -> MailboxResult:
        address = answer.task.address
        seen = plausibility.doubt("vanished", answer.doubt)
        if seen.is_believed or address in self._options.accept_vanished:
            return self._record(answer)
        message = (
            f"its {self._source.terms.holder} has vanished "
            f"(seen {seen.runs} of {plausibility.RUNS_TO_BELIEVE} times in a row); "
            f"the last good list is kept; if it was really deleted: safelist sync --accept-vanished {address}"
        )
        return self._note(answer, Outcome.VANISHED, None, "vanished", message, seen)

    def _suspect(self, answer: _Answer) -> MailboxResult | None:
        """A failure when the rule seems to belong to another mailbox than the one asked."""
        found = answer.version.owner if answer.version is not None else None
        if found is None:
            return None
        holder = self._store.address_of_owner(found)
        if holder is not None and holder != answer.task.address:
            message = (
                f"the answer came from the mailbox that is recorded as {holder}; if both are addresses of one mailbox, "
                f"name only one of them (and if it was renamed: safelist forget {holder}); nothing was recorded"
            )
            return self._fail(answer, FailureReason.WRONG_MAILBOX, message)
        before = answer.known.owner
        if before is None or before == found or not name_mailboxes(before, found):
            return None
        seen = plausibility.doubt(f"owner {found}", answer.doubt)
        if seen.is_believed or answer.task.address in self._options.accept_vanished:
            return None
        message = (
            f"another mailbox answered than before (seen {seen.runs} of {plausibility.RUNS_TO_BELIEVE} times in a row)"
            "; the last good list is kept; this is expected once after the mailbox was created anew, and then "
            f"safelist sync --accept-vanished {answer.task.address} believes it at once"
        )
        return self._fail(answer, FailureReason.WRONG_MAILBOX, message, seen)

    def _record_unless_lost(self, answer: _Answer) -> MailboxResult | None:
        """Record the answer, or let it wait where its lists became empty: compared once, in the transaction."""

        def is_lost(change: Change) -> bool:
            return _is_loss(change, answer.entries)

        if self._options.dry_run:
            compared = self._compare(answer)
            change = None if is_lost(compared) else compared
        else:
            change = self._store.record_unless(is_lost, self._run, *self._recorded(answer))
        if change is None:
            self._losses.append(answer)
            return None
        return self._collected(answer, change)

    def _record(self, answer: _Answer) -> MailboxResult:
        if self._options.dry_run:
            return self._collected(answer, self._compare(answer))
        return self._collected(answer, self._store.record(self._run, *self._recorded(answer)))

    def _recorded(self, answer: _Answer) -> tuple[str, RuleVersion, frozenset[Entry], frozenset[UserList], datetime]:
        """What :meth:`Store.record` takes: of a mailbox without a rule, that it has nothing in any."""
        lists = _wanted(self._source, self._options) if answer.version is not None else self._source.lists
        return answer.task.address, answer.version or NO_RULE, answer.entries, lists, self._now()

    def _compare(self, answer: _Answer) -> Change:
        address, _, entries, lists, _ = self._recorded(answer)
        return self._store.compare(address, entries, lists)

    def _collected(self, answer: _Answer, change: Change) -> MailboxResult:
        refused = Counter(e.pattern.refusal for e in answer.entries if e.pattern.refusal is not None)
        return MailboxResult(
            answer.task.address, Outcome.COLLECTED, change=change, refused=refused, notes=answer.notes
        )  # fmt: skip

    def _hold(self, answer: _Answer) -> MailboxResult:
        message = "its lists were all gone; held back with those of many others"
        return self._note(answer, Outcome.HELD_BACK, None, "mass-change", message, answer.doubt)

    def _fail(self, answer: _Answer, reason: str, message: str, seen: Doubt | None = None) -> MailboxResult:
        """Note a failure, which also ends a row of equal surprises: three in a row means three."""
        return self._note(answer, Outcome.FAILED, None, reason, message, seen)

    def _note(
        self, answer: _Answer, outcome: Outcome, rule: RuleVersion | None = None, reason: str | None = None,
        message: str | None = None, doubt: Doubt | None = None,
    ) -> MailboxResult:  # fmt: skip
        address = answer.task.address
        if not self._options.dry_run:
            self._store.note(
                self._run, address, self._now(), outcome, reason, message,
                doubt.surprise if doubt else None, doubt.runs if doubt else 0, rule,
            )  # fmt: skip
        return MailboxResult(address, outcome, reason, message, notes=answer.notes)


def _is_loss(change: Change, entries: frozenset[Entry]) -> bool:
    """Whether a mailbox that had entries, or trusted someone, has or trusts none now; refused entries do not count."""

    def trusted(some: Iterable[Entry]) -> bool:
        return any(entry.list in TRUSTING_LISTS and entry.pattern.refusal is None for entry in some)

    has_any = any(entry.pattern.refusal is None for entry in entries)
    return bool(change.removed) and (not has_any or (trusted(change.removed) and not trusted(entries)))
