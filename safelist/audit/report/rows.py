"""The rows of the report, from the aggregate and from what the pass over the candidates found."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import safelist
from safelist import domains, policy
from safelist.audit import verp
from safelist.audit.report.rejected import kept_rejections
from safelist.audit.report.survey import Best, Decided, Sums, survey
from safelist.audit.report.values import (
    AuditReport,
    FirstRows,
    MadeAnew,
    MailboxTrust,
    NotASender,
    OverrideLine,
    ProviderLine,
    RefusedLine,
    RejectedMails,
    SafeSender,
    Setting,
    TroubledMailbox,
    TrustedSender,
)
from safelist.audit.report.words import NO_TARGET, counted, in_words
from safelist.entry import TRUSTING_LISTS, UserList
from safelist.override import Effect, Override, State, scope_sentence, subject_sentence
from safelist.policy import Candidate, Reason, Settings
from safelist.sender import Pattern, covers
from safelist.store import MailboxState, Outcome, Store, Verified

MOST_VOTERS = 20
MOST_PROVIDERS = 20
MOST_MAILBOXES = 1000
MOST_TRUST = 500_000
"""Entries of all mailboxes together: some 15 MB of page, which a browser still searches in a second."""
STALE_AFTER = timedelta(days=7)
_SOON = timedelta(days=14)
_VOTES_AT_ONCE = 10_000
_FINE = frozenset({Outcome.COLLECTED, Outcome.UNCHANGED, Outcome.NO_RULE})
_TRUSTING = TRUSTING_LISTS | {UserList.TRUSTED_CONTACTS}


def build(
    store: Store,
    settings: Settings,
    now: datetime,
    stale_after: timedelta = STALE_AFTER,
    verified: Verified | None = None,
    demands: Sequence[Setting] = (),
    most_trust: int = MOST_TRUST,
    rejected: RejectedMails | None = None,
) -> AuditReport:
    """The report as of ``now``, from the newest state of the aggregate.

    ``stale_after``: a mailbox without a believed answer for so long is shown. ``verified``: what
    :meth:`Store.verify_chain` found, which takes too long to be done here. ``demands``: what each target that is
    published asks of a mail, in the target's own words. ``most_trust``: entries that are shown
    of all mailboxes together. ``rejected``: what logs tell that were read for this report.
    """
    overrides = store.overrides()
    found = survey(store.candidates(settings, now, at_least=1), settings, now)
    return AuditReport(
        made=now,
        version=safelist.__version__,
        stale_after=stale_after,
        policy=(*in_words(settings), *(demands or (NO_TARGET,))),
        verified=verified,
        totals=store.totals(),
        overrides_in_force=sum(override.in_force(now) for override in overrides),
        safe_by=tuple((str(reason), count) for reason, count in found.safe_by.most_common()),
        providers=tuple(_providers(found.providers)),
        trusted=tuple(map(_sender, found.trusted.rows())),
        safe=_safe(store, found.safe, settings, now),
        refused=tuple(_refused(found.refused)),
        not_senders=tuple(_not_senders(store)),
        overrides=tuple(override_lines(overrides, settings, now)),
        mailboxes=_troubled(store.mailboxes(), now, stale_after),
        trust=_trust(store, most_trust),
        made_anew=_made_anew(found.made_anew, settings),
        rejected=rejected,
        kept=kept_rejections(store.rejection_counts()),
    )


def _providers(sums: dict[str, Sums]) -> Iterator[ProviderLine]:
    """Those with the most votes first; what is not free mail comes last, the smallest providers before it as one."""
    rest = sums.get(domains.OTHER)
    named = sorted((name for name in sums if name != domains.OTHER), key=lambda n: (-sums[n].votes, n))
    lines = [(name, sums[name]) for name in named[:MOST_PROVIDERS]]
    if small := named[MOST_PROVIDERS:]:
        lines.append((f"{len(small):,} more free-mail providers", Sums()))
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


def _sender(found: Decided) -> TrustedSender:
    decision = found.decision
    return TrustedSender(
        subject_sentence(found.pattern), found.votes, decision.safe, str(decision.reason), decision.sentence
    )


def _safe(store: Store, best: Best[Decided], settings: Settings, now: datetime) -> FirstRows[SafeSender]:
    rows: list[SafeSender] = []
    for together in _together(best.rows()):
        voters = _voters(store, [found.pattern for found in together], settings, now)
        rows += (_safe_sender(found, sorted(voters[found.pattern]), now) for found in together)
    return FirstRows(tuple(rows), best.more)


def _together(rows: Sequence[Decided]) -> Iterator[list[Decided]]:
    """Rows that are asked about at once: so many that their voters fit well into memory."""
    portion: list[Decided] = []
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


def _safe_sender(found: Decided, voters: list[str], now: datetime) -> SafeSender:
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


def _refused(found: dict[Reason, Best[Decided]]) -> Iterator[RefusedLine]:
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


def _made_anew(best: Best[Decided], settings: Settings) -> FirstRows[MadeAnew]:
    rows = ((found, verp.advice(found.pattern, settings) or "") for found in best.rows())
    texts = ((found, advice.removeprefix(f"{found.pattern.text} ")) for found, advice in rows)
    return FirstRows(tuple(MadeAnew(found.pattern.text, found.votes, advice) for found, advice in texts), best.more)


# Overrides and mailboxes.


def _place(override: Override, now: datetime) -> tuple[bool, bool, float, int]:
    """Sorts overrides: in force before the others, what ends soonest first; of those that ended, the last one."""
    ended, in_force = override.ended, override.in_force(now)
    at = 0.0 if ended is None else (ended - now).total_seconds()
    return not in_force, ended is None, at if in_force else -at, override.id


def override_lines(overrides: Iterable[Override], settings: Settings, now: datetime) -> Iterator[OverrideLine]:
    """Every override in words: those in force first, what ends soonest before the rest."""
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
        return counted(span // timedelta(hours=1), "hour")
    return counted(span.days, "day")


def _troubled(states: Iterable[MailboxState], now: datetime, stale_after: timedelta) -> FirstRows[TroubledMailbox]:
    """Those that have been silent for longest first; what an administrator ended comes last."""
    worst: Best[TroubledMailbox] = Best(MOST_MAILBOXES)
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
