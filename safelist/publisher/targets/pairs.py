"""Any other filter: a file in a form that it reads, or that a template of the administrator's writes.

What a form can say differs (:mod:`safelist.publisher.line_formats`): of single recipients, of domains, of exceptions,
of what a mail has to prove. Whatever it cannot say is left out and reported, never so that more is safe; no form but
those with a column for it demands authentication, so senders who have to prove themselves are in the others only
where the configuration says so.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from safelist.config import Section
from safelist.errors import ConfigError
from safelist.override import Authentication
from safelist.publisher.escaping import ESCAPINGS
from safelist.publisher.line_formats import FORMATS, HEADER, Capability, LineFormat
from safelist.publisher.line_rendering import beside, render
from safelist.publisher.target import Command, FilePath, Scope, Target
from safelist.publisher.text_target import text_target
from safelist.sender import Form

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

    path: FilePath = Field(description="The file.", examples=["/var/lib/safelist-pairs/safelist.csv"])
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
        if not is_template and FORMATS[self.format].beside and not self.path.name.isascii():
            yield "path: its name must be ASCII, for Windows PowerShell reads a script as the machine's own code page"


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
        name=NAME, settings=PairsSettings, demands=demands, use=use, check=check,
        render=lambda everybody, each, chosen: render(line, everybody, each, chosen.path),
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
        "unauthenticated = true in its section writes it all the same"
    )


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
Use Default Rules With Multiple Recipients = yes
""",
}


def check(chosen: PairsSettings | None) -> "Iterator[Remark]":
    """Ask OpenSMTPD, of all readers the one that answers."""
    from safelist.publisher import smtpd_check  # what only this needs takes longer to import than the rest

    if chosen is None:
        return smtpd_check.remarks(None, (), b"")
    line = line_format(chosen)
    paths = (chosen.path,) if line.is_one_file else (chosen.path, beside(chosen.path))
    return smtpd_check.remarks(chosen, paths, line.header)


TARGET = Target(
    name=NAME, settings=PairsSettings, demands=demands, use=use, check=check, form=form,
    plan=lambda asked, chosen: form(chosen).plan(asked, chosen), scope=Scope.RECIPIENT,
)  # fmt: skip
