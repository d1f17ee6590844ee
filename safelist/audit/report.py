"""The auditor's report: what the aggregate holds and what the policy makes of it, as values and as one page.

One pass over the candidates is enough, and what it keeps does not grow with their number. The page refers to nothing
outside itself, and no text from a list, an override or a mailbox becomes markup or script in it.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import heappush, heappushpop
from typing import Generic, NamedTuple, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined

import safelist
from safelist import domains, policy
from safelist.audit import verp
from safelist.entry import TRUSTING_LISTS, UserList
from safelist.override import Authentication, Effect, Override, State, scope_sentence, subject_sentence
from safelist.policy import Candidate, Decision, Reason, Settings
from safelist.sender import Form, Pattern, covers, domain_of
from safelist.store import MailboxState, Outcome, Store, Totals, Verified

MOST_TRUSTED = 50
MOST_SAFE = 1000
MOST_VOTERS = 20
MOST_PROVIDERS = 20
MOST_EXAMPLES = 5
MOST_MAILBOXES = 1000
MOST_MADE_ANEW = 200
MOST_TRUST = 500_000
"""Entries of all mailboxes together: some 15 MB of page, which a browser still searches in a second."""
STALE_AFTER = timedelta(days=7)


_SOON = timedelta(days=14)
_VOTES_AT_ONCE = 10_000
_NAMED_IN_WORDS = 20
_FINE = frozenset({Outcome.COLLECTED, Outcome.UNCHANGED, Outcome.NO_RULE})
_TRUSTING = TRUSTING_LISTS | {UserList.TRUSTED_CONTACTS}

T = TypeVar("T")


class FirstRows(NamedTuple, Generic[T]):
    """The rows that are shown, and how many more there are."""

    rows: tuple[T, ...]
    more: int

    @property
    def all(self) -> int:
        """How many there are, shown or not."""
        return len(self.rows) + self.more


class Setting(NamedTuple):
    """One of the policy's settings, in words."""

    name: str
    words: str


class ProviderLine(NamedTuple):
    """The entries at one provider. ``share`` of all votes and ``bar``, beside the longest, are between 0 and 1.

    Only free-mail providers have a bar: it compares them with each other.
    """

    name: str
    entries: int
    votes: int
    safe: int
    share: float
    bar: float | None


class TrustedSender(NamedTuple):
    """An entry that many mailboxes trust, and what the policy decides about it for the whole organisation."""

    text: str
    votes: int
    safe: bool
    reason: str
    sentence: str


class SafeSender(NamedTuple):
    """A sender that is safe for the whole organisation.

    ``voters`` are the mailboxes whose trust counts; ``exceptions`` says for whom overrides block it all the same.
    """

    text: str
    votes: int
    voters: FirstRows[str]
    reason: str
    sentence: str
    authentication: str
    exceptions: tuple[str, ...]


class RefusedLine(NamedTuple):
    """Why entries are not safe for everybody: ``sentence`` is the decision about the first of the ``examples``."""

    reason: str
    entries: int
    examples: tuple[str, ...]
    sentence: str
    bar: float


class NotASender(NamedTuple):
    """Texts in the users' lists that cannot be senders, by the reason why."""

    reason: str
    sentence: str
    texts: int
    bar: float


class OverrideLine(NamedTuple):
    """An override. ``state`` is in force, expired or revoked; ``remark`` says until or since when."""

    id: int
    effect: str
    sender: str
    scope: str
    level: str
    authentication: str
    reason: str
    ticket: str | None
    actor: str
    made: datetime
    ends: datetime | None
    state: str
    remark: str
    is_soon: bool
    dangers: tuple[str, ...]


class TroubledMailbox(NamedTuple):
    """A mailbox that failed, or whose last believed answer is too old (``is_stale``)."""

    address: str
    outcome: str
    is_stale: bool
    reason: str | None
    problem: str | None
    entries: int
    checked: datetime
    answered: datetime | None


class MailboxTrust(NamedTuple):
    """Whom one mailbox trusts now: the texts of its open entries, sorted, whether they count or not."""

    mailbox: str
    texts: tuple[str, ...]


