"""Any other filter: a file in a form that it reads, or that a template of the administrator's writes.

What a form can say differs (:mod:`safelist.publisher.line_formats`): of single recipients, of domains, of exceptions,
of what a mail has to prove. Whatever it cannot say is left out and reported, never so that more is safe; no form but
those with a column for it demands authentication, so senders who have to prove themselves are in the others only
where the configuration says so.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from safelist.config import Section
from safelist.errors import ConfigError
from safelist.override import Authentication
from safelist.publisher import unwritable
from safelist.publisher.escaping import ESCAPINGS
from safelist.publisher.line_formats import FORMATS, HEADER, Capability, LineFormat, Statement
from safelist.publisher.target import Command, FilePath, LeftOut, RecipientRuling, Ruling, Scope, Target
from safelist.publisher.text_target import Rendering, TextFile, text_target, whole_line
from safelist.sender import Form, Pattern, covering

if TYPE_CHECKING:
    from safelist.remark import Remark

NAME = "pairs"

FormatName = Literal[
    "csv", "json-lines", "recipient|sender", "opensmtpd", "haraka", "mailscanner", "mailcow", "exchange",
    "microsoft-365", "template",
]  # fmt: skip
_RULES_AS_A_TEXT = (".txt", ".html")


class PairsSettings(Section):
    """A file for any other filter."""

    IS_OPTIONAL = True
    MAY_BE_SEVERAL: ClassVar[bool] = True
    TITLE = (
        "A file for any other filter, in a form that it reads. There may be several: [publish.pairs.NAME], each with a "
        "path of\n# its own."
    )

    path: FilePath = Field(description="The file.", examples=["/var/lib/safelist/pairs/safelist.csv"])
    format: FormatName = Field(
        "csv",
        description="csv, json-lines, recipient|sender, opensmtpd, haraka, mailscanner, mailcow, exchange, "
        "microsoft-365 or template.",
    )
    unauthenticated: bool = Field(
        False,
        description="Write senders whose mail must prove itself (SPF, DKIM) although this file cannot ask for it. csv, "
        "json-lines and\ntemplates that hold authentication hand that over to who reads them: they need no leave.",
    )
    limit: int = Field(500, ge=1, le=5000, description="For microsoft-365: how many allow entries the tenant may have.")
    template: str = Field(
        "",
        max_length=10_000,
        description="For template: the Jinja template of one line. It may print recipient (empty: everybody), sender, "
        "local_part,\ndomain, kind (address, domain, subdomains), safe and authentication.",
        examples=["{{ sender }} OK"],
    )
    escape: Literal["csv", "json", "regexp", "powershell", "none"] = Field(
        "none", description="How what the template prints is escaped; none leaves out what would need it."
    )
    holds: tuple[Literal["recipients", "domains", "subdomains", "exceptions", "authentication"], ...] = Field(
        (), strict=False,
        description="What whoever reads the template's lines keeps to: recipients, domains, subdomains, exceptions, "
        "authentication.",
        examples=[["recipients", "domains"]],
    )  # fmt: skip
    header: str = Field(
        "", max_length=10_000, description="What the template's file begins with, instead of a comment.",
        examples=["// Written by safelist"],
    )  # fmt: skip
    smtpd_conf: FilePath = Field(
        Path("/etc/smtpd.conf"), description="For opensmtpd: the configuration that `safelist check pairs` looks at."
    )
    on_change: Command = Field(
        (), description="A command (no shell) to run after a change.", examples=["smtpctl update table safelist"]
    )

    @field_validator("path")
    @classmethod
    def _is_printable(cls, path: Path) -> Path:
        if not str(path).isprintable() or any(mark in str(path) for mark in " \"'<>{}$"):
            raise ValueError(
                "must not contain white space, quotes or any of < > { } $: filters cannot name such a file"
            )
        return path

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        faults = list(self._faults())
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        is_template = self.format == "template"
        if is_template != bool(self.template):
            yield f"template: {'missing, write it' if is_template else 'belongs to format = template alone'}"
        elif is_template:
            yield from _template_faults(self)
        if not is_template and (self.holds or self.header):
            yield "holds: belongs to format = template alone, and so does header"
        if "exceptions" in self.holds and not {"domains", "subdomains"}.issubset(self.holds):
            yield "holds: exceptions may be whole domains: write domains and subdomains, too"
        if self.format == "mailscanner" and self.path.suffix in _RULES_AS_A_TEXT:
            yield "path: must not end in .txt or .html, for MailScanner would take that for no ruleset"


def _template_faults(chosen: PairsSettings) -> Iterator[str]:
    try:
        _template(chosen)
    except ConfigError as error:
        yield f"template: {error}"


def line_format(chosen: PairsSettings) -> LineFormat:
    """What the configured form can say, and how."""
    if chosen.format == "template":
        return _template(chosen)
    found = FORMATS[chosen.format]
    return replace(found, most={Form.ADDRESS: chosen.limit}) if chosen.format == "microsoft-365" else found


def _template(chosen: PairsSettings) -> LineFormat:
    from safelist.publisher.line_template import line_of  # Jinja takes longer to import than most commands run

    escaping = ESCAPINGS[chosen.escape]
    header = chosen.header.rstrip("\n").encode() + b"\n" if chosen.header else HEADER
    holds = frozenset(map(Capability, chosen.holds))
    lines = line_of(chosen.template, escaping, holds)
    return LineFormat(lines=lines, why_not=escaping.why_not, holds=holds, header=header)


def form(chosen: PairsSettings) -> Target:
    """The target of that form: one for single recipients, or for everybody alone."""
    line = line_format(chosen)
    return text_target(
        name=NAME, settings=PairsSettings, demands=demands, use=use, check=check, render=partial(render, line),
        scope=_scope(line), why_not=line.why_not, not_asked=partial(_not_asked, line),
    )  # fmt: skip


def _scope(line: LineFormat) -> Scope:
    if Capability.RECIPIENTS not in line.holds:
        return Scope.ORGANISATION
    return Scope.RECIPIENT if Capability.EXCEPTIONS in line.holds else Scope.TRUSTING


def _not_asked(line: LineFormat, authentication: Authentication, chosen: PairsSettings) -> str:
    if authentication is Authentication.NONE or chosen.unauthenticated or Capability.AUTHENTICATION in line.holds:
        return ""
    return (
        f"its mail must prove itself ({authentication}), which a file of the form {chosen.format} cannot ask for; "
        "[publish.pairs] unauthenticated = true writes it all the same"
    )


def render(
    line: LineFormat, everybody: Sequence[Ruling], each: Iterable[RecipientRuling], chosen: PairsSettings
) -> Rendering:  # fmt: skip
    """The file, and beside it what the form has in a file of its own.

    Where exceptions cannot be said, what is safe for everybody is known only when all that counts for a recipient was
    read: those lines are made last.
    """
    kept, left_out = _held(line, everybody)
    excepted = _Excepted.of(kept)
    pairs = _for_recipients(line, each, excepted, left_out)
    all_ = _for_everybody(line, kept, excepted, left_out)
    file = partial(TextFile, header=line.header, key=whole_line)
    if line.is_one_file:
        files = [file(chosen.path, lines=chain(pairs, all_))]
    else:
        recipients = file(chosen.path.with_name(f"{chosen.path.name}.recipients"), lines=pairs)
        files = [recipients, file(chosen.path, lines=all_)]
    if line.beside:
        name, text = line.beside(chosen.path.name)
        lines = text.encode().splitlines(keepends=True)
        files.append(TextFile(chosen.path.with_name(name), HEADER, lines, is_list=False))
    return Rendering(files, left_out)


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
    line: LineFormat, each: Iterable[RecipientRuling], excepted: _Excepted, left_out: list[LeftOut]
) -> Iterator[bytes]:  # fmt: skip
    """What counts for each recipient, without exceptions where the form cannot say them."""
    for _, some in groupby(each, key=lambda ruling: ruling.recipient):
        rulings = list(some)
        if Capability.EXCEPTIONS not in line.holds:
            rulings = _without_exceptions(rulings, excepted, left_out)
        for ruling in rulings:
            if why := _unheld(line, ruling.pattern):
                left_out.append(LeftOut(ruling.pattern, why))
            else:
                yield from _lines(line, Statement(*ruling))


def _without_exceptions(
    rulings: Sequence[RecipientRuling], excepted: _Excepted, left_out: list[LeftOut]
) -> list[RecipientRuling]:  # fmt: skip
    """A recipient's safe senders, but for those from whom the recipient has an exception."""
    own: set[str] = set()
    for ruling in rulings:
        if not ruling.safe:
            excepted.note(ruling.pattern)
            own.update(covering(ruling.pattern))
    safe = [ruling for ruling in rulings if ruling.safe]
    left_out += [LeftOut(each.pattern, _EXCEPTED_BY_ONE) for each in safe if each.pattern.text in own]
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


