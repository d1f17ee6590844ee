"""A sender pattern: an address or a domain, normalised, or the reason why a text is none. Pure.

A text becomes a pattern only where it can mean one thing: what looks like an address to a person but is none (a
full-width ``@``, an invisible character, a display name around it) is refused, never repaired.

An address comes in three ways: as a user's list holds it (:func:`parse`), as a person types or pastes it
(:func:`typed`), and as a mail server says who sent a mail (:func:`envelope`), with its local part unquoted.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import NamedTuple

import idna

MAX_ADDRESS = 320
"""Octets. More than a path may have (256, RFC 5321 4.5.3.1.3); its local part alone has no limit (4.5.3.1)."""
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
    """Why a text cannot be an SMTP sender pattern: a stable code, explained in the documents."""

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
    A local part that is no dot-atom stands in double quotes. For ``Form.REFUSED`` it is the text as stored (bounded in
    length) and ``refusal`` says why. An address with a ``refusal`` is a sender of whom only the domain can be known:
    no pattern but those of its domain covers it.
    """

    text: str
    form: Form
    refusal: Refusal | None = None


_MAX_CACHED = 320
_MAX_PLAIN = 64
_ATOM = r"[A-Za-z0-9!#$%&'+/=?^_`{|}~-]+"  # RFC 5322 3.2.3, without the *
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # the DNS takes _, and names of hosts have it
_TOP_LABEL = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HYPHENATED = r"[a-z0-9]*+(?:-[a-z0-9]++)*+"
_PLAIN = re.compile(rf"{_ATOM}+(?:\.{_ATOM}+)*+@(?:[a-z0-9]{_HYPHENATED}\.)+[a-z]{_HYPHENATED}")
"""Most addresses, in lower case. Two hyphens in a row (A-labels have them) and lengths are for :func:`_parse`."""
_DOMAIN = re.compile(rf"(?:{_HOST_LABEL}\.)+{_TOP_LABEL}")
_DOTTED = re.compile(_ATOM.replace("[", "[.", 1))
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
    if len(text) <= _MAX_PLAIN and text.isascii() and _PLAIN.fullmatch(low := text.lower()):
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
        return Pattern("." + _domain_name(domain[1:], Refusal.BAD_DOMAIN), Form.SUBDOMAINS)
    if not local:
        return Pattern(_domain_name(domain, Refusal.BAD_DOMAIN if at else Refusal.NEITHER), Form.DOMAIN)
    return _address(_local_part(local), _domain(domain, Refusal.BAD_DOMAIN))


def _address(written: str, domain: str) -> Pattern:
    text = f"{written}@{domain}"
    if len(text.encode()) > MAX_ADDRESS:
        raise _RefusedError(Refusal.TOO_LONG)
    return Pattern(text, Form.ADDRESS)


_AROUND = ("''", '""', "\u2018\u2019", "\u201c\u201d")
_NAMED = re.compile(r"""("[^"<>@]*"|[^"<>@,;:]*)[ \t]*<([^<>]*)>""")


def typed(text: str) -> Pattern:
    """What a person who types or pastes means: as :func:`parse`, but without what stands around an address in mail
    programs, such as ``<bob@x.example>``, ``mailto:bob@x.example``, ``'bob@x.example';`` and ``Bob <bob@x.example>``.

    Whatever could mean two addresses, or names one beside another, is refused.
    """
    found = parse(text)
    if found.refusal in (None, Refusal.EMPTY, Refusal.INVISIBLE) or len(text) > _MAX_TEXT:
        return found
    inner = parse(_without_scheme(_bare(_without_scheme(text.strip().rstrip(",; \t")))))
    return inner if inner.form is Form.ADDRESS else found


def _without_scheme(text: str) -> str:
    """Without ``mailto:``, unless it is encoded (RFC 6068)."""
    return text[7:] if text[:7].lower() == "mailto:" and "%" not in text else text


def _bare(text: str) -> str:
    """Without the brackets or quotes around an address, or the name before it, unless that may be an address, too."""
    named = _NAMED.fullmatch(text)
    if named and not any(_imitates_ascii(c) for c in named[1]):
        return named[2].strip()
    return text[1:-1].strip() if text[:1] + text[-1:] in _AROUND else text


def asked_about(text: str) -> Pattern:
    """The sender of a question: what a person types (:func:`typed`), or else who a mail from it would be."""
    found = typed(text)
    return envelope(text.strip()) if found.form is Form.REFUSED else found


def envelope(text: str) -> Pattern:
    """Who sent a mail, as Postfix says it: without ``<>``, the local part unquoted (``front desk@x.example``).

    An address wherever its domain can be known; else refused: the null sender, an address literal, a name without an
    ``@``, which Postfix takes for a mailbox of its own.
    """
    return _cached_envelope(text) if len(text) <= _MAX_CACHED else _envelope(text)


