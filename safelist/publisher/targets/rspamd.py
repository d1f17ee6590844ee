"""rspamd: who is safe, as two maps that a rule in Lua asks; a composite then takes the DNSBLs' weight away.

A line is ``SENDER!AUTHENTICATION`` in the list for everybody and ``RECIPIENT|SENDER!AUTHENTICATION`` beside it, where
an authentication of ``exception`` says that the sender is not safe. rspamd reads them as maps of the type ``map``
(hash): a word, white space, a value; ``#`` begins a comment anywhere, and ``"`` or ``/`` a quoted key at the beginning.
So what could mean something in a local part is written as ``%`` and two hexadecimal digits. There is no value, because
rspamd (3.4) reads a file in pieces of a mebibyte and loses a line that is cut within its value.

rspamd's own multimap could look up a pair, too. It cannot say that an exception wins over its domain, knows neither
sub-domains nor tags (BATV), and looks up what rspamd makes of an address: ``bob+x@`` is ``bob@`` to it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from safelist.config import Section
from safelist.publisher.target import FilePath, PlainFilePath, RecipientRuling, Ruling, Scope
from safelist.publisher.text_target import Rendering, TextFile, text_target
from safelist.sender import Form, Pattern, unquoted

if TYPE_CHECKING:
    from safelist.remark import Remark

NAME = "rspamd"
HEADER = b"# Written by safelist; do not edit: `safelist publish` writes it anew.\n"
EXCEPTION = "exception"
RULE_FILE = "/etc/rspamd/rspamd.local.lua"


class RspamdSettings(Section):
    """Maps for rspamd, and the rule that asks them."""

    IS_OPTIONAL = True
    TITLE = "Maps for rspamd (per recipient and for the whole organisation)."

    path: PlainFilePath = Field(
        description="The map for everybody; beside it PATH.recipients is the one for each recipient.",
        examples=["/var/lib/safelist-rspamd/senders"],
    )
    every_recipient: bool = Field(
        False,
        description="rspamd has one verdict for a message. Without this it lifts the DNSBLs where one of several "
        "recipients trusts\nthe sender and none has blocked it; with it, where every one trusts it.",
    )
    url: str = Field(
        "http://127.0.0.1:11333",
        description="Where `safelist check rspamd` asks: a worker that scans over HTTP (the normal one, or the "
        "controller).",
        examples=["http://127.0.0.1:11333"],
    )
    password_file: FilePath | None = Field(
        None,
        description="A file with the controller's password, where `url` is a controller that asks for one.",
        examples=["/etc/safelist/rspamd-password"],
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not re.fullmatch(r"http://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}/?", url):
            raise ValueError("must be http://HOST:PORT, such as http://127.0.0.1:11333")
        return url


def demands(settings: RspamdSettings) -> str:
    """The envelope's sender and the header's From, each by itself."""
    return (
        "Where the policy or an override asks for DKIM or SPF, the envelope's sender must pass SPF, or the header's "
        "From DMARC; each proves only itself. Where they ask for SPF, the envelope's sender must pass it. DKIM alone, "
        "of a domain without a DMARC record, proves nothing. Left out: addresses that are not ASCII."
    )


def recipients(path: Path) -> Path:
    """The map for each recipient."""
    return path.with_name(f"{path.name}.recipients")


def why_not(text: str) -> str:
    """Servers write the same foreign letters in several ways, and rspamd compares octets."""
    return "" if text.isascii() else "it is not ASCII, and rspamd compares octets"


def render(everybody: Sequence[Ruling], each: Iterable[RecipientRuling], settings: RspamdSettings) -> Rendering:
    """Both maps."""
    path = settings.path
    lines = [_line(name_of(it.pattern), it) for it in everybody]
    pairs = TextFile(recipients(path), HEADER, _pairs(each), key=named_in)
    return Rendering((TextFile(path, HEADER, lines, key=named_in), pairs))


def named_in(line: bytes) -> bytes:
    """What a line is about, without what it says of it; ``!`` sorts before all that a name can hold."""
    return line.partition(b"!")[0]


def _pairs(rulings: Iterable[RecipientRuling]) -> Iterator[bytes]:
    recipient, written = "", ""
    for each in rulings:
        if each.recipient != recipient:
            recipient, written = each.recipient, name_of(Pattern(each.recipient, Form.ADDRESS))
        yield _line(f"{written}|{name_of(each.pattern)}", each)


def _line(key: str, ruling: Ruling | RecipientRuling) -> bytes:
    return f"{key}!{ruling.authentication if ruling.safe else EXCEPTION}\n".encode("ascii")


def name_of(pattern: Pattern) -> str:
    """What a sender or a recipient is called in the maps; the rule in Lua makes the same of a mail's."""
    if pattern.form is not Form.ADDRESS or _PLAIN.fullmatch(pattern.text):
        return pattern.text
    local, _, domain = unquoted(pattern).rpartition("@")
    return f"{_UNSAFE.sub(_escaped, local)}@{domain}"


_UNSAFE = re.compile(r"[^A-Za-z0-9._+=-]")
_PLAIN = re.compile(r"[A-Za-z0-9._+=-]+@[A-Za-z0-9._-]+")
"""Most addresses, which are written as they are."""


def _escaped(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02x}"


def rule(settings: RspamdSettings) -> str:
    """The rule in Lua, with the maps' place; it can say which it is (:func:`digest`)."""
    return _without_digest(settings).replace("@DIGEST@", digest(settings))


def digest(settings: RspamdSettings) -> str:
    """By what `safelist check rspamd` knows whether rspamd has loaded this rule, or another one."""
    return hashlib.sha256(_without_digest(settings).encode()).hexdigest()[:16]


def _without_digest(settings: RspamdSettings) -> str:
    text = resources.files(__package__).joinpath("rspamd.lua").read_text(encoding="utf-8")
    every = "true" if settings.every_recipient else "false"
    return text.replace("@PATH@", str(settings.path)).replace("@EVERY_RECIPIENT@", every)


def use(settings: RspamdSettings) -> str:
    """The file of rules in Lua that rspamd reads at its start, and what a site that rejects by itself has to add."""
    return f"-- {RULE_FILE} (add it to what is there), then: systemctl restart rspamd\n{rule(settings)}"


def check(settings: RspamdSettings | None) -> "Iterator[Remark]":
    """Ask the running rspamd which rule it has, how many senders it has read, and for one of them."""
    from safelist.publisher import rspamd_check  # what only this needs takes longer to import than the rest

    if settings is None:
        return rspamd_check.without_section()
    maps = (settings.path, recipients(settings.path))
    rule_ = rspamd_check.PublishedRule(
        settings.url, settings.password_file, maps, digest(settings), RULE_FILE, HEADER, EXCEPTION
    )
    return rspamd_check.remarks(rule_)


TARGET = text_target(
    name=NAME, settings=RspamdSettings, demands=demands, use=use, check=check, render=render, scope=Scope.RECIPIENT,
    why_not=why_not, if_missing="rspamd finds nobody safe until it is there, and then reads it by itself",
)  # fmt: skip