def demands(chosen: PairsSettings) -> str:
    """What whoever reads the file asks of a mail is not safelist's to say."""
    line = line_format(chosen)
    if Capability.AUTHENTICATION in line.holds:
        said = "Each line says what a mail has to prove, and whoever reads the file has to keep to that."
    elif chosen.unauthenticated:
        said = (
            f"A file of the form {chosen.format} can ask for no authentication, and holds the senders of whom the "
            "policy or an override asks for it all the same: whoever forges one is taken for that sender."
        )
    else:
        said = (
            f"A file of the form {chosen.format} can ask for no authentication. Left out: every sender but those that "
            "the policy or an override lets through without."
        )
    cannot = [str(each) for each in Capability if each not in line.holds and each is not Capability.AUTHENTICATION]
    lost = f", and what it cannot say of {', '.join(cannot)}" if cannot else ""
    return f"{said} Left out, too: addresses that it cannot hold{lost}."


def use(chosen: PairsSettings) -> str:
    """What is known to read the form."""
    return _USES.get(chosen.format, "").format(path=chosen.path)


_USES = {
    "opensmtpd": """\
# /etc/smtpd.conf, in front of the filter that rejects whom a DNSBL lists, and before it in the chain that listens
table safelist file:{path}
filter safelist phase mail-from match mail-from <safelist> bypass
""",
    "mailscanner": """\
# /etc/MailScanner/MailScanner.conf, read anew by a reload
Is Definitely Not Spam = {path}
""",
}


def check(chosen: PairsSettings | None) -> "Iterator[Remark]":
    """Ask OpenSMTPD, of all readers the one that answers."""
    from safelist.publisher import smtpd_check  # what only this needs takes longer to import than the rest

    return smtpd_check.remarks(chosen)


TARGET = Target(
    name=NAME, settings=PairsSettings, demands=demands, use=use, check=check, form=form,
    plan=lambda asked, chosen: form(chosen).plan(asked, chosen), scope=Scope.RECIPIENT,
)  # fmt: skip
