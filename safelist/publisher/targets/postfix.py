"""Postfix: a map for check_sender_access, ``key permit_auth_destination`` a line (access(5), postmap(1)).

The result is never ``OK`` and never a number, which mean the same: in a list that also controls relaying either would
let whoever forges a listed sender relay (SMTPD_ACCESS_README, "Dangerous use of smtpd_recipient_restrictions").
``permit_auth_destination`` accepts mail for this site's own domains and decides nothing about any other.

A domain is written as ``example.com``: ``@example.com`` is never looked up. With Postfix's default
parent_domain_matches_subdomains, which names smtpd_access_maps, it also matches every sub-domain; without it,
``.example.com`` does. ``DUNNO`` ends the search for a domain that is an exception from one above it; so is the whole
domain of an address that is one, which may come with any tag (BATV). A map cannot ask for authentication: whoever
forges a listed sender is taken for it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field, field_validator

from safelist.config import Section
from safelist.errors import ConfigError, UnavailableError
from safelist.override import Authentication
from safelist.publisher import program
from safelist.publisher.target import Command, FilePath, LeftOut, RecipientRuling, Ruling
from safelist.publisher.text_target import Rendering, TextFile, text_target
from safelist.sender import Form, Pattern, covering, domain_of, shorter, unquoted, with_subdomains

if TYPE_CHECKING:
    from safelist.remark import Remark

NAME = "postfix"
RESULT = "permit_auth_destination"
EXCEPTION = "DUNNO"
HEADER = b"# Written by safelist; do not edit: `safelist publish` writes it anew.\n"

MapType = Literal["", "hash", "btree", "lmdb", "cdb", "texthash"]
_SUFFIXES = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb"}


class PostfixSettings(Section):
    """A map for Postfix's check_sender_access."""

    TITLE = "A map for Postfix: check_sender_access TYPE:PATH, directly before the reject_rbl_client it is to lift."

    path: FilePath = Field(
        description="The map's text; its index stands beside it.", examples=["/var/lib/safelist-map/postfix"]
    )
    map_type: MapType = Field(
        "",
        description="hash, btree, lmdb, cdb or texthash (read as it is: no index). "
        "Without it, what `postconf -h default_database_type` says.",
        examples=["lmdb"],
    )
    unauthenticated: bool = Field(
        True,
        description="Write senders whose mail must prove itself (SPF, DKIM) although this map cannot ask for it. With "
        "false only\nthose that overrides allow without authentication are written.",
    )
    parent_domain_matches_subdomains: bool | None = Field(
        None,
        description="Whether Postfix's setting of that name has smtpd_access_maps in it (its default has). Without it, "
        "what postconf\nsays.",
        examples=[True],
    )
    recipient_delimiter: str | None = Field(
        None,
        description="Postfix's setting of that name: it takes bob+news@example.com for bob@example.com. Without it, "
        "what postconf says.",
        examples=["+"],
    )
    smtputf8_enable: bool | None = Field(
        None,
        description="Postfix's setting of that name: it takes senders in foreign letters, and looks them up as they "
        "came. Without it,\nwhat postconf says.",
        examples=[False],
    )
    widen_domains: bool = Field(
        False,
        description="Write a domain although Postfix then matches its sub-domains, too, which nobody has allowed.",
    )
    on_change: Command = Field(
        (),
        description="A command (no shell) to run after the map has changed. Postfix notices a new hash, btree, lmdb or "
        "cdb file by itself; only texthash needs it.",
        examples=["postfix reload"],
    )

    @field_validator("path")
    @classmethod
    def _fits_into_main_cf(cls, path: Path) -> Path:
        if re.search(r"[\s,${}\"'\x00-\x1f\x7f]", str(path)):
            raise ValueError("must not contain white space, quotes or any of , $ { }: main.cf cannot name such a file")
        return path


def demands(settings: PostfixSettings) -> str:
    """A map asks for nothing; what it can do is to leave senders out."""
    said = ["A map can ask for no authentication: whoever forges a sender in it is taken for that sender."]
    if settings.unauthenticated:
        said.append("It holds the senders of whom the policy or an override asks for DKIM or SPF all the same.")
    else:
        said.append("Left out: every sender but those that overrides allow without authentication.")
    said.append("Left out, too: what only single mailboxes trust, domains of which an override blocks an address")
    said[-1] += "." if settings.widen_domains else ", and domains whose sub-domains Postfix would match without leave."
    return " ".join(said)


