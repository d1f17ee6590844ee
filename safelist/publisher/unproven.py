"""Senders whose mail must prove itself, before a filter that cannot ask: left out, and never so that more is safe."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import groupby

from safelist.override import Authentication
from safelist.publisher.rulings import exceptions
from safelist.publisher.target import LeftOut, RecipientRuling, Ruling
from safelist.publisher.unwritable import Noted
from safelist.sender import Form, Pattern, covering, domain_of, name, reached

NotAsked = Callable[[Authentication], str]
"""Why the filter cannot ask of a mail what it has to prove; empty where it can."""


def for_everybody(rulings: Sequence[Ruling], not_asked: NotAsked) -> tuple[list[Ruling], list[LeftOut]]:
    """Take out the safe senders whom the filter would believe unproven; below a safe domain they become exceptions."""
    kept = [ruling for ruling in rulings if not ruling.safe or not not_asked(ruling.authentication)]
    unproven = [ruling for ruling in rulings if ruling.safe and not_asked(ruling.authentication)]
    left_out = [LeftOut(ruling.pattern, not_asked(ruling.authentication)) for ruling in unproven]
    return [*kept, *exceptions(unproven, kept)], left_out


def for_each(
    rulings: Iterable[RecipientRuling], everybody: Iterable[Ruling], not_asked: NotAsked, noted: Noted
) -> Iterator[RecipientRuling]:
    """Take out, recipient by recipient, whom the filter would believe unproven, and note it.

    Where ``everybody``'s rulings, or another of the recipient's, would make such a sender safe, it becomes an exception
    for the recipient; a domain does, too, where ``everybody``'s make an address or a domain in it safe.
    """
    safe = [ruling.pattern for ruling in everybody if ruling.safe]
    for_all, above = {name(pattern) for pattern in safe}, _above(safe)
    for _, some in groupby(rulings, key=lambda ruling: ruling.recipient):
        found = list(some)
        if not any(ruling.safe and not_asked(ruling.authentication) for ruling in found):
            yield from found
            continue
        own = {name(each.pattern) for each in found if each.safe and not not_asked(each.authentication)}
        for ruling in found:
            why = not_asked(ruling.authentication) if ruling.safe else ""
            if not why:
                yield ruling
                continue
            noted.add(LeftOut(ruling.pattern, why))
            if _is_reached(ruling, for_all) or _is_reached(ruling, own) or ruling.pattern.text in above:
                yield ruling._replace(safe=False)


def _is_reached(ruling: RecipientRuling, safe: Set[str]) -> bool:
    """Whether a filter that knows only ``safe`` ones may take the sender for one of them."""
    pattern = ruling.pattern
    return bool(safe) and not safe.isdisjoint((name(pattern), *covering(pattern), *reached(pattern)))


def _above(safe: Iterable[Pattern]) -> Set[str]:
    """The domains, with and without their sub-domains, that some of these are in."""
    domains = {domain_of(pattern) for pattern in safe}
    return {text for domain in domains for text in covering(Pattern(domain, Form.DOMAIN))}
