"""Forms of a file that is read line by line: what each can say of a sender, and how. Pure.

A form that cannot say something (for single recipients, of domains, of exceptions) does not leave it to chance: what
it cannot say is left out, and with it every safe sender from whom an exception would be lost.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from safelist.override import Authentication
from safelist.publisher import escaping
from safelist.publisher.escaping import ESCAPINGS, Refused, in_regexp, in_single_quotes, refusing
from safelist.sender import Form, Pattern, domain_of

HEADER = b"# Written by safelist; do not edit: `safelist publish` writes it anew.\n"


class Capability(StrEnum):
    """What a form can say, beyond that an address is safe for everybody."""

    RECIPIENTS = "recipients"
    DOMAINS = "domains"
    SUBDOMAINS = "subdomains"
    EXCEPTIONS = "exceptions"
    AUTHENTICATION = "authentication"


EVERYTHING = frozenset(Capability)


class Statement(NamedTuple):
    """What a line says: for ``recipient``, or for everybody where that is empty, the sender is safe, or is not."""

    recipient: str
    pattern: Pattern
    safe: bool
    authentication: Authentication


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFormat:
    """``lines`` writes a statement (a line, or several with line feeds between), ``why_not`` refuses a text.

    ``is_one_file``: what counts for single recipients stands among the rest; else beside it, in ``PATH.recipients``.
    ``most`` is how many senders of a form the reader takes. ``is_extended``: it takes ``a+x@`` for ``a@``, too.
    ``beside`` gives the name and the text of a further file, beside the one of that name.
    """

    lines: Callable[[Statement], str]
    why_not: Callable[[str], str]
    holds: frozenset[Capability] = frozenset()
    header: bytes = HEADER
    is_one_file: bool = True
    most: Mapping[Form, int] = field(default_factory=dict)
    is_extended: bool = False
    beside: Callable[[str], tuple[str, str]] | None = None


NO_SENDER = b"safelist@!\n"
"""What no MAIL FROM can say: a table that is empty when smtpd starts would be a mapping, and refuse a list later."""

KINDS = {Form.ADDRESS: "address", Form.DOMAIN: "domain", Form.SUBDOMAINS: "subdomains"}
COLUMNS = ("recipient", "sender", "kind", "safe", "authentication")


def cells(said: Statement) -> tuple[str, str, str, str, str]:
    """The text of each of the :data:`COLUMNS`."""
    safe = "true" if said.safe else "false"
    return said.recipient, said.pattern.text, KINDS[said.pattern.form], safe, said.authentication


def _csv(said: Statement) -> str:
    return ",".join(map(escaping.in_quotes, cells(said)))


def _json(said: Statement) -> str:
    recipient, *rest = map(escaping.in_json, cells(said))
    values = ["null" if not said.recipient else recipient, *rest]
    values[3] = values[3].strip('"')
    return "{" + ", ".join(f'"{name}": {value}' for name, value in zip(COLUMNS, values, strict=True)) + "}"


def _pair(said: Statement) -> str:
    return f"{said.recipient}|{said.pattern.text}" if said.recipient else said.pattern.text


def _table(said: Statement) -> str:
    return said.pattern.text if said.pattern.form is Form.ADDRESS else f"@{said.pattern.text}"


def _ruleset(said: Statement) -> str:
    """The rules of MailScanner; its ``*@*.example.com`` does not mean example.com itself (RuleToRegexp)."""
    name = domain_of(said.pattern)
    senders = {
        Form.ADDRESS: [said.pattern.text], Form.DOMAIN: [f"*@{name}"], Form.SUBDOMAINS: [f"*@{name}", f"*@*.{name}"]
    }[said.pattern.form]  # fmt: skip
    condition = f" and To: {said.recipient}" if said.recipient else ""
    return "\n".join(f"From: {each}{condition} yes" for each in senders)


def _regexp(said: Statement) -> str:
    """An entry of a regexp map of rspamd, which is asked with the address alone."""
    name = in_regexp(domain_of(said.pattern))
    return {
        Form.ADDRESS: f"/^{in_regexp(said.pattern.text)}$/i",
        Form.DOMAIN: f"/@{name}$/i",
        Form.SUBDOMAINS: f"/[@.]{name}$/i",
    }[said.pattern.form]


def _content_filter(said: Statement) -> str:
    """A line of what the script beside it sets; ``*.example.com`` is a domain with its sub-domains there."""
    if said.pattern.form is Form.ADDRESS:
        return f"$safelistSenders += {in_single_quotes(said.pattern.text)}"
    wildcard = "*" if said.pattern.form is Form.SUBDOMAINS else ""
    return f"$safelistDomains += {in_single_quotes(wildcard + said.pattern.text)}"


def _script(name: str) -> str:
    return f"{name.removesuffix('.ps1')}.apply.ps1"


def _content_filter_script(name: str) -> tuple[str, str]:
    text = f"""\
