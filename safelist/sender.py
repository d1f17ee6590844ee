"""A sender pattern: an address or a domain, normalised, or the reason why a text is none. Pure.

A text becomes a pattern only where it can mean one thing: what looks like an address to a person but is none (a
full-width ``@``, an invisible character, a display name around it) is refused, never repaired.
"""

import hashlib
import re
import unicodedata
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import NamedTuple

import idna

MAX_LOCAL_PART = 64
"""Octets (RFC 5321 4.5.3.1.1)."""
MAX_DOMAIN = 253
"""Octets as text (RFC 1035 2.3.4)."""
MAX_REFUSED = 255
"""Characters of a refused text that are kept."""
_MAX_TEXT = 2000


class Form(IntEnum):
    """What a pattern is. The numbers are stored in the database and never change."""

    REFUSED = 0
    ADDRESS = 1
    DOMAIN = 2
    SUBDOMAINS = 3


class Refusal(StrEnum):
    """Why a text cannot be an SMTP sender pattern: a stable code, explained in the README."""

    EMPTY = "empty"
    TOO_LONG = "too-long"
    X500 = "x500"
    DISPLAY_NAME = "display-name"
    INVISIBLE = "invisible"
    WILDCARD = "wildcard"
    ADDRESS_LITERAL = "address-literal"
    IP_ADDRESS = "ip-address"
    SINGLE_LABEL = "single-label"
    BAD_DOMAIN = "bad-domain"
    BAD_LOCAL_PART = "bad-local-part"
    NEITHER = "neither"

    @property
    def sentence(self) -> str:
        """The same for people."""
        return _SENTENCES[self]


_SENTENCES = {
    Refusal.EMPTY: "the entry is empty",
    Refusal.TOO_LONG: "it is longer than an address can be",
    Refusal.X500: "it is an Exchange-internal (X.500) name, not an SMTP address",
    Refusal.DISPLAY_NAME: "it holds more than an address, such as a name around it",
    Refusal.INVISIBLE: "it holds a control character or one that nobody sees",
    Refusal.WILDCARD: "Outlook knows no wildcards, and neither does SMTP",
    Refusal.ADDRESS_LITERAL: "its domain is an IP address in brackets",
    Refusal.IP_ADDRESS: "it is an IP address, not a sender",
    Refusal.SINGLE_LABEL: "a domain needs a dot: this one would be a whole top-level domain",
    Refusal.BAD_DOMAIN: "what follows the @ is no domain name",
    Refusal.BAD_LOCAL_PART: "what precedes the @ is no local part",
    Refusal.NEITHER: "it is neither an address nor a domain",
}


class Pattern(NamedTuple):
    """``text`` is the canonical spelling: lower case, domain in A-labels (IDNA), a domain without its ``@``.

    ``.example.com`` (``Form.SUBDOMAINS``) is the domain example.com and everything below it.
    For ``Form.REFUSED`` it is the text as stored (bounded in length) and ``refusal`` says why.
    """

    text: str
    form: Form
    refusal: Refusal | None = None


_MAX_CACHED = 320
_ATOM = r"[A-Za-z0-9!#$%&'+/=?^_`{|}~-]+"  # RFC 5322 3.2.3, without the *
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP_LABEL = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HYPHENATED = r"[a-z0-9]*+(?:-[a-z0-9]++)*+"
_PLAIN = re.compile(rf"{_ATOM}+(?:\.{_ATOM}+)*+@(?:[a-z0-9]{_HYPHENATED}\.)+[a-z]{_HYPHENATED}")
"""Most addresses, in lower case. Two hyphens in a row (A-labels have them) and lengths are for :func:`_parse`."""
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_TOP_LABEL}")
_SPECIALS = frozenset('()<>[]:;@\\,"* ')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that show nothing (Default_Ignorable_Code_Point, and the blank of Braille); UTS 46 drops some."""


def parse(text: str) -> Pattern:
    """Normalise one entry as a user's list holds it, or refuse it with a reason; never raises."""
    return _cached(text) if len(text) <= _MAX_CACHED else _any(text)


@lru_cache(maxsize=1 << 14)
def _cached(text: str) -> Pattern:
    if len(text) <= MAX_LOCAL_PART and text.isascii() and _PLAIN.fullmatch(low := text.lower()):
        return Pattern(low, Form.ADDRESS)
    return _any(text)


def _any(text: str) -> Pattern:
    try:
        return _parse(text.strip())
    except _RefusedError as refused:
        return Pattern(_bounded(text), Form.REFUSED, refused.why)


class _RefusedError(Exception):
    def __init__(self, why: Refusal) -> None:
        super().__init__(why)
        self.why = why