class MapLines(NamedTuple):
    """The map's lines, sorted by their keys, and the senders that are not in them."""

    lines: tuple[bytes, ...]
    left_out: tuple[LeftOut, ...]


def render(everybody: Sequence[Ruling], _: Iterable[RecipientRuling], settings: PostfixSettings) -> Rendering:
    """The map, with the index that Postfix reads."""
    made = map_lines(everybody, settings)
    file = TextFile(settings.path, HEADER, made.lines, index(settings), left_behind(settings))
    return Rendering((file,), made.left_out)


def map_lines(rulings: Iterable[Ruling], settings: PostfixSettings) -> MapLines:
    """The map's lines: lower case, sorted, each key once, nothing in it that changes from run to run."""
    given, refused = _writable(rulings, settings)
    lines = {unquoted(r.pattern).lower(): RESULT for r in given if r.safe and r.pattern.form is Form.ADDRESS}
    if any(ruling.pattern.form is not Form.ADDRESS for ruling in given):
        refused += _add_domains(lines, given, settings)
    text = tuple([f"{key} {lines[key]}\n".encode("ascii") for key in sorted(lines)])
    return MapLines(text, tuple(sorted(refused, key=lambda r: r.pattern[:2])))


def not_asked(authentication: Authentication, settings: PostfixSettings) -> str:
    """A map can ask for nothing."""
    if settings.unauthenticated or authentication is Authentication.NONE:
        return ""
    return f"it needs authentication ({authentication}), and unauthenticated = false"


def _writable(given: Iterable[Ruling], settings: PostfixSettings) -> tuple[list[Ruling], list[LeftOut]]:
    """The rulings that can be written and kept to, with every exception, and the others."""
    rulings = list(given)
    faults = {ruling.pattern: fault for ruling in rulings if ruling.safe and (fault := _fault(ruling))}
    addresses = [ruling for ruling in rulings if ruling.pattern.form is Form.ADDRESS]
    extended = {text for ruling in addresses if not ruling.safe for text in shorter(ruling.pattern)}
    narrow = [r for r in addresses if r.safe and (not r.may_widen or (extended and unquoted(r.pattern) in extended))]
    delimiter = _recipient_delimiter(settings) if narrow else ""
    for ruling in narrow if delimiter else ():
        faults.setdefault(ruling.pattern, LeftOut(ruling.pattern, _EXTENDED.format(delimiter=delimiter)))
    return [ruling for ruling in rulings if ruling.pattern not in faults], list(faults.values())


_EXTENDED = (
    "this Postfix (recipient_delimiter = {delimiter}) would take what extends it for it, too, which an override "
    "blocks, or asks more of; if it does not, correct [publish.postfix] recipient_delimiter"
)


def _fault(ruling: Ruling) -> LeftOut | None:
    """Why a safe sender cannot be written."""
    pattern = ruling.pattern
    plain = _PLAIN.get(pattern.form)
    text = unquoted(pattern) if pattern.form is Form.ADDRESS else pattern.text
    if plain and plain.fullmatch(text.lower()) and text.isascii():
        return None
    return LeftOut(pattern, _refusal(pattern))


def _add_domains(lines: dict[str, str], rulings: Iterable[Ruling], settings: PostfixSettings) -> Iterator[LeftOut]:
    """Write the domains as this Postfix reads them; where a key would mean more than one ruling, the narrower one."""
    is_wide = settings.parent_domain_matches_subdomains
    if is_wide is None:
        is_wide = _parent_domain_matches_subdomains()
    domains = [ruling for ruling in rulings if ruling.pattern.form is not Form.ADDRESS]
    safe = {ruling.pattern for ruling in domains if ruling.safe}
    for ruling in sorted(domains, key=lambda r: (not r.safe, r.pattern[:2])):
        pattern, name = ruling.pattern, domain_of(ruling.pattern)
        is_too_wide = is_wide and pattern.form is Form.DOMAIN and not (settings.widen_domains and ruling.may_widen)
        if ruling.safe and is_too_wide:
            if with_subdomains(pattern) not in safe:
                yield LeftOut(pattern, _TOO_WIDE.format(domain=name))
            continue
        if not is_wide and not ruling.safe and pattern.form is Form.SUBDOMAINS and Pattern(name, Form.DOMAIN) in safe:
            lines[f".{name}"] = EXCEPTION
            continue
        if not ruling.safe and lines.get(name) == RESULT and with_subdomains(pattern) in safe:
            yield LeftOut(with_subdomains(pattern), f"an exception for {name} itself leaves its sub-domains out, too")
        keys = (name,) if is_wide or pattern.form is Form.DOMAIN else (name, f".{name}")
        lines |= dict.fromkeys(keys, RESULT if ruling.safe else EXCEPTION)
    excepted = (ruling.pattern for ruling in rulings if not ruling.safe and ruling.pattern.form is Form.ADDRESS)
    yield from _except_domains_of(sorted(excepted, key=lambda it: it[:2]), lines, is_wide=is_wide)
    yield from _leave_out_what_foreign_letters_open(lines, settings, is_wide=is_wide)


