"""Whether a sender is safe, for whom, and why: one ordered table of small tests; the first row that holds decides.

A sender is asked about for one recipient, or for the whole organisation. The order: what cannot be a sender, an
enforced override, the recipient's own lists in Outlook's precedence (the tree of MS-OXCSPAM 3.1.4.1: trusted address,
blocked address, trusted domain, blocked domain), a default override, the quorum; then the reasons why not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from safelist import domains
from safelist.entry import BLOCKING_LISTS, TRUSTING_LISTS, Holding, UserList
from safelist.override import Authentication, Effect, Level, Override, Terms, sentence, strongest
from safelist.sender import Form, Pattern, covers, domain_of, with_subdomains


@dataclass(frozen=True, slots=True)
class Settings:
    """What the administrator chose. ``own_domains`` are the organisation's; their sub-domains are meant too."""

    quorum: int = 2
    include_domains: bool = False
    include_contacts: bool = False
    max_age: timedelta | None = None
    authentication: Authentication = Authentication.DKIM_OR_SPF
    own_domains: frozenset[str] = frozenset()
    free_mail_domains: frozenset[str] = frozenset()
    excluded_mailboxes: frozenset[str] = frozenset()
    shared_domains: frozenset[str] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """For the record: what can be written as JSON, in the same order every time."""
        return {
            "quorum": self.quorum,
            "include_domains": self.include_domains,
            "include_contacts": self.include_contacts,
            "max_age_days": None if self.max_age is None else self.max_age.days,
            "authentication": str(self.authentication),
            "own_domains": sorted(self.own_domains),
            "free_mail_domains": sorted(self.free_mail_domains),
            "shared_domains": sorted(self.shared_domains),
            "exclude_mailboxes": sorted(self.excluded_mailboxes),
        }

    @property
    def looks_at_each_vote(self) -> bool:
        """Whether the number of mailboxes that trust an entry does not tell how many of them count."""
        return self.max_age is not None or bool(self.excluded_mailboxes)


class Reason(StrEnum):
    """Stable codes; the documents have a row for each."""

    NOT_A_SENDER = "not-a-sender"
    ENFORCED_BLOCK = "enforced-block"
    ENFORCED_ALLOW = "enforced-allow"
    TRUSTED_ADDRESS = "trusted-address"
    BLOCKED_ADDRESS = "blocked-address"
    TRUSTED_DOMAIN = "trusted-domain"
    BLOCKED_DOMAIN = "blocked-domain"
    DEFAULT_BLOCK = "default-block"
    DEFAULT_ALLOW = "default-allow"
    QUORUM = "quorum"
    OWN_DOMAIN = "own-domain"
    BELOW_QUORUM = "below-quorum"
    PUBLIC_SUFFIX = "public-suffix"
    FREE_MAIL_DOMAIN = "free-mail-domain"
    SHARED_DOMAIN = "shared-domain"
    DOMAIN_NOT_INCLUDED = "domain-not-included"
    MAILBOX_EXCLUDED = "mailbox-excluded"
    CONTACT_NOT_INCLUDED = "contact-not-included"
    TOO_OLD = "too-old"
    NOBODY = "nobody"


_NONE: Mapping[Reason, int] = MappingProxyType({})


class Tally(NamedTuple):
    """How many distinct mailboxes trust an entry, and how many do in a way that does not count, by reason."""

    pattern: Pattern
    votes: int
    uncounted: Mapping[Reason, int] = _NONE


class Candidate(NamedTuple):
    """A question and everything that is known about it.

    ``sender`` is an address, or a domain pattern where it stands for every sender at that domain. Without a
    ``recipient`` (an address, lower case) the whole organisation is meant. ``tallies`` are those of the entries that
    cover the sender, ``entries`` the recipient's own, open ones; overrides that are about something else, or are not in
    force, change nothing.
    """

    sender: Pattern
    tallies: tuple[Tally, ...] = ()
    overrides: tuple[Override, ...] = ()
    recipient: str | None = None
    entries: tuple[Holding, ...] = ()


Fact = Pattern | Override | Holding | Tally | None
"""What makes a row hold."""


