"""Who trusts a sender, what a mailbox holds, why a sender is safe or not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from safelist import policy, sender
from safelist.audit import verp
from safelist.entry import Holding, UserList
from safelist.override import Override
from safelist.policy import Candidate, Decision, Reason, Settings
from safelist.publisher.left_out import left_out
from safelist.sender import Form, Pattern, covering, covers
from safelist.store import ALL, AnswerPage, MailboxState, Moment, Position, Store, Verified

MANY_ENTRIES = 1024
"""What Microsoft's documents say of a safelist collection; Exchange Online's limit of safe senders."""
MAX_RULE = 522_240
"""Bytes of a rule's condition that Exchange takes by default (510 KB); beyond, the server's part is switched off."""
_DOMAIN_FORMS = (Form.DOMAIN, Form.SUBDOMAINS)


@dataclass(frozen=True, slots=True)
class SenderAnswer:
    """Every entry that names the sender or a domain it is in, what the policy says of each, and what to do.

    ``overrides`` are about the sender, in force or not, for whomever. Where only a page of the entries was asked for,
    all else is about all of them; ``positions`` has that of each entry.
    """

    sender: Pattern
    holdings: tuple[Holding, ...]
    decisions: tuple[tuple[Pattern, Decision], ...]
    overrides: tuple[Override, ...]
    advice: tuple[str, ...]
    positions: tuple[Position, ...] = ()


@dataclass(frozen=True, slots=True)
class MailboxAnswer:
    """One mailbox: its entries, each with the reason why it makes nobody safe, and what Outlook never warns of."""

    state: MailboxState
    holdings: tuple[tuple[Holding, Reason | None], ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision about a sender, the further rows of the table that hold, and the facts.

    ``ended`` are overrides about the sender that are not in force at that moment. ``left_out`` names the targets that
    leave a safe sender out all the same, each with its reason.
    """

    sender: Pattern
    recipient: str | None
    at: datetime
    decision: Decision
    others: tuple[Decision, ...]
    candidate: Candidate
    holdings: tuple[Holding, ...]
    ended: tuple[Override, ...]
    advice: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def who(
    store: Store, text: str, settings: Settings, now: datetime, at: Moment | None = None, page: AnswerPage = ALL
) -> SenderAnswer:  # fmt: skip
    """Which mailboxes trust or block the sender ``text``, directly or by an entry for its domain; or a page of them.

    Without ``at`` ended entries are shown as well; what the policy says is as of ``at`` or ``now``.
    """
    asked = sender.typed(text)
    moment = at or store.newest(now)
    # What an earlier version refused, such as a..b@x.example, is in the database as it stood.
    texts = tuple({*covering(asked), text.strip()})
    found = store.who_page(texts, at, page)
    patterns = dict.fromkeys((asked, *store.held(texts, at)))
    questions = {each: _question(store, each, settings, at, moment) for each in patterns}
    decisions = tuple((each, policy.decide(one, settings, moment.at)) for each, one in questions.items())
    overrides = questions[asked].overrides
    holdings, positions = zip(*found, strict=True) if found else ((), ())
    return SenderAnswer(asked, holdings, decisions, overrides, _advice(patterns, settings), positions)


def _question(store: Store, asked: Pattern, settings: Settings, at: Moment | None, moment: Moment) -> Candidate:
    """What is so now, publishing takes from counts, however many mailboxes trust the sender."""
    if at is None and not settings.looks_at_each_vote:
        return store.asked([asked], None, settings, moment.at)[0]
    return store.candidate(asked, None, settings, moment)[0]


def why(
    store: Store, text: str, recipient: str | None, settings: Settings, moment: Moment,
    publish: Mapping[str, Any] = MappingProxyType({}),
) -> Explanation:  # fmt: skip
    """The decision about mail from ``text`` (a domain: from anybody there) to ``recipient`` (None: to everybody).

    ``publish`` has the settings of the targets, by name, that are asked what they leave out; a target is asked about
    the whole organisation, and as of now. Raises what rendering for them raises.
    """
    asked = sender.asked_about(text)
    candidate, holdings = store.candidate(asked, recipient, settings, moment)
    return _explained(store, candidate, holdings, settings, moment, publish)


def judged(
    store: Store, text: str, recipient: str | None, settings: Settings, now: datetime,
    publish: Mapping[str, Any] = MappingProxyType({}),
) -> Explanation:  # fmt: skip
    """As :func:`why` as of now, by the maintained counts: its ``holdings`` are the recipient's alone.

    So it takes no longer for a sender whom everybody trusts than for any other.
    """
    (candidate,) = store.asked([sender.asked_about(text)], recipient, settings, now)
    return _explained(store, candidate, candidate.entries, settings, store.newest(now), publish)