def _leave_out_what_foreign_letters_open(
    lines: dict[str, str], settings: PostfixSettings, *, is_wide: bool
) -> Iterator[LeftOut]:
    """Take out the domains with sub-domains that have an exception strictly below them.

    Postfix looks a domain in foreign letters up as it came: what IDNA makes ``s.example.com`` of (a full-width s, a
    soft hyphen in it) misses the exception and finds ``example.com``. An exception for the domain itself holds, since
    nothing stands behind it.
    """
    wide = [key for key in lines if "@" not in key and lines[key] == RESULT and (is_wide or key.startswith("."))]
    excepted = [key.removeprefix(".") for key in lines if "@" not in key and lines[key] == EXCEPTION]
    open_ = {key: below for key in wide for below in excepted if below.endswith("." + key.removeprefix("."))}
    for key, below in sorted(open_.items()) if open_ and _smtputf8_enable(settings) else ():
        del lines[key]
        pattern = Pattern("." + key.removeprefix("."), Form.SUBDOMAINS)
        yield LeftOut(pattern, _FOREIGN.format(exception=below), below)


def _except_domains_of(addresses: Iterable[Pattern], lines: dict[str, str], *, is_wide: bool) -> Iterator[LeftOut]:
    """Take the domain of each address out of what is safe: a map can name an address, but not with every BATV tag."""
    for address in addresses:
        name = domain_of(address)
        if _found(lines, name, is_wide=is_wide) == RESULT:
            lines[name] = EXCEPTION
            domain = Pattern(name, Form.DOMAIN)
            pattern = with_subdomains(domain) if is_wide else domain
            yield LeftOut(pattern, _TAGGED.format(exception=address.text), address.text)


def _found(lines: Mapping[str, str], domain: str, *, is_wide: bool) -> str | None:
    """What Postfix finds for a sender in ``domain`` whose address is not there (access(5))."""
    parents = covering(Pattern(domain, Form.SUBDOMAINS))[1:]
    keys = (domain, *(parent[1:] if is_wide else parent for parent in parents))
    return next((lines[key] for key in keys if key in lines), None)


_TOO_WIDE = (
    "this Postfix would match its sub-domains, too: if that is meant, `safelist override allow {domain} "
    "--with-subdomains` or (unless own, free-mail, shared or public-suffix domains are below it) [publish.postfix] "
    "widen_domains; if not, take smtpd_access_maps out of Postfix's parent_domain_matches_subdomains"
)
_TAGGED = (
    "{exception} must be an exception from it, but a map cannot name it with every tag before it (BATV: prvs=TAG=...); "
    "allow single addresses there, or let safelist's own filter, which knows tags, take the map's place"
)


_FOREIGN = (
    "{exception} must be an exception below it, and this Postfix (smtputf8_enable) would not know that one in foreign "
    "letters; allow single addresses or domains there, set smtputf8_enable = no in main.cf, or let safelist's own "
    "filter take the map's place"
)


# An address as Postfix looks it up: unquoted, of the letters of a Dot-string (RFC 5321 4.1.2), but no # or - first; a
# domain of two labels or more, whose last one is no number: nothing that access(5) takes for user@, .domain, <> or a
# network.
_ATEXT = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]"
_LOCAL = rf"(?![#-])(?:{_ATEXT}|\.)+"
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_DOMAIN = rf"(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}"
_PLAIN = {
    Form.ADDRESS: re.compile(rf"(?!.{{255}}){_LOCAL}@{_DOMAIN}"),
    Form.DOMAIN: re.compile(rf"(?!.{{255}}){_DOMAIN}"),
    Form.SUBDOMAINS: re.compile(rf"(?!.{{255}})\.{_DOMAIN}"),
}
_UNSAFE = (
    (re.compile(r"[^\x00-\x7f]"), "it is not ASCII"),
    (re.compile(r"[\x00-\x20\x7f]"), "white space or a control character ends a key"),
    (re.compile(r'["\\]'), "Postfix versions differ in how they read quotes and backslashes"),
    (re.compile(r"\A#"), "a line that begins with # is a comment"),
    (re.compile(r"\A-.*@"), "Postfix takes no mail from an address that begins with - (allow_min_user, postconf(5))"),
    (re.compile(r"[\s\S]{255}"), "it is longer than 254 characters"),
)


