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
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import AfterValidator, Field

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


def _is_http(url: str) -> str:
    if not re.fullmatch(r"http://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}/?", url):
        raise ValueError("must be http://HOST:PORT, such as http://127.0.0.1:11333")
    return url


EveryRecipient = Annotated[
    bool,
    Field(
        description="rspamd has one verdict for a message. Without this it lifts the DNSBLs where one of several "
        "recipients trusts\nthe sender and none has blocked it; with it, where every one trusts it."
    ),
]
WorkerUrl = Annotated[
    str,
    AfterValidator(_is_http),
    Field(
        description="Where `safelist check` asks: a worker that scans over HTTP (the normal one, or the controller).",
        examples=["http://127.0.0.1:11333"],
    ),
]
WorkerPasswordFile = Annotated[
    FilePath | None,
    Field(
        description="A file with the controller's password, where `url` is a controller that asks for one.",
        examples=["/etc/safelist/rspamd-password"],
    ),
]
WORKER_URL = "http://127.0.0.1:11333"


class RuleSettings(Protocol):
    """What of a section decides how the rule rates."""

    @property
    def every_recipient(self) -> bool: ...


class RspamdSettings(Section):
    """Maps for rspamd, and the rule that asks them."""

    IS_OPTIONAL = True
    TITLE = "Maps for rspamd (per recipient and for the whole organisation)."

    path: PlainFilePath = Field(
        description="The map for everybody; beside it PATH.recipients is the one for each recipient.",
        examples=["/var/lib/safelist-rspamd/senders"],
    )
    every_recipient: EveryRecipient = False
    url: WorkerUrl = WORKER_URL
    password_file: WorkerPasswordFile = None


def demands(_: RuleSettings) -> str:
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
    pairs = TextFile(recipients(path), HEADER, pair_lines(each), key=named_in)
    return Rendering((TextFile(path, HEADER, sender_lines(everybody), key=named_in), pairs))


def sender_lines(everybody: Iterable[Ruling]) -> list[bytes]:
    """The lines for everybody."""
    return [_line(name_of(it.pattern), it) for it in everybody]


def named_in(line: bytes) -> bytes:
    """What a line is about, without what it says of it; ``!`` sorts before all that a name can hold."""
    return line.partition(b"!")[0]


def pair_lines(rulings: Iterable[RecipientRuling]) -> Iterator[bytes]:
    """The lines for each recipient."""
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
    return rule_asking(_maps(settings), settings)


def digest(settings: RspamdSettings) -> str:
    """By what `safelist check rspamd` knows whether rspamd has loaded this rule, or another one."""
    return digest_asking(_maps(settings), settings)


def _maps(settings: RspamdSettings) -> str:
    return lua("rspamd_maps.lua").replace("@PATH@", str(settings.path))


def rule_asking(lists: str, settings: RuleSettings) -> str:
    """The rule with that text in Lua, which makes ``lists``: where it looks names up, and what it tells of them."""
    return _without_digest(lists, settings).replace("@DIGEST@", digest_asking(lists, settings))


def digest_asking(lists: str, settings: RuleSettings) -> str:
    """Its digest."""
    return hashlib.sha256(_without_digest(lists, settings).encode()).hexdigest()[:16]


def _without_digest(lists: str, settings: RuleSettings) -> str:
    every = "true" if settings.every_recipient else "false"
    return lua("rspamd.lua").replace("@EVERY_RECIPIENT@", every).replace("@LISTS@\n", f"{lists}\n")


def lua(name: str) -> str:
    """A file in Lua that stands beside this module."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def use(settings: RspamdSettings) -> str:
    """The file of rules in Lua that rspamd reads at its start, and what a site that rejects by itself has to add."""
    return use_of(rule(settings))


def use_of(rule_: str) -> str:
    """The file where a rule has to stand, and what it says."""
    return f"-- {RULE_FILE} (add it to what is there), then: systemctl restart rspamd\n{rule_}"


def check(settings: RspamdSettings | None) -> "Iterator[Remark]":
    """Ask the running rspamd which rule it has, how many senders it has read, and for one of them."""
    from safelist.publisher import rspamd_check  # what only this needs takes longer to import than the rest

    if settings is None:
        return rspamd_check.without_section()
    rule_ = rspamd_check.PublishedRule(NAME, settings.url, settings.password_file, digest(settings), RULE_FILE)
    maps = rspamd_check.PublishedMaps((settings.path, recipients(settings.path)), HEADER, EXCEPTION)
    return rspamd_check.remarks(rule_, maps)


TARGET = text_target(
    name=NAME, settings=RspamdSettings, demands=demands, use=use, check=check, render=render, scope=Scope.RECIPIENT,
    why_not=why_not, if_missing="rspamd finds nobody safe until it is there, and then reads it by itself",
)  # fmt: skip