class Decision(NamedTuple):
    """Whether the sender is safe, the row that decided, and the ``fact`` that made it hold.

    ``authentication`` is what a mail must prove before it counts; ``sentence`` is for people.
    """

    safe: bool
    reason: Reason
    sentence: str
    authentication: Authentication
    fact: Fact

    def as_json(self) -> dict[str, Any]:
        """What JSON can hold of it; ``authentication`` only where it is safe."""
        return {
            "safe": self.safe,
            "reason": str(self.reason),
            "authentication": str(self.authentication) if self.safe else None,
            "why": self.sentence,
        }


class _Case(NamedTuple):
    candidate: Candidate
    settings: Settings
    now: datetime


class Row(NamedTuple):
    """One row of the table: the first of its ``facts`` makes it hold; ``sentence`` says it in words."""

    safe: bool
    reason: Reason
    facts: Callable[[_Case], Iterator[Fact]]
    sentence: Callable[[_Case, Any], str]


_ABSENT = object()


def decide(candidate: Candidate, settings: Settings, now: datetime) -> Decision:
    """The decision of the first row of ``TABLE`` that holds."""
    return next(decisions(candidate, settings, now))


def decisions(candidate: Candidate, settings: Settings, now: datetime) -> Iterator[Decision]:
    """What every row that holds says, in the table's order: the first decides."""
    case = _Case(candidate, settings, now)
    for row, fact in _holding(case):
        words = row.sentence(case, fact) + _behind_tag(candidate.sender, fact)
        yield Decision(row.safe, row.reason, words, _authentication(fact, settings), fact)


class Judgement(NamedTuple):
    """A decision without its words."""

    safe: bool
    reason: Reason
    authentication: Authentication


def judge(candidate: Candidate, settings: Settings, now: datetime) -> Judgement:
    """The same as :func:`decide`, for those who need no words."""
    row, fact = next(_holding(_Case(candidate, settings, now)))
    return Judgement(row.safe, row.reason, _authentication(fact, settings))


def _authentication(fact: Fact, settings: Settings) -> Authentication:
    return fact.terms.authentication if isinstance(fact, Override) else settings.authentication


def _holding(case: _Case) -> Iterator[tuple[Row, Fact]]:
    for row in TABLE:
        fact = next(row.facts(case), _ABSENT)
        if fact is not _ABSENT:
            yield row, fact  # type: ignore[misc] # mypy does not narrow by identity


def refusal(pattern: Pattern, settings: Settings) -> Reason | None:
    """Why an entry of a user's list makes nobody safe, whoever trusts it; None where it may."""
    if pattern.form is Form.ADDRESS:
        return Reason.OWN_DOMAIN if settings.own_domains and is_own(pattern, settings) else None
    return _domain_refusal(pattern, settings)


def _domain_refusal(pattern: Pattern, settings: Settings) -> Reason | None:
    if pattern.form is Form.REFUSED:
        return Reason.NOT_A_SENDER
    if is_own(pattern, settings):
        return Reason.OWN_DOMAIN
    if is_public_suffix(pattern):
        return Reason.PUBLIC_SUFFIX
    if is_free_mail(pattern, settings):
        return Reason.FREE_MAIL_DOMAIN
    if is_shared(pattern, settings):
        return Reason.SHARED_DOMAIN
    return None if settings.include_domains else Reason.DOMAIN_NOT_INCLUDED


def is_own(pattern: Pattern, settings: Settings) -> bool:
    """Whether some sender of ``pattern`` is in a domain of the organisation or below one."""
    domain = domain_of(pattern)
    if pattern.form is Form.SUBDOMAINS and any(f".{own}".endswith(pattern.text) for own in settings.own_domains):
        return True
    while domain:
        if domain in settings.own_domains:
            return True
        domain = domain.partition(".")[2]
    return False


def is_public_suffix(pattern: Pattern) -> bool:
    """Whether a domain pattern is a public suffix or, with its sub-domains, holds one."""
    domain = domain_of(pattern)
    is_wide = pattern.form is Form.SUBDOMAINS
    return domains.is_public_suffix(domain) or (is_wide and domains.has_public_suffix_below(domain))