# For the Exchange Management Shell of a server with the Content Filter agent. What it sets takes the place of whatever
# BypassedSenders and BypassedSenderDomains hold. It cannot: know single recipients, say exceptions, ask for SPF or DKIM
# (whoever forges a sender is taken for it), hold more than 100 senders and 100 domains, or lift what rejects at the
# connection, such as an IP Block List provider or a server in front.
$safelistSenders = @()
$safelistDomains = @()
. (Join-Path $PSScriptRoot {in_single_quotes(name)})
Set-ContentFilterConfig -BypassedSenders $safelistSenders -BypassedSenderDomains $safelistDomains
"""
    return _script(name), text


def _tenant_list(said: Statement) -> str:
    return f"$safelistSenders += {in_single_quotes(said.pattern.text)}"


def _tenant_list_script(name: str) -> tuple[str, str]:
    text = f"""\
# For Exchange Online PowerShell. It changes only entries of the Tenant Allow/Block List whose note is safelist. It
# cannot: know single recipients, say exceptions or domains, keep an allow entry for good (-NoExpiration is none for
# senders: each ends 45 days after it was last used), or lift what rejects at the connection or in front of Microsoft.
$safelistSenders = @()
. (Join-Path $PSScriptRoot {in_single_quotes(name)})
$there = @(Get-TenantAllowBlockListItems -ListType Sender -Allow | Where-Object {{ $_.Notes -eq 'safelist' }})
$gone = @($there | Where-Object {{ $safelistSenders -notcontains $_.Value }})
$new = @($safelistSenders | Where-Object {{ @($there.Value) -notcontains $_ }})
foreach ($entry in $gone) {{
  Remove-TenantAllowBlockListItems -ListType Sender -Entries $entry.Value
}}
foreach ($sender in $new) {{
  New-TenantAllowBlockListItems -ListType Sender -Allow -Entries $sender -RemoveAfter 45 -Notes 'safelist'
}}
"""
    return _script(name), text


_ANY_DOMAIN = frozenset({Capability.DOMAINS, Capability.SUBDOMAINS})
_PIPE: Refused = (re.compile(r"\|"), "the | stands between recipient and sender")
_SHARP: Refused = (re.compile("#"), "a # begins a comment, wherever it stands")
_IN_LINES = (escaping.UNSEEN, escaping.NOT_ASCII, escaping.QUOTED, escaping.COMMENT, escaping.TEMPLATE)

FORMATS: Mapping[str, LineFormat] = {
    "csv": LineFormat(
        lines=_csv, why_not=ESCAPINGS["csv"].why_not, holds=EVERYTHING,
        header=(",".join(map(escaping.in_quotes, COLUMNS)) + "\n").encode(),
    ),
    "json-lines": LineFormat(
        lines=_json, why_not=ESCAPINGS["json"].why_not, holds=EVERYTHING,
        header=b'{"written_by": "safelist", "columns": "recipient, sender, kind, safe, authentication"}\n',
    ),
    "recipient|sender": LineFormat(
        lines=_pair, why_not=refusing(*_IN_LINES, _PIPE), holds=_ANY_DOMAIN | {Capability.RECIPIENTS},
        is_one_file=False,
    ),
    "haraka": LineFormat(
        lines=_pair, why_not=refusing(*_IN_LINES, _PIPE), holds=_ANY_DOMAIN | {Capability.RECIPIENTS},
        is_one_file=False,
    ),
    "opensmtpd": LineFormat(
        lines=_table, why_not=refusing(*_IN_LINES, _SHARP), holds=frozenset({Capability.DOMAINS}), is_extended=True,
        header=HEADER + NO_SENDER,
    ),
    "mailscanner": LineFormat(
        lines=_ruleset, why_not=refusing(escaping.NOT_PLAIN), holds=_ANY_DOMAIN | {Capability.RECIPIENTS},
        header=HEADER + b"FromOrTo: default no\n",
    ),
    "mailcow": LineFormat(lines=_regexp, why_not=ESCAPINGS["regexp"].why_not, holds=_ANY_DOMAIN),
    "exchange": LineFormat(
        lines=_content_filter, why_not=refusing(*_IN_LINES), holds=_ANY_DOMAIN,
        most={Form.ADDRESS: 100, Form.DOMAIN: 100}, beside=_content_filter_script,
    ),
    "microsoft-365": LineFormat(lines=_tenant_list, why_not=refusing(*_IN_LINES), beside=_tenant_list_script),
}  # fmt: skip
"""By the word that the configuration has for each; a template of the administrator's makes one more."""
