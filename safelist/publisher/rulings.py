"""What is to be published of every candidate: for everybody, and for each recipient."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from safelist import policy
from safelist.override import Authentication, Effect, Override, scope_sentence
from safelist.policy import Candidate, Reason
from safelist.publisher.target import Asked, LeftOut, RecipientRuling, Ruling, Scope
from safelist.sender import Form, Pattern, covering, covers, domain_of, reached, unquoted, untagged, with_subdomains


def for_everybody(asked: Asked, scope: Scope) -> tuple[list[Ruling], list[LeftOut]]:
    """Ask for every candidate, and rule."""
    aggregate, settings, now, _ = asked
    return rule(aggregate.candidates(settings, now, settings.quorum), settings, now, scope)


def for_each(asked: Asked, everybody: Iterable[Ruling] = ()) -> Iterator[RecipientRuling]:
    """What counts for a recipient by the recipient's own lists, or by an override for the recipient.

    It beats what counts for ``everybody``. Read recipient by recipient as it is asked for: ten millions fit into no
    memory.
    """
    aggregate, settings, now, _ = asked
    domains = {each.pattern.text: each for each in everybody if each.safe and each.pattern.form is not Form.ADDRESS}
    for candidate in aggregate.recipients_candidates(now):
        is_safe, reason, authentication = policy.judge(candidate, settings, now)
        if is_safe or reason in _BLOCKS:
            may_widen = is_safe and _may_be_extended(candidate, authentication, domains, settings, now)
            yield RecipientRuling(candidate.recipient or "", candidate.sender, is_safe, authentication, may_widen)


def _may_be_extended(
    candidate: Candidate, authentication: Authentication, domains: Mapping[str, Ruling], settings: policy.Settings,
    now: datetime,
) -> bool:  # fmt: skip
    """Whether a filter may take, for the recipient, what extends an address for it; ``domains`` are everybody's."""
    pattern = candidate.sender
    if pattern.form is not Form.ADDRESS or untagged(pattern) is not None:
        return False
    if not candidate.overrides and all(each.pattern.form is Form.ADDRESS for each in candidate.entries):
        return True
    return _are_as_safe(_others(pattern), candidate, authentication, settings, now, domains)


_BLOCKS = frozenset(
    {Reason.ENFORCED_BLOCK, Reason.BLOCKED_ADDRESS, Reason.BLOCKED_DOMAIN, Reason.DEFAULT_BLOCK}
)  # fmt: skip


def rule(
    candidates: Iterable[Candidate], settings: policy.Settings, now: datetime, scope: Scope = Scope.ORGANISATION
) -> tuple[list[Ruling], list[LeftOut]]:  # fmt: skip
    """Who is safe for the whole organisation, with the exceptions from domains, and who is left out all the same.

    A target that knows no recipients cannot keep to an override that blocks a sender, or asks more of it, for some of
    them, and one that knows single ones not to an override for a whole domain: such a sender is safe for nobody there.
    """
    safe: list[Ruling] = []
    blocked: list[Ruling] = []
    left_out: list[LeftOut] = []
    for candidate in candidates:
        is_safe, reason, authentication = policy.judge(candidate, settings, now)
        narrower = next(_narrower(candidate, authentication, now, scope), None) if candidate.overrides else None
        if is_safe and narrower is None:
            may_widen = _may_widen(candidate, authentication, settings, now)
            safe.append(Ruling(candidate.sender, is_safe, authentication, may_widen))
        elif narrower is not None or reason in (Reason.ENFORCED_BLOCK, Reason.DEFAULT_BLOCK):
            blocked.append(Ruling(candidate.sender, safe=False, authentication=authentication))
        if is_safe and narrower is not None:
            left_out.append(LeftOut(candidate.sender, _asked_for_some(narrower, scope)))
    safe = list(_widened_with_proof(safe))
    return safe + list(exceptions(blocked, safe)), left_out


def _widened_with_proof(safe: Sequence[Ruling]) -> Iterator[Ruling]:
    """Let none be widened to senders whom a safe domain asks more of, by a quorum as well as by an override."""
    domains = {each.pattern.text: each for each in safe if each.pattern.form is not Form.ADDRESS}
    asked = {each.authentication for each in domains.values()}
    for each in safe:
        if each.may_widen and any(one.asks_more_than(each.authentication) for one in asked):
            wide = next((domains[text] for text in covering(_others(each.pattern)) if text in domains), each)
            yield each._replace(may_widen=not wide.authentication.asks_more_than(each.authentication))
        else:
            yield each