def _envelope(text: str) -> Pattern:
    local, domain = _split(text)
    try:
        name = _domain(domain.strip(), Refusal.BAD_DOMAIN)
    except _RefusedError as refused:
        if (below := _known_suffix(domain)) is None:
            return Pattern(
                _bounded(text), Form.REFUSED, refused.why if domain else parse(text).refusal or Refusal.NEITHER
            )
        return Pattern(f"{_visible(local)}@{below}", Form.ADDRESS, refused.why)
    if domain and "@" not in text:
        return Pattern(f"{_visible(local)}@{name}", Form.ADDRESS, Refusal.BAD_LOCAL_PART)
    try:
        _refuse_unseen(local)
        return _address(_written(_lower(local)), name)
    except _RefusedError as refused:
        return Pattern(f"{_visible(local)}@{name}", Form.ADDRESS, refused.why)


_cached_envelope = lru_cache(maxsize=1 << 14)(_envelope)


def mailbox_of(recipient: str, delimiter: str) -> str | None:
    """The mailbox of a recipient, or None; an extension behind the ``delimiter`` is not part of its address."""
    local, at, domain = recipient.rpartition("@")
    if delimiter:
        local = local.partition(delimiter)[0] or local
    found = envelope(local + at + domain)
    return found.text if found.form is Form.ADDRESS else None


def _split(text: str) -> tuple[str, str]:
    """Local part and domain; Postfix makes ``local@host`` of ``host!local`` and ``local%host`` (swap_bangpath)."""
    if "@" not in text and "!" in text:
        domain, _, local = text.partition("!")
        return local, domain
    local, at, domain = text.rpartition("@" if "@" in text else "%")
    return (local, domain) if at else (text, "")


def _known_suffix(domain: str) -> str | None:
    """A domain that is no domain name, but ends like one: a block of what it is below holds all the same."""
    labels = re.split("[.\u3002\uff0e\uff61]", domain.strip().rstrip("."))
    known, low, high = None, 0, len(labels) - 1
    while low < high:  # what is below a domain name's labels is one, too; to encode every ending takes too long
        at = (low + high) // 2
        try:
            known = at, _domain(".".join(labels[at:]), Refusal.BAD_DOMAIN)
        except _RefusedError:
            low = at + 1
        else:
            high = at
    if known is None:
        return None
    begin, name = known
    return f"{_visible('.'.join(labels[:begin]))}.{name}" if begin else name


def _visible(text: str) -> str:
    """``text`` as one can print it, bounded; no canonical spelling reads like it where that matters."""
    begin = text[: MAX_REFUSED + 1]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in begin)
    return shown if len(shown) <= MAX_REFUSED else f"{shown[:MAX_REFUSED]}…"


def unquoted(address: Pattern) -> str:
    """The address as Postfix says it, and looks it up: ``front desk@x.example`` for ``"front desk"@x.example``."""
    local, _, domain = address.text.rpartition("@")
    return f"{_without_quotes(local)}@{domain}"


def _without_quotes(local: str) -> str:
    quoted = _QUOTED.fullmatch(local)
    return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else local


# The forms of draft-levine-smtp-batv-01 and of what came before it, of Barracuda, SparkPost, and of batv-tools.
_TAG = "[0-9]{4}[0-9a-f]{6}"
_TAGGED = (
    re.compile(rf"prvs=(?!{_TAG}=)(.+)[=/]{_TAG}"),
    re.compile(r"(?:prvs|msprvs1)=[^=]+=(.+)"),
    re.compile(r"btv1==[^=]+==(.+)"),
    re.compile(rf"(.+)\+prvs={_TAG}"),
)


def untagged(sender: Pattern) -> Pattern | None:
    """The address behind a tag that its mail server makes anew every day (BATV); None where there is none."""
    if "=" not in sender.text or sender.form is not Form.ADDRESS or sender.refusal is not None:
        return None
    local, _, domain = unquoted(sender).rpartition("@")
    for shape in _TAGGED:
        if found := shape.fullmatch(local):
            behind = envelope(f"{found[1]}@{domain}")
            return behind if behind.refusal is None else None
    return None


def name(pattern: Pattern) -> str:
    """What a filter calls it: an address without its quotes."""
    return unquoted(pattern) if pattern.form is Form.ADDRESS else pattern.text


def shorter(pattern: Pattern) -> Iterator[str]:
    """The addresses, unquoted, that an address may be an extension of, whatever the delimiter."""
    if pattern.form is Form.ADDRESS:
        local, _, domain = unquoted(pattern).rpartition("@")
        yield from (f"{local[:end]}@{domain}" for end in range(1, len(local)))