class MadeAnew(NamedTuple):
    """An entry that will not match twice, and what to do about it."""

    text: str
    votes: int
    advice: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Everything that the page shows. ``safe_by`` counts the senders that are safe for everybody, by reason."""

    made: datetime
    version: str
    stale_after: timedelta
    policy: tuple[Setting, ...]
    verified: Verified | None
    totals: Totals
    overrides_in_force: int
    safe_by: tuple[tuple[str, int], ...]
    providers: tuple[ProviderLine, ...]
    trusted: tuple[TrustedSender, ...]
    safe: FirstRows[SafeSender]
    refused: tuple[RefusedLine, ...]
    not_senders: tuple[NotASender, ...]
    overrides: tuple[OverrideLine, ...]
    mailboxes: FirstRows[TroubledMailbox]
    trust: FirstRows[MailboxTrust]
    made_anew: FirstRows[MadeAnew]


def build(
    store: Store,
    settings: Settings,
    now: datetime,
    stale_after: timedelta = STALE_AFTER,
    verified: Verified | None = None,
    demands: Sequence[Setting] = (),
    most_trust: int = MOST_TRUST,
) -> AuditReport:
    """The report as of ``now``, from the newest state of the aggregate.

    ``stale_after``: a mailbox without a believed answer for so long is shown. ``verified``: what
    :meth:`Store.verify_chain` found, which takes too long to be done here. ``demands``: what each target that is
    published asks of a mail, in the target's own words. ``most_trust``: entries that are shown
    of all mailboxes together.
    """
    overrides = store.overrides()
    found = _survey(store.candidates(settings, now, at_least=1), settings, now)
    return AuditReport(
        made=now,
        version=safelist.__version__,
        stale_after=stale_after,
        policy=(*_in_words(settings), *(demands or (_NO_TARGET,))),
        verified=verified,
        totals=store.totals(),
        overrides_in_force=sum(override.in_force(now) for override in overrides),
        safe_by=tuple((str(reason), count) for reason, count in found.safe_by.most_common()),
        providers=tuple(_providers(found.providers)),
        trusted=tuple(map(_sender, found.trusted.rows())),
        safe=_safe(store, found.safe, settings, now),
        refused=tuple(_refused(found.refused)),
        not_senders=tuple(_not_senders(store)),
        overrides=tuple(_overrides(overrides, settings, now)),
        mailboxes=_troubled(store.mailboxes(), now, stale_after),
        trust=_trust(store, most_trust),
        made_anew=_made_anew(found.made_anew, settings),
    )


# The policy's settings, in words.

_AUTHENTICATION = {
    Authentication.DKIM_OR_SPF: "The policy asks for DKIM or SPF; what each target demands stands below.",
    Authentication.SPF: "The policy asks for SPF; what each target demands stands below.",
    Authentication.NONE: "The policy asks for nothing: whoever forges a safe sender counts as that sender.",
}
_NO_TARGET = Setting("Published", "No target is configured: no mail filter reads any of this.")


def _in_words(settings: Settings) -> Iterator[Setting]:
    quorum = _counted(settings.quorum, "mailbox trusts", "different mailboxes trust")
    yield Setting("Quorum", f"A sender is safe for the whole organisation when at least {quorum} it.")
    yield Setting("Domains", _domains_in_words(settings))
    yield Setting("Trusted contacts", _contacts_in_words(settings))
    yield Setting("Age", _age_in_words(settings.max_age))
    yield Setting("Authentication", _AUTHENTICATION[settings.authentication])
    yield Setting("Own domains", _named(settings.own_domains, "No entry in or below one of these makes anybody safe"))
    yield Setting(
        "Free-mail domains", _named(settings.free_mail_domains, "The well-known ones and", "The well-known ones.")
    )
    yield Setting("Shared domains", _named(settings.shared_domains, "The well-known ones and", "The well-known ones."))
    yield Setting("Excluded mailboxes", _named(settings.excluded_mailboxes, "The entries of these do not count"))


def _domains_in_words(settings: Settings) -> str:
    if settings.include_domains:
        return "Entries for whole domains count too, except public suffixes, free-mail, shared and own domains."
    return "Entries for whole domains do not count, only addresses do."


def _contacts_in_words(settings: Settings) -> str:
    if settings.include_contacts:
        return "A mailbox’s trusted contacts count too, where its user trusts the contacts."
    return "Trusted contacts do not count."


def _age_in_words(max_age: timedelta | None) -> str:
    if max_age is None:
        return "Entries count however old they are."
    return f"Entries that were added more than {_counted(max_age.days, 'day')} ago do not count."


def _named(names: Iterable[str], meaning: str, nobody: str = "None are named.") -> str:
    ordered = sorted(names)
    if not ordered:
        return nobody
    more = len(ordered) - _NAMED_IN_WORDS
    return f"{meaning}: {', '.join(ordered[:_NAMED_IN_WORDS])}{f' and {more:,} more' if more > 0 else ''}."


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


# The one pass over the candidates.


class _Best(Generic[T]):
    """The items of the highest rank, at most ``size``; of equal ones those that came first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._heap: list[tuple[float, int, T]] = []

    def add(self, rank: float, item: T) -> None:
        self._seen += 1
        keep = heappush if len(self._heap) < self._size else heappushpop
        keep(self._heap, (rank, -self._seen, item))

    def rows(self) -> list[T]:
        return [item for _, _, item in sorted(self._heap, key=lambda kept: kept[:2], reverse=True)]

    @property
    def seen(self) -> int:
        return self._seen

    @property
    def more(self) -> int:
        return self._seen - len(self._heap)