def _others(pattern: Pattern) -> Pattern:
    """Whom a filter may take for the pattern: the domain's sub-domains, or what extends an address in its domain."""
    return with_subdomains(pattern) if pattern.form is Form.DOMAIN else Pattern(domain_of(pattern), Form.DOMAIN)


def _asked_for_some(override: Override, scope: Scope) -> str:
    knows = {
        Scope.ORGANISATION: "no recipients", Scope.TRUSTING: "no exceptions", Scope.RECIPIENT: "single recipients only"
    }[scope]  # fmt: skip
    whom, asks = scope_sentence(override.terms.scope), f"asks more ({override.terms.authentication}) of it"
    does = "blocks it" if override.terms.effect is Effect.BLOCK else asks
    return f"override {override.id} {does} for {whom}, and this target knows {knows}"


def _may_widen(
    candidate: Candidate, authentication: Authentication, settings: policy.Settings, now: datetime
) -> bool:  # fmt: skip
    """Whether a filter that knows no pattern as narrow as this one may take its neighbours for it, too.

    Those of a domain are its sub-domains, those of an address what extends it (``a+x@`` of ``a@``). Not where an
    override blocks them, or asks more of them.
    """
    pattern = candidate.sender
    if pattern.form is Form.SUBDOMAINS:
        return True
    if pattern.form is Form.DOMAIN and not policy.may_be_widened(pattern, settings):
        return False
    if untagged(pattern) is not None:  # what extends it is another address behind the same tag
        return False
    if not candidate.overrides:
        return True
    return _are_as_safe(_others(pattern), candidate, authentication, settings, now)


def _are_as_safe(
    others: Pattern, candidate: Candidate, authentication: Authentication, settings: policy.Settings, now: datetime,
    domains: Mapping[str, Ruling] = MappingProxyType({}),
) -> bool:  # fmt: skip
    """Whether what is known of a candidate blocks none of the ``others`` around it, nor asks more of them.

    A recipient's candidate has no tallies: what they make safe is in ``domains``, and comes last.
    """
    tallies = tuple(tally for tally in candidate.tallies if covers(tally.pattern, others))
    found = policy.judge(candidate._replace(sender=others, tallies=tallies), settings, now)
    if found.safe:
        return not found.authentication.asks_more_than(authentication)
    wide = next((domains[text] for text in covering(others) if text in domains), None)
    asks_more = wide is not None and wide.authentication.asks_more_than(authentication)
    return found.reason not in _BLOCKS and not asks_more


def exceptions(some: Sequence[Ruling], safe: Iterable[Ruling]) -> Iterator[Ruling]:
    """Those of ``some`` that a filter may reach by the name of a safe one.

    They are senders at or below a safe domain, and addresses that extend a safe one (``a+x@`` of ``a@``), or are one
    behind a tag.
    """
    given = [ruling.pattern for ruling in safe] if some else []
    domains = {"." + domain_of(pattern) for pattern in given if pattern.form is not Form.ADDRESS}
    addresses = {unquoted(pattern) for pattern in given if pattern.form is Form.ADDRESS}
    for each in some:
        is_below = domains and not domains.isdisjoint(covering(with_subdomains(each.pattern)))
        if is_below or (addresses and not addresses.isdisjoint(reached(each.pattern))):
            yield each._replace(safe=False)


def _narrower(
    candidate: Candidate, authentication: Authentication, now: datetime, scope: Scope
) -> Iterator[Override]:  # fmt: skip
    """Overrides in force that block the sender, or ask more of it, for some recipients whom the target cannot name."""
    for override in candidate.overrides:
        terms = override.terms
        is_named = scope is Scope.RECIPIENT and terms.scope is not None and terms.scope.form is Form.ADDRESS
        is_less = terms.effect is Effect.BLOCK or terms.authentication.asks_more_than(authentication)
        if terms.scope is not None and not is_named and is_less and override.in_force(now):
            yield override
