"""What a target leaves out although somebody said that it is safe, asked before it is published."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from safelist import policy
from safelist.override import Effect, Override
from safelist.policy import Candidate
from safelist.publisher.rulings import rule
from safelist.publisher.target import LeftOut, Ruling, Scope
from safelist.publisher.targets import configured
from safelist.sender import Pattern


def left_out(
    candidates: Sequence[Candidate], settings: policy.Settings, publish: Mapping[str, Any], now: datetime
) -> Iterator[tuple[str, LeftOut]]:  # fmt: skip
    """What of the ``candidates`` each target in ``publish`` (its settings by its name) refuses, by its own rendering.

    One that reads the aggregate itself refuses nobody. Raises what a target's ``left_out`` raises.
    """
    for name, chosen in publish.items():
        target = configured(name, chosen)
        if target.left_out is None:
            continue
        rulings, refused = rule(candidates, settings, now, target.scope)
        if target.scope is Scope.ORGANISATION:
            refused += _for_some(candidates, rulings, now)
        yield from ((name, each) for each in (*refused, *target.left_out(rulings, chosen)))


def _for_some(candidates: Iterable[Candidate], rulings: Iterable[Ruling], now: datetime) -> Iterator[LeftOut]:
    """Senders that are allowed for some recipients, and not safe for the whole organisation."""
    safe = {ruling.pattern for ruling in rulings if ruling.safe}
    for sender, _, overrides, *_ in candidates:
        if sender not in safe and any(_allows_some(override, sender, now) for override in overrides):
            yield LeftOut(sender, "it is allowed for some recipients only, and this target knows no recipients")


def _allows_some(override: Override, sender: Pattern, now: datetime) -> bool:
    terms = override.terms
    is_allow = terms.effect is Effect.ALLOW and terms.scope is not None
    return is_allow and terms.pattern == sender and override.in_force(now)