class _Decided(NamedTuple):
    candidate: Candidate
    decision: Decision

    @property
    def pattern(self) -> Pattern:
        return self.candidate.sender

    @property
    def votes(self) -> int:
        return sum(tally.votes for tally in self.candidate.tallies)


@dataclass(slots=True)
class _Sums:
    entries: int = 0
    votes: int = 0
    safe: int = 0

    def add(self, entries: int, votes: int, safe: int) -> None:
        self.entries += entries
        self.votes += votes
        self.safe += safe


class _Survey:
    """What the pass finds. An entry is what somebody trusts; a sender that only an override is about is none."""

    def __init__(self) -> None:
        self.providers: dict[str, _Sums] = {}
        self.trusted: _Best[_Decided] = _Best(MOST_TRUSTED)
        self.safe: _Best[_Decided] = _Best(MOST_SAFE)
        self.safe_by: Counter[Reason] = Counter()
        self.refused: dict[Reason, _Best[_Decided]] = {}
        self.made_anew: _Best[_Decided] = _Best(MOST_MADE_ANEW)

    def add(self, found: _Decided) -> None:
        votes, decision = found.votes, found.decision
        if decision.safe:
            self.safe.add(votes, found)
            self.safe_by[decision.reason] += 1
        if not found.candidate.tallies:
            return
        self.trusted.add(votes, found)
        provider = domains.provider(domain_of(found.pattern))
        self.providers.setdefault(provider, _Sums()).add(1, votes, decision.safe)
        if not decision.safe:
            self.refused.setdefault(decision.reason, _Best(MOST_EXAMPLES)).add(votes, found)
        if verp.is_made_anew(found.pattern) and not _is_about_the_domain(decision):
            self.made_anew.add(votes, found)


def _is_about_the_domain(decision: Decision) -> bool:
    """Whether an override says it of the whole domain: what the advice about such entries comes to."""
    return isinstance(decision.fact, Override) and decision.fact.terms.pattern.form is not Form.ADDRESS


def _survey(candidates: Iterable[Candidate], settings: Settings, now: datetime) -> _Survey:
    found = _Survey()
    for candidate in candidates:
        found.add(_Decided(candidate, policy.decide(candidate, settings, now)))
    return found


# What it found, as rows.


def _providers(sums: dict[str, _Sums]) -> Iterator[ProviderLine]:
    """Those with the most votes first; what is not free mail comes last, the smallest providers before it as one."""
    rest = sums.get(domains.OTHER)
    named = sorted((name for name in sums if name != domains.OTHER), key=lambda n: (-sums[n].votes, n))
    lines = [(name, sums[name]) for name in named[:MOST_PROVIDERS]]
    if small := named[MOST_PROVIDERS:]:
        lines.append((f"{len(small):,} more free-mail providers", _Sums()))
        for name in small:
            lines[-1][1].add(sums[name].entries, sums[name].votes, sums[name].safe)
    longest = max((line.votes for _, line in lines), default=0)
    votes = sum(line.votes for line in sums.values())
    for name, line in lines:
        yield ProviderLine(
            name, line.entries, line.votes, line.safe, _part(line.votes, votes), _part(line.votes, longest)
        )
    if rest is not None:
        yield ProviderLine(domains.OTHER, rest.entries, rest.votes, rest.safe, _part(rest.votes, votes), None)


