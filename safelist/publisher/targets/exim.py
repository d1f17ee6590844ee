"""Exim 4: two lists, and the ACL text that asks them and lets ``deny dnslists`` pass over whom they name.

A list is an lsearch file, or a cdb file made of it (Exim's specification, "File and database lookups"): for everybody
``bob@partner.example dkim-or-spf`` a line, and for one recipient ``bob@partner.example>desk@corp.example spf``; the
value is what a mail has to prove, or ``no`` for an exception. ``>`` stands in no address that these lists hold, so
nobody's key is part of another's. Exim's partial lookup (``partial2(.)``) finds ``b.c.d``, ``.b.c.d`` and ``.c.d``, in
this order: what a domain and a domain with its sub-domains are called here, the more specific first.

The text has ``warn``, ``defer`` and ``deny`` in it, and no ``accept``: wherever it stands, it lets nobody relay, and
skips nothing that stands below. The spf condition is asked only where this Exim has it (``_HAVE_SPF``); a list or an
index that is not there makes nobody safe.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from safelist.config import Section
from safelist.errors import UnavailableError
from safelist.override import Authentication
from safelist.publisher import exim_acl, program
from safelist.publisher.target import Command, PlainFilePath, RecipientRuling, Ruling, Scope
from safelist.publisher.text_target import Rendering, TextFile, text_target
from safelist.sender import MAX_ADDRESS, Form, parse

if TYPE_CHECKING:
    from safelist.remark import Remark

NAME = "exim"
EXCEPTION = "no"
HEADER = b"# Written by safelist; do not edit: `safelist publish` writes it anew.\n"


class EximSettings(Section):
    """Two lists that Exim's ACLs look senders up in."""

    TITLE = "Lists for Exim 4, for each recipient and for everybody; `safelist publish` prints the ACLs that ask them."
    IS_OPTIONAL = True

    path: PlainFilePath = Field(
        description="The list for everybody; the one for single recipients is PATH.recipients. Exim must be able to "
        "read both.",
        examples=["/var/lib/safelist-exim/safelist"],
    )
    lookup: Literal["lsearch", "cdb"] = Field(
        "lsearch",
        description="How Exim looks senders up: lsearch reads the list from its beginning, cdb asks an index (made by "
        "tinycdb's `cdb`).\nTake cdb above 10,000 lines.",
    )
    dnslists: str = Field(
        "zen.spamhaus.org", description="What the ACL's `deny dnslists` asks, in Exim's words for it."
    )
    spf: bool = Field(
        True,
        description="Whether this Exim has SPF (Debian: exim4-daemon-heavy). With false, senders whose mail must prove "
        "itself by SPF are\nleft out.",
    )
    dkim: bool = Field(
        False,
        description="Let a listed client deliver what a safe sender's domain has signed where SPF does not pass: the "
        "text of such a mail\nis received before it is decided on, which takes two ACLs more.",
    )
    command: Command = Field(
        ("exim4",),
        description="How `safelist check exim` calls Exim.",
        examples=["exim4 -C /etc/exim4/second.conf"],
    )
    probe_recipient: str = Field(
        "",
        description="An existing mailbox that `safelist check exim` asks Exim about, where no list is published for a "
        "single recipient.",
        examples=["reception@corp.example"],
    )

    @field_validator("dnslists")
    @classmethod
    def _is_one_line(cls, dnslists: str) -> str:
        if not dnslists.strip() or not dnslists.isprintable():
            raise ValueError("must name DNSBLs in one line, such as zen.spamhaus.org : bl.example.org")
        return dnslists.strip()

    @field_validator("probe_recipient")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if address and parse(address).form is not Form.ADDRESS:
            raise ValueError("must be an address, such as reception@corp.example")
        return address


def recipients(path: Path) -> Path:
    """Where the list for single recipients stands."""
    return path.with_name(f"{path.name}.recipients")


def demands(settings: EximSettings) -> str:
    """What a mail has to prove, and who is left out."""
    ways = ["SPF passes for the envelope's sender"] if settings.spf else []
    if settings.dkim:
        ways.append("the sender's domain has signed the mail and its header's From is the envelope's sender")
    asked = " or, where the policy takes DKIM, ".join(ways) or "nothing, which is why only such senders are published"
    left_out = "" if settings.spf else "senders who must prove themselves by SPF, "
    return (
        f"Exim believes a safe sender when {asked}; overrides without authentication are believed as they come. Left "
        f"out: {left_out}addresses that have to stand in quotes or are not ASCII, and recipients like that, for whom "
        "what counts for everybody holds."
    )


def not_asked(authentication: Authentication, settings: EximSettings) -> str:
    """Why an Exim that is configured so never finds a mail proven."""
    is_asked = settings.spf or (settings.dkim and authentication is Authentication.DKIM_OR_SPF)
    if authentication is Authentication.NONE or is_asked:
        return ""
    return f"it needs authentication ({authentication}), and [publish.exim] has spf = false" + (
        "" if settings.dkim else " and dkim = false"
    )