def _refusal(pattern: Pattern) -> str:
    is_domain = pattern.form in (Form.DOMAIN, Form.SUBDOMAINS)
    shape = "domain such as example.com" if is_domain else "address such as user@example.com"
    return next((why for unsafe, why in _UNSAFE if unsafe.search(pattern.text)), f"it is not a plain {shape}")


@dataclass(frozen=True, slots=True)
class PostmapIndex:
    """The indexed form of a map that postmap makes, and reads back."""

    map_type: str
    postmap: str

    @property
    def suffix(self) -> str:
        """``.db``, ``.lmdb`` or ``.cdb``."""
        return _SUFFIXES[self.map_type]

    def build(self, path: Path) -> None:
        """Index ``path`` and read it back. Raises UnavailableError with postmap's own words."""
        outcome = program.run([self.postmap, f"{self.map_type}:{path}"])
        if outcome.code != 0:
            raise UnavailableError(f"postmap cannot make the {self.map_type} map: {outcome.complaint}")
        if not self.holds(path):
            raise UnavailableError("postmap reads something else back from the new map than was written into it")

    def holds(self, path: Path) -> bool:
        """Whether postmap reads exactly the lines of the text back (of a cdb file: at least those)."""
        wanted = path.read_bytes().partition(HEADER)[2].replace(b" ", b"\t")
        # postmap -s cannot list a cdb file, so each key is asked for; it exits with 1 when none was found.
        ask, normal = (["-q", "-"], (0, 1)) if self.map_type == "cdb" else (["-s"], (0,))
        try:
            outcome = program.run([self.postmap, *ask, f"{self.map_type}:{path}"], _questions(wanted))
        except UnavailableError:
            return False
        if outcome.code not in normal or (outcome.code and b"fatal:" in outcome.errors):
            return False
        return outcome.output == wanted or sorted(outcome.output.split(b"\n")) == sorted(wanted.split(b"\n"))


def _questions(lines: bytes) -> bytes:
    return b"".join([line.partition(b"\t")[0] + b"\n" for line in lines.splitlines()] or [b"safelist.invalid\n"])


def index(settings: PostfixSettings) -> PostmapIndex | None:
    """How the map is indexed; None for texthash. Raises UnavailableError where Postfix cannot make such a map."""
    map_type = _map_type(settings)
    return None if map_type == "texthash" else PostmapIndex(map_type, _installed("postmap"))


def use(settings: PostfixSettings) -> str:
    """The restriction that asks the map, with the type that it has on this machine."""
    return f"check_sender_access {_map_type(settings)}:{settings.path}"


def left_behind(settings: PostfixSettings) -> list[PostmapIndex]:
    """Indexes beside the text that another ``map_type``, or Postfix's default at another time, has left.

    Postfix reads such a one as long as main.cf names its type. hash and btree share ``.db``: what is there under that
    name must stay what it is, or Postfix could not open it any more and would defer all mail.
    """
    there = {suffix: Path(f"{settings.path}{suffix}") for suffix in sorted(set(_SUFFIXES.values()))}
    kinds = {suffix: _kind(path) for suffix, path in there.items() if path.exists()}
    wanted = _map_type(settings)
    suffix, found = _SUFFIXES.get(wanted, ""), kinds.pop(_SUFFIXES.get(wanted, ""), "")
    if found not in ("", wanted):
        raise ConfigError(
            f"{settings.path}{suffix}: is a {found} map; a {wanted} map in its place would stop all mail while main.cf "
            f'says {found}:{settings.path}: set [publish.postfix] map_type = "{found}", or another path, publish, and '
            "name that in main.cf"
        )
    return [PostmapIndex(kind, program.find("postmap") or "postmap") for kind in kinds.values() if kind]


