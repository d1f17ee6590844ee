"""What amavisd's table ``wblist`` has to say, as amavisd asks it: keys, priorities, and what they cannot express. Pure.

For each row of ``users`` that means the recipient, by falling priority, amavisd takes of the rows of ``wblist`` that
mean the sender the one of the highest priority (README.lookups and README.sql of amavisd-new). It asks for the address,
the address without its extension, ``@example.com``, ``@.example.com`` (with sub-domains), ``@.com`` and ``@.``; for the
envelope's sender, and for each address in From.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from safelist.publisher.target import LeftOut, RecipientRuling, Ruling
from safelist.sender import Form, Pattern, domain_of, unquoted

EVERYBODY = "@."
"""The row of ``users`` that means every recipient."""
MAX_KEY = 255
"""Octets of a key in the documented tables."""
MAX_LABELS = 19
"""amavisd asks for 20 domains with their sub-domains at most, of which ``@.`` is one."""

_ASKED_OTHERWISE = re.compile(r"[^\x20-\x7e]|\?")


def key_of(pattern: Pattern) -> str:
    """How a sender, or a recipient, stands in the tables: not quoted; a domain behind an ``@``."""
    return unquoted(pattern) if pattern.form is Form.ADDRESS else f"@{pattern.text}"


def address(text: str) -> Pattern:
    """The pattern of a recipient's address."""
    return Pattern(text, Form.ADDRESS)


def why_not(text: str) -> str:
    """Why no row can name a sender or recipient exactly; empty where one can."""
    if _ASKED_OTHERWISE.search(text):
        return "amavisd asks with a ? in the place of whatever is not printable ASCII, and of what is a ? itself"
    if len(text) > MAX_KEY:
        return f"it is longer than {MAX_KEY} characters"
    if text.startswith(".") and text.count(".") > MAX_LABELS:
        return f"amavisd asks for no sub-domains of a name of more than {MAX_LABELS} parts"
    return ""


def split(local: str, delimiter: str) -> str:
    """The local part without its extension, as amavisd's recipient_delimiter says; all of it where it has none."""
    if not delimiter or local in ("postmaster", "mailer-daemon", "double-bounce"):
        return local
    if "-" in delimiter and re.search(r"\Aowner-.|.-request\Z", local):
        return local
    found = re.match(rf"(.+?)[{re.escape(delimiter)}]", local, re.DOTALL)
    return found[1] if found else local


def asked(pattern: Pattern, delimiter: str) -> tuple[str, ...]:
    """The keys that amavisd asks for a sender of that pattern, the most specific first; only those a pattern can be."""
    labels = domain_of(pattern).split(".")
    parents = tuple("@." + ".".join(labels[at:]) for at in range(len(labels) - 1))
    if pattern.form is Form.SUBDOMAINS:
        return parents
    domains = (f"@{domain_of(pattern)}", *parents)
    if pattern.form is Form.DOMAIN:
        return domains
    local, _, domain = unquoted(pattern).rpartition("@")
    return (*dict.fromkeys((f"{local}@{domain}", f"{split(local, delimiter)}@{domain}")), *domains)


def priority_of(key: str, delimiter: str) -> int:
    """The documented priorities: 9 with an extension, 8 without, 5 a domain, 4 to 1 one with sub-domains, 0 all."""
    if key == EVERYBODY:
        return 0
    if key.startswith("@."):
        return min(key.count("."), 4)
    local = key.rpartition("@")[0]
    return 5 if not local else 9 if split(local, delimiter) != local else 8


@dataclass(frozen=True, slots=True)
class Site:
    """What a site's own rows say beside safelist's: priorities by key, and pairs that it has ruled on itself."""

    delimiter: str = ""
    senders: Mapping[str, int] = field(default_factory=dict)
    recipients: Mapping[str, int] = field(default_factory=dict)
    pairs: Set[tuple[str, str]] = frozenset()

    def sender_priority(self, key: str) -> int:
        """What decides which of a recipient's rows counts."""
        return self.senders.get(key, priority_of(key, self.delimiter))

    def recipient_priority(self, key: str) -> int:
        """What decides which of the recipient's rows is asked first."""
        return self.recipients.get(key, priority_of(key, self.delimiter))


class _Ruled(NamedTuple):
    pattern: Pattern
    safe: bool


class RowSet(NamedTuple):
    """A recipient's rows, key to safe or excepted, and who is left out of them."""

    rows: Mapping[str, bool]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Everybody:
    """What counts for every recipient; ``reaching`` are the keys that a sender in it may be asked by."""

    rows: Mapping[str, bool]
    left_out: tuple[LeftOut, ...]
    reaching: Set[str]

    def safe(self, keys: Iterable[str]) -> bool:
        """Whether the first of the keys that it knows is safe."""
        return next((self.rows[key] for key in keys if key in self.rows), False)


NOBODY = Everybody({}, (), frozenset())


def for_everybody(rulings: Iterable[Ruling], site: Site) -> Everybody:
    """The rows of the recipient ``@.``."""
    given, narrow = list(rulings), list[LeftOut]()
    for ruling in rulings if site.delimiter else ():
        if is_narrow(ruling):
            narrow.append(LeftOut(ruling.pattern, _EXTENDED.format(delimiter=site.delimiter)))
    lost = {each.pattern for each in narrow}
    kept = [_Ruled(each.pattern, each.safe) for each in given if each.pattern not in lost]
    made = _expressed(EVERYBODY, kept, NOBODY, site)
    safe = [each.pattern for each in kept if each.safe and made.rows.get(key_of(each.pattern))]
    reaching = frozenset(key for pattern in safe for key in asked(pattern, site.delimiter))
    return Everybody(made.rows, (*narrow, *made.left_out), reaching)