def _part(of: int, all_: int) -> float:
    return of / all_ if all_ else 0.0


def _sender(found: _Decided) -> TrustedSender:
    decision = found.decision
    return TrustedSender(
        subject_sentence(found.pattern), found.votes, decision.safe, str(decision.reason), decision.sentence
    )


def _safe(store: Store, best: _Best[_Decided], settings: Settings, now: datetime) -> FirstRows[SafeSender]:
    rows: list[SafeSender] = []
    for together in _together(best.rows()):
        voters = _voters(store, [found.pattern for found in together], settings, now)
        rows += (_safe_sender(found, sorted(voters[found.pattern]), now) for found in together)
    return FirstRows(tuple(rows), best.more)


def _together(rows: Sequence[_Decided]) -> Iterator[list[_Decided]]:
    """Rows that are asked about at once: so many that their voters fit well into memory."""
    portion: list[_Decided] = []
    votes = 0
    for found in rows:
        if portion and votes + found.votes > _VOTES_AT_ONCE:
            yield portion
            portion, votes = [], 0
        portion.append(found)
        votes += found.votes
    if portion:
        yield portion


def _voters(store: Store, patterns: Sequence[Pattern], settings: Settings, now: datetime) -> dict[Pattern, set[str]]:
    """The mailboxes whose trust in each of the patterns counts."""
    voters: dict[Pattern, set[str]] = {pattern: set() for pattern in patterns}
    for holding in store.who([pattern.text for pattern in patterns]):
        is_open = holding.until is None and holding.list in _TRUSTING
        if is_open and holding.pattern in voters and policy.uncounted(holding, settings, now) is None:
            voters[holding.pattern].add(holding.mailbox)
    return voters


def _safe_sender(found: _Decided, voters: list[str], now: datetime) -> SafeSender:
    decision = found.decision
    return SafeSender(
        subject_sentence(found.pattern),
        found.votes,
        FirstRows(tuple(voters[:MOST_VOTERS]), max(len(voters) - MOST_VOTERS, 0)),
        str(decision.reason),
        decision.sentence,
        str(decision.authentication),
        tuple(_exceptions(found.candidate, now)),
    )


def _exceptions(candidate: Candidate, now: datetime) -> Iterator[str]:
    for override in candidate.overrides:
        terms = override.terms
        is_narrower = terms.effect is Effect.BLOCK and terms.scope is not None
        if is_narrower and override.in_force(now) and covers(terms.pattern, candidate.sender):
            yield f"override {override.id} blocks it for {scope_sentence(terms.scope)}"


def _refused(found: dict[Reason, _Best[_Decided]]) -> Iterator[RefusedLine]:
    most = max((best.seen for best in found.values()), default=0)
    for reason, best in sorted(found.items(), key=lambda item: (-item[1].seen, item[0])):
        examples = best.rows()
        texts = tuple(subject_sentence(each.pattern) for each in examples)
        yield RefusedLine(str(reason), best.seen, texts, examples[0].decision.sentence, _part(best.seen, most))


def _not_senders(store: Store) -> Iterator[NotASender]:
    counts = store.refusals()
    most = max(counts.values(), default=0)
    for refusal, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        yield NotASender(str(refusal), refusal.sentence, count, _part(count, most))


def _made_anew(best: _Best[_Decided], settings: Settings) -> FirstRows[MadeAnew]:
    rows = ((found, verp.advice(found.pattern, settings) or "") for found in best.rows())
    texts = ((found, advice.removeprefix(f"{found.pattern.text} ")) for found, advice in rows)
    return FirstRows(tuple(MadeAnew(found.pattern.text, found.votes, advice) for found, advice in texts), best.more)


# Overrides and mailboxes.


def _place(override: Override, now: datetime) -> tuple[bool, bool, float, int]:
    """Sorts overrides: in force before the others, what ends soonest first; of those that ended, the last one."""
    ended, in_force = override.ended, override.in_force(now)
    at = 0.0 if ended is None else (ended - now).total_seconds()
    return not in_force, ended is None, at if in_force else -at, override.id