def reached(pattern: Pattern) -> Iterator[str]:
    """The addresses, unquoted, for which a filter may take an address: what it extends, and what is behind its tags."""
    yield from shorter(pattern)
    while (behind := untagged(pattern)) is not None:
        yield unquoted(behind)
        yield from shorter(pattern := behind)


def domain_of(pattern: Pattern) -> str:
    """The domain that an address is in, or that a domain pattern names."""
    return pattern.text.rpartition("@")[2].removeprefix(".")


def with_subdomains(pattern: Pattern) -> Pattern:
    """The domain of a domain pattern, with everything below it."""
    return Pattern("." + domain_of(pattern), Form.SUBDOMAINS)


def covering(sender: Pattern) -> tuple[str, ...]:
    """The texts of every pattern that covers ``sender``, the most specific first.

    ``a@b.c.d``: itself, ``b.c.d``, ``.b.c.d``, ``.c.d``; a pattern covers itself, and an address what it is behind its
    tags (:func:`untagged`).
    """
    if sender.form is Form.REFUSED:
        return (sender.text,)
    domain = domain_of(sender)
    labels = domain.split(".")
    parents = tuple("." + ".".join(labels[at:]) for at in range(len(labels) - 1))
    if sender.form is Form.ADDRESS:
        return (*_names(sender), domain, *parents)
    return (domain, *parents) if sender.form is Form.DOMAIN else parents


def _names(sender: Pattern) -> tuple[str, ...]:
    """The addresses that an address stands for: itself and those behind its tags; none where it cannot be known.

    Every server that a mail passes on its way out may have put a tag in front. Each is shorter than the one before.
    """
    if sender.refusal is not None:
        return ()
    names, behind = [sender.text], untagged(sender)
    while behind is not None:
        names.append(behind.text)
        behind = untagged(behind)
    return tuple(names)


def covers(pattern: Pattern, sender: Pattern) -> bool:
    """Whether every sender that ``sender`` stands for is one of ``pattern``'s."""
    if pattern.form is Form.ADDRESS and sender.form is Form.ADDRESS:
        return pattern.text in _names(sender)
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
    _refuse_unseen(text)
    if text[-1] == ">":
        raise _RefusedError(Refusal.DISPLAY_NAME)


def _refuse_unseen(text: str) -> None:
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in text) or _UNSEEN.search(text):
        raise _RefusedError(Refusal.INVISIBLE)


def _domain_name(text: str, otherwise: Refusal) -> str:
    """As :func:`_domain`; a host may have a ``_`` in its name, but no domain that mail is sent from."""
    name = _domain(text, otherwise)
    if "_" in name:
        raise _RefusedError(otherwise)
    return name


def _domain(text: str, otherwise: Refusal) -> str:
    if text[:1] == "[":
        raise _RefusedError(Refusal.ADDRESS_LITERAL)
    name = text.removesuffix(".").lower()
    if "*" in name:
        raise _RefusedError(Refusal.WILDCARD)
    if len(name) > _MAX_TEXT:
        raise _RefusedError(Refusal.TOO_LONG)
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
    local = _lower(_without_quotes(text))
    if _QUOTED.fullmatch(text) or _has_plain_letters(local):
        return _written(local)
    if "*" in local:
        raise _RefusedError(Refusal.WILDCARD)
    raise _RefusedError(Refusal.DISPLAY_NAME if "<" in local or " " in local else Refusal.BAD_LOCAL_PART)


def _lower(local: str) -> str:
    if any(_imitates_ascii(c) for c in local):
        raise _RefusedError(Refusal.BAD_LOCAL_PART)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())


def _written(local: str) -> str:
    """The one spelling of a local part: in quotes unless it is a dot-atom (RFC 5321 4.1.2)."""
    if "*" in local:
        raise _RefusedError(Refusal.WILDCARD)
    if _is_dot_atom(local):
        return local
    if not local or any(c != " " and c.isspace() for c in local):
        raise _RefusedError(Refusal.BAD_LOCAL_PART)
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'


def _imitates_ascii(char: str) -> bool:
    """A compatibility form of an ASCII character, such as the full-width ``@``: one that people take for it."""
    return not char.isascii() and any(c.isascii() for c in unicodedata.normalize("NFKC", char))


def _is_dot_atom(local: str) -> bool:
    """Atoms between single dots; outside ASCII any visible character that is no space (RFC 6531 3.3)."""
    return all(local.split(".")) and _has_plain_letters(local)


def _has_plain_letters(local: str) -> bool:
    """As a dot-atom has them; but the dots may stand anywhere, as at carriers in Japan."""
    if local.isascii():
        return _DOTTED.fullmatch(local) is not None
    return not any(c in _SPECIALS or c.isspace() for c in local)


def _bounded(text: str) -> str:
    """Short enough for an index, and still different for different texts."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= MAX_REFUSED:
        return text
    return f"{text[:MAX_REFUSED]}…{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