def _explained(
    store: Store, candidate: Candidate, holdings: Sequence[Holding], settings: Settings, moment: Moment,
    publish: Mapping[str, Any],
) -> Explanation:  # fmt: skip
    asked, recipient = candidate.sender, candidate.recipient
    decision, *others = policy.decisions(candidate, settings, moment.at)
    ended = (override for override in candidate.overrides if not override.in_force(moment.at))
    patterns = dict.fromkeys((asked, *(holding.pattern for holding in holdings)))
    not_in = _left_out(store, asked, decision, settings, publish, moment) if publish and recipient is None else ()
    return Explanation(
        asked, recipient, moment.at, decision, tuple(others), candidate, tuple(holdings), tuple(ended),
        _advice(patterns, settings), tuple(not_in),
    )  # fmt: skip


def _left_out(
    store: Store, asked: Pattern, decision: Decision, settings: Settings, publish: Mapping[str, Any], moment: Moment
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """The targets that leave a safe sender out all the same, each with its reason."""
    if not decision.safe:
        return
    fact = decision.fact
    entry = fact.terms.pattern if isinstance(fact, Override) else getattr(fact, "pattern", asked)
    overrides = (o for o in store.overrides() if o.in_force(moment.at))
    # An override below a domain may take all of it out of a map.
    below = (o.terms.pattern for o in overrides if covers(entry, o.terms.pattern))
    questions = store.asked(list(dict.fromkeys((asked, entry, *below))), None, settings, moment.at)
    for name, refused in left_out(questions, settings, publish, moment.at):
        if _is_about(refused.pattern, entry, asked):
            yield name, refused.why


def _is_about(left_out: Pattern, entry: Pattern, sender: Pattern) -> bool:
    """Whether what a target leaves out is what makes the sender safe, or the part of it that the sender is in."""
    is_part = Form.ADDRESS not in (left_out.form, entry.form) and covers(left_out, sender)
    return is_part or left_out in (entry, sender)


def mailbox(
    store: Store, text: str, settings: Settings, now: datetime, at: Moment | None = None
) -> MailboxAnswer | None:  # fmt: skip
    """The lists of the mailbox ``text``, with ended entries unless ``at`` says as of when; None: never asked."""
    address = sender.typed(text).text
    state = store.mailbox(address)
    if state is None:
        return None
    holdings = store.listing(address, at)
    refused = tuple((h, policy.refused(h, settings, at.at if at else now)) for h in holdings)
    open_ = [h for h in holdings if at is not None or h.until is None]
    return MailboxAnswer(state, refused, tuple(_warnings(state, open_, settings)))


def verify(store: Store, contains: bytes | None = None) -> Verified:
    """Whether the record is what was recorded: the chain of digests, and where that holds the counts of voters.

    ``contains`` is a digest that must be in the chain.
    """
    found = store.verify_chain(contains)
    miscounts = [] if found.problem else store.recount()
    if not miscounts:
        return found
    first = miscounts[0]
    counts = f"{len(miscounts)} counts of voters, first of {first.text}: {first.maintained}, not {first.counted}"
    return found._replace(problem=counts)


def _warnings(state: MailboxState, holdings: Sequence[Holding], settings: Settings) -> Iterator[str]:
    """What nobody tells the user of a Junk E-mail Rule, and what is to be said of an entry."""
    if state.rule.rule_id is not None:
        yield from _warnings_of_rule(state, holdings)
    yield from _advice(dict.fromkeys(h.pattern for h in holdings), settings)


def _warnings_of_rule(state: MailboxState, holdings: Sequence[Holding]) -> Iterator[str]:
    """Limits, a rule that is off, domains that Exchange passes over: lists of another source have none of these."""
    if state.rule.state is not None and not state.rule.state & 1:
        yield "the Junk E-mail Rule is switched off: Outlook and Exchange do not use these lists"
    senders = sum(h.list not in (UserList.SAFE_RECIPIENTS, UserList.SAFE_RECIPIENT_DOMAINS) for h in holdings)
    if senders > MANY_ENTRIES:
        yield f"{senders} entries about senders: Exchange may use only {MANY_ENTRIES} of them, safelist uses them all"
    if state.rule.size is not None and state.rule.size >= MAX_RULE * 9 // 10:
        yield (
            f"the rule has {state.rule.size} of {MAX_RULE} bytes: beyond that, Outlook cannot add to it and Exchange's "
            "junk filter stops for this mailbox"
        )
    domains = sum(h.list is UserList.SAFE_SENDER_DOMAINS and h.pattern.form in _DOMAIN_FORMS for h in holdings)
    if domains:
        yield f"{domains} trusted domain{'' if domains == 1 else 's'}: Update-Safelist ignores domains by default"


def _advice(patterns: dict[Pattern, None], settings: Settings) -> tuple[str, ...]:
    return tuple(text for pattern in patterns if (text := verp.advice(pattern, settings)) is not None)