def for_recipient(recipient: str, rulings: Iterable[RecipientRuling], everybody: Everybody, site: Site) -> RowSet:
    """The rows of one recipient, which count before everybody's."""
    key = key_of(address(recipient))
    if site.recipient_priority(key) <= site.recipient_priority(EVERYBODY):
        return RowSet({}, (LeftOut(address(recipient), _BEHIND),))
    given = list(rulings)
    narrow = [each.pattern for each in given if site.delimiter and is_narrow(each)]
    if not narrow:
        return _expressed(key, [_Ruled(each.pattern, each.safe) for each in given], everybody, site)
    kept = [_Ruled(each.pattern, each.safe) for each in given if each.pattern not in narrow]
    # what everybody's rows would find in the place of one's own is an exception
    found = [each for each in narrow if any(name in everybody.rows for name in _addresses(each, site.delimiter))]
    made = _expressed(key, [*kept, *(_Ruled(each, safe=False) for each in found)], everybody, site)
    out = (LeftOut(each, _EXTENDED.format(delimiter=site.delimiter)) for each in narrow)
    return RowSet(made.rows, (*out, *made.left_out))


def is_narrow(ruling: Ruling | RecipientRuling) -> bool:
    """Whether it is a safe address, and none that extends it may be taken for it."""
    return ruling.safe and ruling.pattern.form is Form.ADDRESS and not ruling.may_widen


def _addresses(pattern: Pattern, delimiter: str) -> Iterator[str]:
    """The keys that amavisd asks for an address and that name one."""
    return (key for key in asked(pattern, delimiter) if key.rfind("@") > 0)


def _expressed(recipient: str, verdicts: Iterable[_Ruled], everybody: Everybody, site: Site) -> RowSet:
    found = {key_of(each.pattern): each for each in verdicts}
    left_out = [*_except_domains_of_addresses(found, everybody, site), *_drop_what_is_out_of_order(found, site)]
    _drop_exceptions_from_nothing(found, everybody, site)
    for key in [key for key in found if site.pairs and _is_ruled_on(recipient, key, found[key].pattern, site)]:
        dropped = found.pop(key)
        if dropped.safe:
            left_out.append(LeftOut(dropped.pattern, _SITES_OWN.format(recipient=recipient)))
    return RowSet({key: each.safe for key, each in found.items()}, tuple(left_out))


def _is_ruled_on(recipient: str, key: str, pattern: Pattern, site: Site) -> bool:
    """Whether the site has a row of its own that counts in the place of one with that key."""
    own = (each for each in asked(pattern, site.delimiter) if (recipient, each) in site.pairs)
    return any(each == key or site.sender_priority(each) >= site.sender_priority(key) for each in own)


def _except_domains_of_addresses(found: dict[str, _Ruled], everybody: Everybody, site: Site) -> Iterator[LeftOut]:
    """Take the domain of an excepted address out of what is safe: amavisd knows no tags before an address (BATV)."""
    for pattern in [each.pattern for each in found.values() if not each.safe and each.pattern.form is Form.ADDRESS]:
        domain = Pattern(domain_of(pattern), Form.DOMAIN)
        keys = asked(domain, site.delimiter)
        own = next((found[key].safe for key in keys if key in found), None)
        if own or (own is None and everybody.safe(keys)):
            found[key_of(domain)] = _Ruled(domain, safe=False)
            yield LeftOut(domain, _TAGGED.format(exception=pattern.text), pattern.text)


def _drop_what_is_out_of_order(found: dict[str, _Ruled], site: Site) -> Iterator[LeftOut]:
    """Take a safe sender out where priorities do not put the narrower of two that differ first.

    Of rows that safelist makes they do, but for sub-domains of names of five parts and more; the site's own may not.
    """
    if len({each.safe for each in found.values()}) < 2:
        return
    for key, verdict in sorted(found.items()):
        for wider in asked(verdict.pattern, site.delimiter)[1:]:
            other = found.get(wider)
            if other is None or other.safe is verdict.safe or key not in found:
                continue
            if site.sender_priority(key) <= site.sender_priority(wider):
                narrower = wider if other.safe else key
                dropped = found.pop(narrower).pattern
                yield LeftOut(dropped, _OUT_OF_ORDER.format(narrow=key, wide=wider))


def _drop_exceptions_from_nothing(found: dict[str, _Ruled], everybody: Everybody, site: Site) -> None:
    """Keep the exceptions that something would else make safe: each ends amavisd's search, in the site's lists, too."""
    for key, verdict in [(key, each) for key, each in found.items() if not each.safe]:
        keys = asked(verdict.pattern, site.delimiter)
        is_safe = any((each in found and found[each].safe) or everybody.rows.get(each) for each in keys)
        if not is_safe and key not in everybody.reaching:
            del found[key]


_EXTENDED = (
    "amavisd (recipient_delimiter = {delimiter}) would take what extends it for it, too, which an override blocks, or "
    "asks more of; if it does not, correct [publish.amavis] recipient_delimiter"
)
_TAGGED = (
    "{exception} must be an exception from it, but wblist cannot name it with every tag before it (BATV: "
    "prvs=TAG=...); allow single addresses there"
)
_OUT_OF_ORDER = (
    "in the table mailaddr {narrow} must have a higher priority than {wide}, or amavisd would not see the exception; "
    "correct the priority of the row that is the site's own (address 8, @domain 5, @.domain with sub-domains 3 or less)"
)
_SITES_OWN = (
    "the site has a row of its own for it, or a wider one of no lower priority, in wblist (recipient {recipient}): "
    "that one counts, and is left as it is"
)
_BEHIND = (
    "nothing is written for this recipient: its row in the table users is the site's own and has no higher priority "
    "than that of @., so that amavisd would ask for everybody first; correct it (address 8, @. 0)"
)