def _parse(text: str) -> Pattern:
    if text[:5].upper() == "SMTP:":  # the form of a search key, protocol-independent address type (MS-OXOABK)
        text = text[5:]
    _refuse_hopeless(text)
    local, at, domain = text.rpartition("@")
    if not local and domain[:1] == "." and domain[1:2] != ".":
        return Pattern("." + _domain(domain[1:], Refusal.BAD_DOMAIN), Form.SUBDOMAINS)
    if not local:
        return Pattern(_domain(domain, Refusal.BAD_DOMAIN if at else Refusal.NEITHER), Form.DOMAIN)
    return Pattern(f"{_local_part(local)}@{_domain(domain, Refusal.BAD_DOMAIN)}", Form.ADDRESS)


def domain_of(pattern: Pattern) -> str:
    """The domain that an address is in, or that a domain pattern names."""
    return pattern.text.rpartition("@")[2].removeprefix(".")


def with_subdomains(pattern: Pattern) -> Pattern:
    """The domain of a domain pattern, with everything below it."""
    return Pattern("." + domain_of(pattern), Form.SUBDOMAINS)


def covering(sender: Pattern) -> tuple[str, ...]:
    """The texts of every pattern that covers ``sender``, the most specific first.

    ``a@b.c.d``: itself, ``b.c.d``, ``.b.c.d``, ``.c.d``; a pattern covers itself.
    """
    if sender.form is Form.REFUSED:
        return (sender.text,)
    domain = domain_of(sender)
    labels = domain.split(".")
    parents = tuple("." + ".".join(labels[at:]) for at in range(len(labels) - 1))
    own = {Form.ADDRESS: (sender.text, domain), Form.DOMAIN: (domain,), Form.SUBDOMAINS: ()}[sender.form]
    return own + parents


def covers(pattern: Pattern, sender: Pattern) -> bool:
    """Whether every sender that ``sender`` stands for is one of ``pattern``'s."""
    if pattern.text == sender.text:
        return pattern.form is sender.form
    if pattern.form is Form.SUBDOMAINS and sender.form is not Form.REFUSED:
        return f".{domain_of(sender)}".endswith(pattern.text)
    return pattern.form is Form.DOMAIN and sender.form is Form.ADDRESS and domain_of(sender) == pattern.text


def _refuse_hopeless(text: str) -> None:
    if not text:
        raise _RefusedError(Refusal.EMPTY)
    if len(text) > _MAX_TEXT:
        raise _RefusedError(Refusal.TOO_LONG)
    if text[:3].upper() == "EX:" or (text[0] == "/" and "=" in text):
        raise _RefusedError(Refusal.X500)
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in text) or _UNSEEN.search(text):
        raise _RefusedError(Refusal.INVISIBLE)
    if text[-1] == ">":
        raise _RefusedError(Refusal.DISPLAY_NAME)


def _domain(text: str, otherwise: Refusal) -> str:
    if text[:1] == "[":
        raise _RefusedError(Refusal.ADDRESS_LITERAL)
    name = text.removesuffix(".").lower()
    if "*" in name:
        raise _RefusedError(Refusal.WILDCARD)
    if not name.isascii() or "xn--" in name:
        name = _a_labels(name, otherwise)
    if len(name) > MAX_DOMAIN:
        raise _RefusedError(Refusal.TOO_LONG)
    if _DOMAIN.fullmatch(name):
        return name
    if re.fullmatch(r"[0-9.]+", name):
        raise _RefusedError(Refusal.IP_ADDRESS)
    raise _RefusedError(Refusal.SINGLE_LABEL if re.fullmatch(_LABEL, name) else otherwise)


def _a_labels(name: str, otherwise: Refusal) -> str:
    """UTS 46 maps and IDNA 2008 decides; lower case, as both leave it."""
    try:
        return idna.encode(name, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError, IndexError, ValueError):
        raise _RefusedError(otherwise) from None


def _local_part(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    local = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if any(_imitates_ascii(c) for c in local):
        raise _RefusedError(Refusal.BAD_LOCAL_PART)
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
    if "*" in local:
        raise _RefusedError(Refusal.WILDCARD)
    if _is_dot_atom(local):
        written = local
    elif quoted and local and all(c == " " or not c.isspace() for c in local):
        written = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
    elif "<" in local or (" " in local and not quoted):
        raise _RefusedError(Refusal.DISPLAY_NAME)
    else:
        raise _RefusedError(Refusal.BAD_LOCAL_PART)
    if len(written.encode()) > MAX_LOCAL_PART:
        raise _RefusedError(Refusal.TOO_LONG)
    return written


def _imitates_ascii(char: str) -> bool:
    """A compatibility form of an ASCII character, such as the full-width ``@``: one that people take for it."""
    return not char.isascii() and any(c.isascii() for c in unicodedata.normalize("NFKC", char))


def _is_dot_atom(local: str) -> bool:
    """Atoms between single dots; outside ASCII any visible character that is no space (RFC 6531 3.3)."""
    if local.isascii():
        return _DOT_ATOM.fullmatch(local) is not None
    return all(local.split(".")) and not any(c in _SPECIALS or c.isspace() for c in local)


def _bounded(text: str) -> str:
    """Short enough for an index, and still different for different texts."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= MAX_REFUSED:
        return text
    return f"{text[:MAX_REFUSED]}…{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