def is_free_mail(pattern: Pattern, settings: Settings) -> bool:
    """Whether anybody gets an address at a domain of ``pattern``; the settings may name more than the library does."""
    domain, is_wide = domain_of(pattern), pattern.form is Form.SUBDOMAINS
    is_known = domains.is_free_mail(domain) or (is_wide and domains.has_free_mail_below(domain))
    return is_known or _is_named(pattern, settings.free_mail_domains)


def is_shared(pattern: Pattern, settings: Settings) -> bool:
    """Whether a service sends for many from a domain of ``pattern``; the settings may name more than are known."""
    domain, is_wide = domain_of(pattern), pattern.form is Form.SUBDOMAINS
    is_known = domains.is_shared(domain) or (is_wide and domains.has_shared_below(domain))
    return is_known or _is_named(pattern, settings.shared_domains)


def _is_named(pattern: Pattern, named: Iterable[str]) -> bool:
    """Whether ``pattern`` means one of these domains, something below one or, with its sub-domains, holds one."""
    domain, is_wide = domain_of(pattern), pattern.form is Form.SUBDOMAINS
    return any(f".{domain}".endswith(f".{one}") or (is_wide and f".{one}".endswith(pattern.text)) for one in named)


def may_be_widened(pattern: Pattern, settings: Settings) -> bool:
    """Whether a safe domain may be published with its sub-domains, to a filter that knows no domain without them."""
    refused = _domain_refusal(with_subdomains(pattern), settings)
    return refused in (None, Reason.DOMAIN_NOT_INCLUDED)


def tally(pattern: Pattern, holdings: Iterable[Holding], settings: Settings, now: datetime) -> Tally:
    """Count the mailboxes among ``holdings`` (open ones, of any pattern and list) that trust ``pattern``."""
    votes: dict[str, Reason | None] = {}
    for holding in holdings:
        if holding.pattern != pattern or not _trusts(holding):
            continue
        if votes.get(holding.mailbox, Reason.NOBODY) is not None:
            votes[holding.mailbox] = uncounted(holding, settings, now)
    reasons = [reason for reason in votes.values() if reason is not None]
    return Tally(pattern, len(votes) - len(reasons), {reason: reasons.count(reason) for reason in sorted({*reasons})})


def uncounted(holding: Holding, settings: Settings, now: datetime) -> Reason | None:
    """Why a mailbox's trust does not count, whatever it trusts; None where it does."""
    if holding.mailbox in settings.excluded_mailboxes:
        return Reason.MAILBOX_EXCLUDED
    if holding.list is UserList.TRUSTED_CONTACTS and not settings.include_contacts:
        return Reason.CONTACT_NOT_INCLUDED
    if settings.max_age is not None and holding.since < now - settings.max_age:
        return Reason.TOO_OLD
    return None


def refused(holding: Holding, settings: Settings, now: datetime) -> Reason | None:
    """Why an entry by which a mailbox trusts a sender makes nobody safe; None where it may, and for other entries."""
    if not _trusts(holding):
        return None
    return refusal(holding.pattern, settings) or uncounted(holding, settings, now)


def dangers(terms: Terms, settings: Settings) -> Iterator[str]:
    """Why an administrator should think twice about an override."""
    if terms.effect is Effect.BLOCK:
        return
    domain, is_domain = domain_of(terms.pattern), terms.pattern.form is not Form.ADDRESS
    where = f"{domain}, or something below it," if terms.pattern.form is Form.SUBDOMAINS else domain
    if terms.authentication is Authentication.NONE:
        yield "without authentication everybody who forges the sender gets past the DNS blocklists"
    if is_own(terms.pattern, settings):
        yield f"{terms.pattern.text} is of your own organisation: mail that pretends to be from colleagues gets past"
    if is_domain and is_public_suffix(terms.pattern):
        yield f"{where} is a public suffix: names below one belong to different owners"
    elif is_domain and is_free_mail(terms.pattern, settings):
        yield f"anybody gets an address at {where}; allow single addresses instead"
    elif is_domain and is_shared(terms.pattern, settings):
        yield f"a service sends for many organisations from {where}; allow single addresses instead"