def _overrides(overrides: Iterable[Override], settings: Settings, now: datetime) -> Iterator[OverrideLine]:
    for override in sorted(overrides, key=lambda each: _place(each, now)):
        yield _override(override, settings, now)


def _override(override: Override, settings: Settings, now: datetime) -> OverrideLine:
    terms, in_force = override.terms, override.in_force(now)
    state, remark = _state(override, now)
    return OverrideLine(
        id=override.id,
        effect=str(terms.effect),
        sender=subject_sentence(terms.pattern),
        scope=scope_sentence(terms.scope),
        level=str(terms.level),
        authentication=str(terms.authentication),
        reason=terms.reason,
        ticket=terms.ticket,
        actor=override.actor,
        made=override.made,
        ends=override.ended,
        state=state,
        remark=remark,
        is_soon=in_force and override.ended is not None and override.ended - now <= _SOON,
        dangers=tuple(policy.dangers(terms, settings)) if in_force else (),
    )


def _state(override: Override, now: datetime) -> tuple[str, str]:
    state, ended = override.state(now), override.ended
    if state is State.REVOKED:
        remark = f"by {override.revoked_by}" + (f": {override.revoked_why}" if override.revoked_why else "")
    elif ended is None:
        remark = "never expires"
    else:
        remark = f"expires in {_span(ended - now)}" if state is State.IN_FORCE else f"{_span(now - ended)} ago"
    return state.replace("-", " "), remark


def _span(span: timedelta) -> str:
    if span < timedelta(hours=1):
        return "less than an hour"
    if span < timedelta(days=2):
        return _counted(span // timedelta(hours=1), "hour")
    return _counted(span.days, "day")


def _troubled(states: Iterable[MailboxState], now: datetime, stale_after: timedelta) -> FirstRows[TroubledMailbox]:
    """Those that have been silent for longest first; what an administrator ended comes last."""
    worst: _Best[TroubledMailbox] = _Best(MOST_MAILBOXES)
    for state in states:
        silent = float("inf") if state.answered is None else (now - state.answered).total_seconds()
        is_forgotten = state.outcome == Outcome.FORGOTTEN
        is_stale = stale_after.total_seconds() < silent < float("inf") and not is_forgotten
        if is_stale or state.outcome not in _FINE:
            worst.add(-1 if is_forgotten else silent, _mailbox(state, is_stale=is_stale))
    return FirstRows(tuple(worst.rows()), worst.more)


def _mailbox(state: MailboxState, *, is_stale: bool) -> TroubledMailbox:
    problem = state.problem
    if state.outcome == Outcome.FORGOTTEN and problem is None:
        problem = "an administrator ended its entries (safelist forget)"
    return TroubledMailbox(
        state.address, state.outcome, is_stale, state.reason, problem, state.entries, state.checked, state.answered
    )


def _trust(store: Store, room: int) -> FirstRows[MailboxTrust]:
    """Mailbox by mailbox as long as there is room; the others are counted."""
    rows: list[MailboxTrust] = []
    more = 0
    for state in store.mailboxes():
        if not state.entries:
            continue
        if state.entries > room:
            more += 1
            continue
        open_ = (held for held in store.listing(state.address) if held.until is None and held.list in _TRUSTING)
        if texts := tuple(sorted({held.pattern.text for held in open_})):
            rows.append(MailboxTrust(state.address, texts))
            room -= len(texts)
    return FirstRows(tuple(rows), more)


# The page.


def render(report: AuditReport) -> str:
    """The page: HTML that is complete in itself, in UTF-8 once it is encoded."""
    return _environment().get_template("report.html.j2").render(report=report)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("safelist.audit", ""),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"counted": _counted, "figure": "{:,}".format, "utc": _utc, "source": _source}
    return environment


def _shown(value: object) -> object:
    """Text from outside with its unseen characters (control, bidirectional, unpaired) written out; markup as it is."""
    if not isinstance(value, str) or value.isprintable() or hasattr(value, "__html__"):
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _source(text: str) -> str:
    """The expression of a Content-Security-Policy that allows this inline text, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
