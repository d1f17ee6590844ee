"""What is to be published of every candidate, for a target that asks for no recipient."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from safelist import policy
from safelist.override import Effect, Override, scope_sentence
from safelist.policy import Candidate, Reason
from safelist.publisher.target import Refused, Ruling
from safelist.sender import Form, covering, domain_of, with_subdomains


def rule(
    candidates: Iterable[Candidate], settings: policy.Settings, now: datetime
) -> tuple[list[Ruling], list[Refused]]:  # fmt: skip
    """Who is safe for the whole organisation, with the exceptions from domains, and who is left out all the same.

    A target that knows no recipients cannot keep to an override that blocks a sender for some of them: such a sender is
    safe for nobody there.
    """
    safe: list[Ruling] = []
    blocked: list[Ruling] = []
    left_out: list[Refused] = []
    for candidate in candidates:
        is_safe, reason, authentication = policy.judge(candidate, settings, now)
        narrower = next(_narrower_blocks(candidate, now), None) if candidate.overrides else None
        if is_safe and narrower is None:
            may_widen = candidate.sender.form is Form.DOMAIN and policy.may_be_widened(candidate.sender, settings)
            safe.append(Ruling(candidate.sender, is_safe, authentication, may_widen))
        elif narrower is not None or reason in (Reason.ENFORCED_BLOCK, Reason.DEFAULT_BLOCK):
            blocked.append(Ruling(candidate.sender, safe=False, authentication=authentication))
        if is_safe and narrower is not None:
            whom = scope_sentence(narrower.terms.scope)
            left_out.append(
                Refused(
                    candidate.sender,
                    f"override {narrower.id} blocks it for {whom}, and this target knows no recipients",
                )
            )
    return safe + list(exceptions(blocked, safe)), left_out


def exceptions(some: Iterable[Ruling], safe: Iterable[Ruling]) -> Iterator[Ruling]:
    """Those of ``some`` that are about senders at or below a safe domain: a filter may reach them by its name."""
    names = {"." + domain_of(ruling.pattern) for ruling in safe if ruling.pattern.form is not Form.ADDRESS}
    for each in some if names else ():
        if not names.isdisjoint(covering(with_subdomains(each.pattern))):
            yield each._replace(safe=False)


def _narrower_blocks(candidate: Candidate, now: datetime) -> Iterator[Override]:
    """Overrides in force that block the sender for some recipients only."""
    for override in candidate.overrides:
        terms = override.terms
        if terms.scope is not None and terms.effect is Effect.BLOCK and override.in_force(now):
            yield override