# Of the letters of a dot-atom (RFC 5322 3.2.3), with dots anywhere: what Exim's $sender_address has no quotes around.
_ATEXT = r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]"
_PLAIN = re.compile(rf"(?:{_ATEXT}+@|\.)?[a-z0-9_-][a-z0-9_.-]*")
_UNSAFE = (
    (re.compile(r"[^\x00-\x7f]"), "Exim looks it up in ASCII only"),
    (re.compile(r'["\\\s]'), "Exim looks up no address that has to stand in quotes"),
)


def why_not(text: str) -> str:
    """Why the ACL would not look up such a sender, or recipient."""
    if len(text) <= MAX_ADDRESS and _PLAIN.fullmatch(text):
        return ""
    return next((why for unsafe, why in _UNSAFE if unsafe.search(text)), "it is no plain address or domain")


def render(everybody: Sequence[Ruling], each: Iterable[RecipientRuling], settings: EximSettings) -> Rendering:
    """Both lists, each with the index that Exim reads."""
    lines = [_line(ruling.pattern.text, ruling) for ruling in everybody]
    pairs = (_line(f"{ruling.pattern.text}>{ruling.recipient}", ruling) for ruling in each)
    return Rendering((_file(settings.path, lines, settings), _file(recipients(settings.path), pairs, settings)))


def _line(key: str, ruling: Ruling | RecipientRuling) -> bytes:
    """A key that begins with # stands in quotes: else the line would be a comment."""
    value = str(ruling.authentication) if ruling.safe else EXCEPTION
    return (f'"{key}" {value}\n' if key[0] == "#" else f"{key} {value}\n").encode("ascii")


def _file(path: Path, lines: Iterable[bytes], settings: EximSettings) -> TextFile:
    if settings.lookup == "cdb":
        return TextFile(path, HEADER, lines, CdbIndex())
    is_left = Path(f"{path}.cdb").exists()  # ACLs may still name it
    return TextFile(path, HEADER, lines, left_behind=(CdbIndex(),) if is_left else ())


@dataclass(frozen=True, slots=True)
class CdbIndex:
    """A list in the form of cdb(5), made and read back by tinycdb's ``cdb``."""

    @property
    def suffix(self) -> str:
        """``.cdb``."""
        return ".cdb"

    def build(self, path: Path) -> None:
        """Index ``path``, with its mode and group, and read it back. Raises UnavailableError with cdb's own words."""
        outcome = program.run([_cdb(), "-c", f"{path}{self.suffix}", "-"], _records(path))
        if outcome.code != 0:
            raise UnavailableError(f"cdb cannot make the index: {outcome.complaint}")
        shutil.copymode(path, f"{path}{self.suffix}")
        os.chown(f"{path}{self.suffix}", -1, path.stat().st_gid)
        if not self.holds(path):
            raise UnavailableError("cdb reads something else back from the new index than was written into it")

    def holds(self, path: Path) -> bool:
        """Whether the index holds exactly the lines of the text, in their order."""
        outcome = program.run([_cdb(), "-d", f"{path}{self.suffix}"])
        return outcome.code == 0 and outcome.output == _records(path)


def _cdb() -> str:
    found = program.find("cdb")
    if found is None:
        raise UnavailableError(
            'cdb is not installed: apt-get install tinycdb, or set [publish.exim] lookup = "lsearch", which needs no '
            "index"
        )
    return found


def _records(path: Path) -> bytes:
    """The list's lines as cdb(1) reads and dumps them: ``+3,4:key->none``, and an empty line at the end."""
    pairs = (line.split(b" ") for line in path.read_bytes().splitlines() if not line.startswith(b"#"))
    return b"".join(b"+%d,%d:%s->%s\n" % (len(k), len(v), k, v) for k, v in _unquoted(pairs)) + b"\n"


def _unquoted(pairs: Iterable[list[bytes]]) -> Iterator[tuple[bytes, bytes]]:
    return ((key.strip(b'"'), value) for key, value in pairs)


def lists(settings: EximSettings) -> exim_acl.EximLists:
    """The lists as the ACLs name them."""
    return exim_acl.EximLists(
        str(settings.path), str(recipients(settings.path)), settings.lookup, settings.dnslists, settings.dkim
    )  # fmt: skip


def use(settings: EximSettings) -> str:
    """The files of Exim's configuration."""
    return exim_acl.snippet(lists(settings))


def check(settings: EximSettings | None) -> "Iterator[Remark]":
    """Ask this machine's Exim what it makes of the lists."""
    from safelist.publisher import exim_check  # what only this needs takes longer to import than the rest

    if settings is None:
        return exim_check.without_section()
    installed = exim_check.Installation(settings.command, settings.spf, settings.probe_recipient, HEADER)
    return exim_check.remarks(lists(settings), installed)


TARGET = text_target(
    name=NAME, settings=EximSettings, demands=demands, use=use, check=check, scope=Scope.RECIPIENT, render=render,
    why_not=why_not, not_asked=not_asked, if_missing="Exim goes on as if nobody were safe",
)  # fmt: skip
