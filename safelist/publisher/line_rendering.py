"""Renders what is published in one of the forms of :mod:`safelist.publisher.line_formats`.

What the form cannot say is left out. Where it cannot say exceptions, a sender who is safe for everybody is left out if
a single recipient has an exception from it: lines for everybody are therefore made after all others were read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from pathlib import Path

from safelist.publisher import unwritable
from safelist.publisher.line_formats import HEADER, Capability, LineFormat, Statement
from safelist.publisher.target import LeftOut, RecipientRuling, Ruling
from safelist.publisher.text_target import KEPT, Rendering, TextFile, whole_line
from safelist.publisher.unwritable import Noted
from safelist.sender import Form, Pattern, covering


def render(
    line: LineFormat, everybody: Sequence[Ruling], each: Iterable[RecipientRuling], path: Path
) -> Rendering:  # fmt: skip
    """The file, and beside it what the form has in a file of its own.

    Where exceptions cannot be said, what is safe for everybody is known only when all that counts for a recipient was
    read: those lines are made last.
    """
    kept, left_out = _held(line, everybody)
    excepted = _Excepted.of(kept)
    noted = Noted(KEPT)
    pairs = _for_recipients(line, each, excepted, noted)
    all_ = _for_everybody(line, kept, excepted, left_out)
    file = partial(TextFile, header=line.header, key=whole_line)
    if line.is_one_file:
        files = [file(path, lines=chain(pairs, all_))]
    else:
        recipients = file(beside(path), lines=pairs)
        files = [recipients, file(path, lines=all_)]
    if line.beside:
        name, text = line.beside(path.name)
        lines = text.encode().splitlines(keepends=True)
        files.append(TextFile(path.with_name(name), HEADER, lines, is_list=False))
    return Rendering(files, left_out, noted)


def beside(path: Path) -> Path:
    """The file of what counts for single recipients, where the form has one of its own for that."""
    return path.with_name(f"{path.name}.recipients")


_SHAPES = {
    Form.DOMAIN: (Capability.DOMAINS, "a file of this form can name no domain"),
    Form.SUBDOMAINS: (Capability.SUBDOMAINS, "a file of this form can name no domain with its sub-domains"),
}
_NO_EXCEPTION = "a file of this form can say no exception"
_FEW = "the reader takes no more than {most}, and the first by the alphabet are written"
_EXTENDED = "the filter would take what extends it (+) for it, too, which an override blocks, or asks more of"


def _unheld(line: LineFormat, pattern: Pattern) -> str:
    """Why the form cannot name it; empty where it can."""
    capability, why = _SHAPES.get(pattern.form, (None, ""))
    return why if capability is not None and capability not in line.holds else ""


def _held(line: LineFormat, everybody: Sequence[Ruling]) -> tuple[list[Ruling], list[LeftOut]]:
    """What the form can say of what counts for everybody, and what it leaves out."""
    faults = {each.pattern.text: why for each in everybody if (why := _unheld(line, each.pattern))}
    if Capability.EXCEPTIONS not in line.holds:
        faults |= {each.pattern.text: _NO_EXCEPTION for each in everybody if not each.safe}
    kept, left_out = unwritable.for_everybody(everybody, lambda text: faults.get(text, ""))
    if line.is_extended:
        narrow = {each for each in kept if each.pattern.form is Form.ADDRESS and not each.may_widen}
        left_out += [LeftOut(each.pattern, _EXTENDED) for each in narrow]
        kept = [each for each in kept if each not in narrow]
    return _first(line, kept, left_out)


def _first(line: LineFormat, kept: list[Ruling], left_out: list[LeftOut]) -> tuple[list[Ruling], list[LeftOut]]:
    """As many of each kind as the reader takes."""
    for form_, most in line.most.items():
        some = sorted(each for each in kept if (each.pattern.form is Form.ADDRESS) == (form_ is Form.ADDRESS))
        left_out += [LeftOut(each.pattern, _FEW.format(most=most)) for each in some[most:]]
        beyond = set(some[most:])
        kept = [each for each in kept if each not in beyond]
    return kept, left_out


@dataclass(slots=True)
class _Excepted:
    """Which of the ``safe`` senders for everybody some recipient excepts; bounded by how many those are.

    ``above``: domains in which they are, or they themselves; of these the ``blocked`` ones are excepted whole.
    """

    safe: frozenset[str]
    above: frozenset[str]
    blocked: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, kept: Iterable[Ruling]) -> "_Excepted":
        patterns = [ruling.pattern for ruling in kept if ruling.safe]
        above = frozenset(text for pattern in patterns for text in covering(pattern))
        return cls(frozenset(pattern.text for pattern in patterns), above)

    def note(self, exception: Pattern) -> None:
        """Note that somebody excepts it."""
        if exception.text in self.above:
            self.blocked.add(exception.text)
        self.opened.update(self.safe.intersection(covering(exception)))

    def is_excepted(self, pattern: Pattern) -> bool:
        """Whether somebody would be given, with this sender, one whom they except."""
        return pattern.text in self.opened or not self.blocked.isdisjoint(covering(pattern))


def _for_recipients(
    line: LineFormat, each: Iterable[RecipientRuling], excepted: _Excepted, noted: Noted
) -> Iterator[bytes]:  # fmt: skip
    """What counts for each recipient, without exceptions where the form cannot say them."""
    for _, some in groupby(each, key=lambda ruling: ruling.recipient):
        rulings = list(some)
        if Capability.EXCEPTIONS not in line.holds:
            rulings = _without_exceptions(rulings, excepted, noted)
        for ruling in rulings:
            if why := _unheld(line, ruling.pattern):
                noted.add(LeftOut(ruling.pattern, why))
            else:
                yield from _lines(line, Statement(*ruling[:4]))


def _without_exceptions(
    rulings: Sequence[RecipientRuling], excepted: _Excepted, noted: Noted
) -> list[RecipientRuling]:  # fmt: skip
    """A recipient's safe senders, but for those from whom the recipient has an exception."""
    own: set[str] = set()
    for ruling in rulings:
        if not ruling.safe:
            excepted.note(ruling.pattern)
            own.update(covering(ruling.pattern))
    safe = [ruling for ruling in rulings if ruling.safe]
    for each in safe:
        if each.pattern.text in own:
            noted.add(LeftOut(each.pattern, _EXCEPTED_BY_ONE))
    return [each for each in safe if each.pattern.text not in own]


_EXCEPTED_BY_ONE = (
    "somebody for whom it would count has an exception from it, which a file of this form cannot say; whoever trusts "
    "it without one has it all the same, where the form holds recipients"
)


def _for_everybody(
    line: LineFormat, kept: Iterable[Ruling], excepted: _Excepted, left_out: list[LeftOut]
) -> Iterator[bytes]:  # fmt: skip
    for pattern, safe, authentication, _ in kept:
        if safe and excepted.is_excepted(pattern):
            left_out.append(LeftOut(pattern, _EXCEPTED_BY_ONE))
        else:
            yield from _lines(line, Statement("", pattern, safe, authentication))


def _lines(line: LineFormat, said: Statement) -> Iterator[bytes]:
    return (f"{text}\n".encode() for text in line.lines(said).split("\n"))