def _trusts(holding: Holding) -> bool:
    return holding.list in TRUSTING_LISTS or holding.list is UserList.TRUSTED_CONTACTS


def _refused_holding(case: _Case, holding: Holding) -> Reason | None:
    """Why an entry by which the recipient trusts the sender does not count."""
    candidate, settings, now = case
    if is_own(candidate.sender, settings):
        return Reason.OWN_DOMAIN
    return refused(holding, settings, now)


def _refused_tally(case: _Case, tally: Tally) -> Reason | None:
    candidate, settings, _ = case
    if candidate.sender is not tally.pattern and is_own(candidate.sender, settings):
        return Reason.OWN_DOMAIN
    return refusal(tally.pattern, settings)


# The rows' facts.


def _not_a_sender(case: _Case) -> Iterator[Pattern]:
    if case.candidate.sender.form is Form.REFUSED:
        yield case.candidate.sender


def _override(level: Level, effect: Effect) -> Callable[[_Case], Iterator[Override]]:
    def facts(case: _Case) -> Iterator[Override]:
        candidate, _, now = case
        if not candidate.overrides:
            return
        about = (o for o in candidate.overrides if o.in_force(now) and o.says(candidate.sender, candidate.recipient))
        found = strongest(about, level)
        if found is not None and found.terms.effect is effect:
            yield found

    return facts


def _own_entries(case: _Case, *, is_address: bool) -> Iterator[Holding]:
    candidate = case.candidate
    for holding in candidate.entries:
        if (holding.pattern.form is Form.ADDRESS) is is_address and covers(holding.pattern, candidate.sender):
            yield holding


def _trusted(*, is_address: bool) -> Callable[[_Case], Iterator[Holding]]:
    def facts(case: _Case) -> Iterator[Holding]:
        for holding in _own_entries(case, is_address=is_address):
            if _trusts(holding) and _refused_holding(case, holding) is None:
                yield holding

    return facts


def _blocked(*, is_address: bool) -> Callable[[_Case], Iterator[Holding]]:
    def facts(case: _Case) -> Iterator[Holding]:
        return (h for h in _own_entries(case, is_address=is_address) if h.list in BLOCKING_LISTS)

    return facts


def _quorum(case: _Case) -> Iterator[Tally]:
    for tally in case.candidate.tallies:
        if tally.votes >= case.settings.quorum and _refused_tally(case, tally) is None:
            yield tally


def _refused(reason: Reason) -> Callable[[_Case], Iterator[Fact]]:
    def facts(case: _Case) -> Iterator[Fact]:
        for address in (True, False):
            for holding in _own_entries(case, is_address=address):
                if _trusts(holding) and _refused_holding(case, holding) is reason:
                    yield holding
        for tally in case.candidate.tallies:
            refused = _refused_tally(case, tally)
            if refused is reason or (refused is None and reason in tally.uncounted):
                yield tally

    return facts


def _below_quorum(case: _Case) -> Iterator[Tally]:
    for tally in case.candidate.tallies:
        if 0 < tally.votes < case.settings.quorum and _refused_tally(case, tally) is None:
            yield tally


def _nobody(case: _Case) -> Iterator[None]:
    yield None


# The rows' sentences.


def _say_not_a_sender(case: _Case, fact: Fact) -> str:
    sender = case.candidate.sender
    if sender.text in ("", "<>"):
        return "the null sender, which bounces come from, is nobody's."
    return f"{sender.text!r} cannot be an SMTP sender ({sender.refusal})."


def _say_override(case: _Case, fact: Override) -> str:
    terms = fact.terms
    ticket = f", ticket {terms.ticket}" if terms.ticket else ""
    return f"override {fact.id} {sentence(terms)}: {terms.reason} (by {fact.actor} on {fact.made:%Y-%m-%d}{ticket})."


def _say_entry(case: _Case, fact: Holding) -> str:
    return f"{fact.mailbox} has {fact.pattern.text} among its {fact.list.title} (first seen {fact.since:%Y-%m-%d})."


def _say_quorum(case: _Case, fact: Tally) -> str:
    return f"{_trusted_by(fact)}; the quorum is {case.settings.quorum}."