def _kind(path: Path) -> str:
    """The type of an index; empty where it cannot be told."""
    if path.suffix != ".db":
        return path.suffix[1:]
    with path.open("rb") as file:
        magic = file.read(16)[12:]
    return next((kind for kind, number in _MAGIC.items() if magic in (number, number[::-1])), "")


_MAGIC = {"hash": b"\x61\x15\x06\x00", "btree": b"\x62\x31\x05\x00"}
"""Berkeley DB's magic numbers, which stand at byte 12 in the byte order of the machine (libdb, dbinc/db_page.h)."""


def _map_type(settings: PostfixSettings) -> str:
    """The configured type or Postfix's default; one that this Postfix can make and read."""
    if settings.map_type == "texthash":
        return "texthash"
    map_type = settings.map_type or _default_type()
    if map_type not in _SUFFIXES:
        raise ConfigError(
            f"publish.postfix.map_type: Postfix's default_database_type is {map_type!r}, which safelist cannot write; "
            f"set map_type to one of {', '.join(_SUFFIXES)} or texthash"
        )
    _refuse_missing(map_type)
    return map_type


def _refuse_missing(map_type: str) -> None:
    """Postfix keeps some map types in packages of their own; a map that it cannot open stops all mail."""
    postconf = program.find("postconf")
    outcome = program.run([postconf, "-m"]) if postconf else None
    known = outcome.output.decode(errors="backslashreplace").split() if outcome and outcome.code == 0 else []
    if known and map_type not in known:  # one that says nothing has other troubles, which postmap names
        mine = [name for name in _SUFFIXES if name in known]
        raise UnavailableError(
            f"publish.postfix.map_type: this Postfix has no {map_type} maps: install them (Debian: apt-get install "
            f"postfix-{map_type}), or set map_type to one that it has: {', '.join((*mine, 'texthash'))}"
        )


def _default_type() -> str:
    return _postconf(_installed("postconf"), "default_database_type")


def _parent_domain_matches_subdomains() -> bool:
    """What this Postfix does; where there is none, its default."""
    postconf = program.find("postconf")
    names = _postconf(postconf, "parent_domain_matches_subdomains") if postconf else "smtpd_access_maps"
    return "smtpd_access_maps" in re.split(r"[\s,]+", names)


def _recipient_delimiter(settings: PostfixSettings) -> str:
    """What this Postfix takes off an address that it does not find; where there is none, its default: nothing."""
    if settings.recipient_delimiter is not None:
        return settings.recipient_delimiter
    postconf = program.find("postconf")
    return _postconf(postconf, "recipient_delimiter") if postconf else ""


def _smtputf8_enable(settings: PostfixSettings) -> bool:
    """Whether this Postfix takes senders in foreign letters; where there is none, its default: it does."""
    if settings.smtputf8_enable is not None:
        return settings.smtputf8_enable
    postconf = program.find("postconf")
    return postconf is None or _postconf(postconf, "smtputf8_enable", "-x").lower() != "no"


def _postconf(postconf: str, name: str, *options: str) -> str:
    outcome = program.run([postconf, *options, "-h", name])
    if outcome.code != 0:
        raise UnavailableError(f"postconf cannot say the {name}: {outcome.complaint}")
    return outcome.output.decode(errors="backslashreplace").strip()


def _installed(name: str) -> str:
    found = program.find(name)
    if found is None:
        raise UnavailableError(
            f'{name} is not installed: run safelist where Postfix is, or set [publish.postfix] map_type = "texthash", '
            "which needs no index; where another filter is to read the lists, take [publish.postfix] out"
        )
    return found


def check(settings: PostfixSettings | None) -> "Iterator[Remark]":
    """Ask this machine's Postfix what it makes of the map, and where its lists have it."""
    from safelist.publisher import map_check  # what only this needs takes longer to import than the rest

    if settings is None:
        return map_check.remarks(None, "", HEADER)
    found = index(settings)
    return map_check.remarks(settings.path, found.map_type if found else "texthash", HEADER)


TARGET = text_target(
    name=NAME, settings=PostfixSettings, demands=demands, use=use, check=check, render=render,
    left_out=lambda everybody, settings: map_lines(everybody, settings).left_out,
    not_asked=not_asked,
    why_not=lambda _: "",  # a map's own rules say whom it cannot name, and what that takes out with it
    if_missing="Postfix defers all mail for a map that it cannot open",
)  # fmt: skip
