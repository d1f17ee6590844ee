"""What the lines of a target's files cannot hold: left out before they are rendered, and never so that more is safe."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from safelist.publisher.target import LeftOut, RecipientRuling, Ruling, asks_more
from safelist.sender import Form, Pattern, covering, name, reached, unquoted, with_subdomains

WhyNot = Callable[[str], str]
"""Why the text of a sender, or of a recipient, cannot stand in a line; empty where it can."""

_NO_WORD = re.compile(r"\A#|\s")
_EXCEPTED = "{exception} must be an exception from it, but cannot be written: {why}"
_ASKS_MORE = "{exception} needs more than it ({authentication}), but cannot be written: {why}"


def why_no_word(text: str) -> str:
    """Why a text cannot be the first word of a line: most filters take a line that begins with # for a comment."""
    if not _NO_WORD.search(text):
        return ""
    return "a line that begins with # is a comment" if text[0] == "#" else "white space ends a word"


def for_everybody(rulings: Sequence[Ruling], why_not: WhyNot) -> tuple[list[Ruling], list[LeftOut]]:
    """Take out what cannot be written, and each safe sender by whom such a one would be believed with too little.

    That is one from whom an exception cannot be written, or who proves less than one that cannot.
    """
    faults = {ruling.pattern: why for ruling in rulings if (why := why_not(ruling.pattern.text))}
    lost = _asking([each for each in rulings if each.pattern in faults], rulings) if faults else []
    covered = _strictest((text, each) for each in lost for text in covering(each.pattern))
    extended = _strictest((text, each) for each in lost for text in reached(each.pattern))
    kept, left_out = list[Ruling](), list[LeftOut]()
    for ruling in rulings:
        pattern = ruling.pattern
        narrow = covered.get(pattern.text)
        if pattern in faults:
            left_out += [LeftOut(pattern, faults[pattern])] if ruling.safe else []
        elif narrow is not None and asks_more(narrow, ruling):
            left_out.append(LeftOut(pattern, _missing(narrow, faults[narrow.pattern])))
        else:
            is_wider = lost and _is_wider(ruling, covered, extended)
            kept.append(ruling._replace(may_widen=False) if is_wider else ruling)
    return kept, left_out


def _asking(lost: Sequence[Ruling], rulings: Sequence[Ruling]) -> list[Ruling]:
    """Those of whom more is asked than of some safe sender: mostly none, as all have to prove the same."""
    weak = {ruling.authentication: ruling for ruling in rulings if ruling.safe}.values()
    return [each for each in lost if any(asks_more(each, wide) for wide in weak)]


def _strictest(named: Iterable[tuple[str, Ruling]]) -> dict[str, Ruling]:
    """For each name the ruling that asks for the most; an exception asks for more than can be proven."""
    found: dict[str, Ruling] = {}
    for text, ruling in named:
        if text not in found or asks_more(ruling, found[text]):
            found[text] = ruling
    return found


def _missing(narrow: Ruling | RecipientRuling, why: str) -> str:
    words = _ASKS_MORE if narrow.safe else _EXCEPTED
    return words.format(exception=narrow.pattern.text, authentication=narrow.authentication, why=why)


def _is_wider(ruling: Ruling, covered: Mapping[str, Ruling], extended: Mapping[str, Ruling]) -> bool:
    """Whether a filter that widens the pattern may take for it one that cannot be written, and asks for more."""
    pattern = ruling.pattern
    is_address = pattern.form is Form.ADDRESS
    narrow = extended.get(unquoted(pattern)) if is_address else covered.get(with_subdomains(pattern).text)
    return narrow is not None and asks_more(narrow, ruling)


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

    Where somebody else's line would make such a sender safe with less than is asked of it, what that line is about is
    safe for the recipient no more. A recipient who cannot be written has what counts for everybody.
    """
    safe: dict[str, Ruling] | None = None
    for recipient, some in groupby(rulings, key=lambda ruling: ruling.recipient):
        if why := why_not(recipient):
            noted.add(LeftOut(Pattern(recipient, Form.ADDRESS), f"nothing is written for this recipient: {why}"))
            continue
        found = {ruling.pattern: ruling for ruling in some}
        if faults := {pattern: why for pattern in found if (why := why_not(pattern.text))}:
            safe = {name(each.pattern): each for each in everybody if each.safe} if safe is None else safe
            lost = [(found.pop(pattern), why) for pattern, why in faults.items()]
            _leave_out(found, lost, safe, why_not, noted)
        yield from found.values()


def _leave_out(
    found: dict[Pattern, RecipientRuling], lost: Iterable[tuple[RecipientRuling, str]], safe: Mapping[str, Ruling],
    why_not: WhyNot, noted: Noted,
) -> None:  # fmt: skip
    """Of ``found``, the recipient's, and ``safe``, everybody's, whom the ``lost`` ones would be taken for."""
    own = {name(pattern): ruling for pattern, ruling in found.items()}
    for ruling, why in lost:
        if ruling.safe:
            noted.add(LeftOut(ruling.pattern, why))
        for pattern in _believed_by(ruling, own, safe, why_not):
            found[pattern] = ruling._replace(pattern=pattern, safe=False, may_widen=False)
            noted.add(LeftOut(pattern, _missing(ruling, why)))
        for each in _extended_by(ruling, own, safe):
            found.setdefault(each.pattern, each)
            found[each.pattern] = found[each.pattern]._replace(may_widen=False)


def _believed_by(
    ruling: RecipientRuling, own: Mapping[str, RecipientRuling], safe: Mapping[str, Ruling], why_not: WhyNot
) -> Iterator[Pattern]:
    """What has to be an exception, as near to the sender as can be written: what is behind its tags, and a domain."""
    above = [_pattern_of(text) for text in covering(ruling.pattern) if not why_not(text)]
    for is_address in (True, False):
        some = [pattern for pattern in above if (pattern.form is Form.ADDRESS) is is_address]
        first = next((own[name(each)] for each in some if name(each) in own), None)
        known = [first] if first is not None else [safe[name(each)] for each in some if name(each) in safe]
        if any(asks_more(ruling, wide) for wide in known):
            yield some[0]


def _pattern_of(text: str) -> Pattern:
    return Pattern(text, Form.ADDRESS if "@" in text else Form.SUBDOMAINS if text[0] == "." else Form.DOMAIN)


def _extended_by(
    ruling: RecipientRuling, own: Mapping[str, RecipientRuling], safe: Mapping[str, Ruling]
) -> Iterator[RecipientRuling]:
    """The addresses for which a filter may take one that extends them, and of which more is asked."""
    for short in reached(ruling.pattern):
        wide = own.get(short) or safe.get(short)
        if wide is not None and asks_more(ruling, wide):
            yield RecipientRuling(ruling.recipient, wide.pattern, wide.safe, wide.authentication)