def _say_refused(reason: Reason, why: str) -> Callable[[_Case, Tally | Holding], str]:
    def say(case: _Case, fact: Tally | Holding) -> str:
        if isinstance(fact, Holding):
            start = _say_entry(case, fact).removesuffix(".")
        elif reason in fact.uncounted:
            start = _trusted_by(Tally(fact.pattern, fact.uncounted[reason]))
        else:
            start = _trusted_by(fact)
        return f"{start}, but {why.format(domain=domain_of(fact.pattern), sender=case.candidate.sender.text)}."

    return say


def _say_nobody(case: _Case, fact: Fact) -> str:
    recipient = case.candidate.recipient
    whom = f"neither {recipient} nor a quorum of mailboxes trusts" if recipient else "no mailbox trusts"
    return f"{whom} {case.candidate.sender.text}, and no override for {recipient or 'everybody'} is in force."


def _behind_tag(sender: Pattern, fact: Fact) -> str:
    """That what makes a row hold is about the address behind the sender's tag."""
    about = fact.terms.pattern if isinstance(fact, Override) else getattr(fact, "pattern", None)
    if about is None or about.form is not Form.ADDRESS or about.text == sender.text:
        return ""
    return f" {sender.text} is {about.text} behind a tag that its server makes anew (BATV)."


def _trusted_by(tally: Tally) -> str:
    count = tally.votes + sum(tally.uncounted.values())
    one = count == 1
    counted = f" ({tally.votes} of them count{'s' if tally.votes == 1 else ''})" if tally.uncounted else ""
    return f"{count} mailbox{'' if one else 'es'} trust{'s' if one else ''} {tally.pattern.text}{counted}"


def _refusal_row(reason: Reason, why: str) -> Row:
    return Row(False, reason, _refused(reason), _say_refused(reason, why))


TABLE = (
    Row(False, Reason.NOT_A_SENDER, _not_a_sender, _say_not_a_sender),
    Row(False, Reason.ENFORCED_BLOCK, _override(Level.ENFORCED, Effect.BLOCK), _say_override),
    Row(True, Reason.ENFORCED_ALLOW, _override(Level.ENFORCED, Effect.ALLOW), _say_override),
    Row(True, Reason.TRUSTED_ADDRESS, _trusted(is_address=True), _say_entry),
    Row(False, Reason.BLOCKED_ADDRESS, _blocked(is_address=True), _say_entry),
    Row(True, Reason.TRUSTED_DOMAIN, _trusted(is_address=False), _say_entry),
    Row(False, Reason.BLOCKED_DOMAIN, _blocked(is_address=False), _say_entry),
    Row(False, Reason.DEFAULT_BLOCK, _override(Level.DEFAULT, Effect.BLOCK), _say_override),
    Row(True, Reason.DEFAULT_ALLOW, _override(Level.DEFAULT, Effect.ALLOW), _say_override),
    Row(True, Reason.QUORUM, _quorum, _say_quorum),
    _refusal_row(Reason.OWN_DOMAIN, "{sender} is in a domain of the organisation, which nobody outside sends from"),
    Row(False, Reason.BELOW_QUORUM, _below_quorum, _say_quorum),
    _refusal_row(Reason.PUBLIC_SUFFIX, "names below {domain} belong to different owners"),
    _refusal_row(
        Reason.FREE_MAIL_DOMAIN, "anybody gets an address at {domain}: only single addresses there can be safe"
    ),
    _refusal_row(
        Reason.SHARED_DOMAIN,
        "a service sends for many organisations from {domain}: only single addresses there can be safe",
    ),
    _refusal_row(Reason.DOMAIN_NOT_INCLUDED, "it is a domain and domains are not included ([policy] include_domains)"),
    _refusal_row(Reason.MAILBOX_EXCLUDED, "entries of that mailbox do not count ([policy] exclude_mailboxes)"),
    _refusal_row(Reason.CONTACT_NOT_INCLUDED, "contacts do not count ([policy] include_contacts)"),
    _refusal_row(Reason.TOO_OLD, "that is too long ago ([policy] max_age)"),
    Row(False, Reason.NOBODY, _nobody, _say_nobody),
)
