"""What the lines of a target's files cannot hold: left out before they are rendered, and never so that more is safe."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import groupby

from safelist.publisher.rulings import shorter
from safelist.publisher.target import LeftOut, RecipientRuling, Ruling
from safelist.sender import Form, Pattern, covering, domain_of, unquoted, with_subdomains

WhyNot = Callable[[str], str]
"""Why the text of a sender, or of a recipient, cannot stand in a line; empty where it can."""

_NO_WORD = re.compile(r"\A#|\s")
_EXCEPTED = "{exception} must be an exception from it, but cannot be written: {why}"


def why_no_word(text: str) -> str:
    """Why a text cannot be the first word of a line: most filters take a line that begins with # for a comment."""
    if not _NO_WORD.search(text):
        return ""
    return "a line that begins with # is a comment" if text[0] == "#" else "white space ends a word"


def for_everybody(rulings: Sequence[Ruling], why_not: WhyNot) -> tuple[list[Ruling], list[LeftOut]]:
    """Take out what cannot be written, and each safe sender from whom an exception cannot be."""
    faults = {ruling.pattern: why for ruling in rulings if (why := why_not(ruling.pattern.text))}
    lost = [ruling.pattern for ruling in rulings if ruling.pattern in faults and not ruling.safe]
    excepted = {text: pattern for pattern in lost for text in covering(pattern)}
    extended = {text for pattern in lost for text in shorter(pattern)}
    kept, left_out = list[Ruling](), list[LeftOut]()
    for ruling in rulings:
        pattern = ruling.pattern
        exception = excepted.get(pattern.text) if ruling.safe and pattern not in faults else None
        if exception is not None:
            left_out.append(LeftOut(pattern, _EXCEPTED.format(exception=exception.text, why=faults[exception])))
        elif pattern not in faults:
            is_wider = lost and _is_wider(pattern, excepted, extended)
            kept.append(ruling._replace(may_widen=False) if is_wider else ruling)
        elif ruling.safe:
            left_out.append(LeftOut(pattern, faults[pattern]))
    return kept, left_out


def _is_wider(pattern: Pattern, excepted: Mapping[str, Pattern], extended: Set[str]) -> bool:
    """Whether a filter that widens the pattern may reach an exception that cannot be written."""
    return unquoted(pattern) in extended if pattern.form is Form.ADDRESS else with_subdomains(pattern).text in excepted


@dataclass(slots=True)
class Noted:
    """The first ``most`` of what is left out for recipients, each once, and how often there was more."""

    most: int
    named: dict[LeftOut, None] = field(default_factory=dict)
    more: int = 0

    def add(self, left_out: LeftOut) -> None:
        """Name it, while there is room."""
        if len(self.named) < self.most:
            self.named[left_out] = None
        elif left_out not in self.named:
            self.more += 1


def for_each(
    rulings: Iterable[RecipientRuling], everybody: Iterable[Ruling], why_not: WhyNot, noted: Noted
) -> Iterator[RecipientRuling]:
    """Take out what cannot be written, recipient by recipient, and note it.

    Where that is an exception from a safe domain, the domain is none for the recipient. A recipient who cannot be
    written has what counts for everybody.
    """
    domains = {ruling.pattern.text for ruling in everybody if ruling.safe and ruling.pattern.form is not Form.ADDRESS}
    for recipient, some in groupby(rulings, key=lambda ruling: ruling.recipient):
        if why := why_not(recipient):
            noted.add(LeftOut(Pattern(recipient, Form.ADDRESS), f"nothing is written for this recipient: {why}"))
            continue
        found = {ruling.pattern: ruling for ruling in some}
        if faults := {pattern: why for pattern in found if (why := why_not(pattern.text))}:
            _leave_out(found, faults, domains, noted)
        yield from found.values()


def _leave_out(
    found: dict[Pattern, RecipientRuling], faults: Mapping[Pattern, str], domains: Set[str], noted: Noted
) -> None:  # fmt: skip
    own = {pattern.text for pattern, ruling in found.items() if ruling.safe}
    for pattern, why in faults.items():
        ruling = found.pop(pattern)
        if ruling.safe:
            noted.add(LeftOut(pattern, why))
        elif any(text in domains or text in own for text in covering(pattern)):
            domain = Pattern(domain_of(pattern), Form.DOMAIN)
            found[domain] = ruling._replace(pattern=domain)
            noted.add(LeftOut(domain, _EXCEPTED.format(exception=pattern.text, why=why)))
