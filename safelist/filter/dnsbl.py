"""DNS lists of mail clients: the names to ask, and what the answers mean (RFC 5782). Pure.

A lookup domain may hold the key that a subscription gave out. Only :attr:`Lookup.public_domain` is ever shown: no
reply, no log and no error of this module holds ``lookup_domain`` or a name made of it.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import ClassVar, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from safelist.config import Section, Texts

MAX_LOOKUP_DOMAIN = 253 - 64
"""Octets: what a name (RFC 1035 2.3.4) leaves beside the nibbles of an IPv6 client and their dots."""
MAX_RESPONSE = 240
"""Characters of a rejection response, as Exchange allows."""
REPLY_CODE = "550 5.7.1"
"""What a rejection response follows in the SMTP reply."""
MAX_REPLY = 512
"""Octets of a reply line with its code and CR LF (RFC 5321 4.5.3.1.5)."""

_MAX_NAME = 64
_HIDDEN = "***"
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_KEY = re.compile(r"(?=[a-z]*[0-9])[a-z0-9]{20,63}")
"""A label that nobody would choose for a name: keys are at least as long, and hold digits."""
_PLACEHOLDER = re.compile(r"\{([012])\}")
_CODES = IPv4Network("127.0.0.0/8")
_ERRORS = IPv4Network("127.255.255.0/24")
_FLAGS = IPv4Network("127.0.0.0/16")


class ListingKind(StrEnum):
    """What an answer says. An error is never a listing, and never a clean bill either."""

    LISTED = "listed"
    NOT_LISTED = "not-listed"
    ERROR = "error"


class Listing(NamedTuple):
    """``codes`` are the answers that decided, each once; ``why`` says it for people, in printable ASCII."""

    kind: ListingKind
    codes: tuple[str, ...] = ()
    why: str = "the list does not hold this address"


class Lookup(Section):
    """What block lists and allow lists have in common: where to ask, and which answers count."""

    FAIL_CLOSED: ClassVar[bool] = False
    """Whether one error among the answers spoils the others."""

    name: str = Field(description="What logs and replies call it.", examples=["Spamhaus ZEN"])
    lookup_domain: str = Field(
        repr=False,
        description="The domain that is asked. A key in it (Spamhaus DQS and the like) is never shown.",
        examples=["zen.spamhaus.org"],
    )
    hide_labels: int = Field(
        0, ge=0, le=10, description="Labels at its front that are secret, where that cannot be seen from their form."
    )
    any_match: bool = Field(False, description="Every answer counts that is no error.")
    bitmask_match: str | None = Field(
        None,
        description="Answers 127.0.x.y count whose y has a bit in common with the last number of this address.",
        examples=["127.0.0.4"],
    )
    ip_address_match: Texts = Field(
        (), description="These answers count: addresses, ranges, networks.", examples=[["127.0.0.2-127.0.0.11"]]
    )
    enabled: bool = Field(True, description="Whether it is asked at all.")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, text: str) -> str:
        return _printable(text, _MAX_NAME)

    @field_validator("lookup_domain")
    @classmethod
    def _is_a_domain(cls, text: str) -> str:
        return _domain(text)

    @field_validator("bitmask_match")
    @classmethod
    def _is_a_mask(cls, text: str | None) -> str | None:
        if text is not None and not 0 < _address(text) - int(_CODES.network_address) < 256:
            raise ValueError("must be one of 127.0.0.1 to 127.0.0.255")
        return text

    @field_validator("ip_address_match")
    @classmethod
    def _are_ranges(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        faults = []
        for text in texts:
            try:
                _range(text)
            except ValueError as fault:
                faults.append(f"{text[:60]!a}: {fault}")
        if faults:
            raise ValueError("; ".join(faults))
        return texts

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if not (self.any_match or self.bitmask_match or self.ip_address_match):
            raise ValueError(
                "ip_address_match: this list would match nothing, write the answers that count, such as "
                '["127.0.0.2-127.0.0.11"], or bitmask_match, or any_match = true'
            )
        if shown := [key for key in ("name", "rejection_response") if self._tells_a_key(getattr(self, key, ""))]:
            raise ValueError(
                "\n".join(f"{key}: holds the key of a list, which everybody would see; leave it out" for key in shown)
            )
        return self

    def _tells_a_key(self, text: str) -> bool:
        """Whether it holds the lookup domain's key, or what looks like one: they are pasted into the wrong field."""
        if any(map(_KEY.fullmatch, re.findall(r"[a-z0-9]+", text.lower()))):
            return True
        pairs = zip(self.lookup_domain.split("."), self.public_domain.split("."), strict=True)
        return any(shown == _HIDDEN and len(label) > 3 and label in text.lower() for label, shown in pairs)

    @cached_property
    def public_domain(self) -> str:
        """The lookup domain with ``***`` for every label that is secret: the only form that may be shown."""
        labels = self.lookup_domain.split(".")
        secret = max(self.hide_labels, 1 if labels[-3:] == ["dq", "spamhaus", "net"] else 0)
        return ".".join(_HIDDEN if at < secret or _KEY.fullmatch(label) else label for at, label in enumerate(labels))

    @cached_property
    def _ranges(self) -> tuple[tuple[int, int], ...]:
        return tuple(map(_range, self.ip_address_match))

    def matches(self, code: IPv4Address) -> bool:
        """Whether this answer, which is no error, is one that counts."""
        number = int(code)
        if self.any_match or any(first <= number <= last for first, last in self._ranges):
            return True
        return self.bitmask_match is not None and code in _FLAGS and bool(number & _address(self.bitmask_match) & 0xFF)

    def error_in(self, code: IPv4Address) -> str | None:
        """Why this answer tells nothing about the client; None where it is a code of the list (RFC 5782 2.3)."""
        if code in _ERRORS:
            return _ERROR_CODES.get(int(code) & 0xFF, "an error that this program does not know")
        if code not in _CODES:
            return "outside 127.0.0.0/8: the list is gone, or the resolver makes up answers"
        return "asked for an address, but lists domains only" if code == _DOMAINS_ONLY else None


class Provider(Lookup):
    """An IP Block List provider (DNSBL): a client that it lists is rejected."""

    TITLE = "An IP Block List provider, as Exchange's Add-IPBlockListProvider makes it."

    rejection_response: str = Field(
        "Recipient not authorized, your IP has been found on a block list ({1})",
        description="The text after 550 5.7.1: {0} is the client's address, {1} the name, {2} the lookup domain.",
    )

    @field_validator("rejection_response")
    @classmethod
    def _is_a_response(cls, text: str) -> str:
        text = _printable(text, MAX_RESPONSE)
        if re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
            raise ValueError(
                "holds other braces; write {0} (client's address), {1} (name) or {2} (lookup domain), no others"
            )
        if re.match(r"[245]\d\d[ -]|[245]\.\d+\.\d+ ", text):
            raise ValueError(f"leave the code out, {REPLY_CODE} is put before it")
        return text


class AllowProvider(Lookup):
    """An IP Allow List provider (DNSWL): a client that it lists is admitted, so every doubt counts against it."""

    TITLE = "An IP Allow List provider, as Exchange's Add-IPAllowListProvider makes it."
    FAIL_CLOSED = True

    def error_in(self, code: IPv4Address) -> str | None:
        """As for every list; and 255 at the end is the refusal of DNSWL, which would admit everybody."""
        refused = "the list refuses to answer this resolver" if int(code) & 0xFF == 0xFF else None
        return super().error_in(code) or refused


_ERROR_CODES = {
    252: "the lookup domain is mistyped",
    254: "asked through a public resolver, which the list refuses: ask through one of your own",
    255: "too many queries, the list refuses more of them",
}
"""Spamhaus, 2019-09-30; the whole network is reserved for errors."""
_DOMAINS_ONLY = IPv4Address("127.0.1.255")
"""What Spamhaus's DBL answers to every address."""


def classify(provider: Lookup, answers: Sequence[str]) -> Listing:
    """What the A records of :func:`query_name` say; no records at all means NXDOMAIN, not listed.

    A code beside an error is a listing by that code; not so for an allow list, where one error admits nobody.
    Never raises: an answer that is no IPv4 address is an error as well.
    """
    if not answers:
        return Listing(ListingKind.NOT_LISTED)
    codes: list[str] = []
    others: list[str] = []
    errors: dict[str, str] = {}
    for answer in dict.fromkeys(answers):
        code, error = _read(provider, answer)
        if code is None or error:
            errors[answer] = error
        else:
            (codes if provider.matches(code) else others).append(answer)
    return _listing(provider, codes, others, errors)


def _read(provider: Lookup, answer: str) -> tuple[IPv4Address | None, str]:
    try:
        code = IPv4Address(answer)
    except ValueError:
        return None, "not an IPv4 address"
    return code, provider.error_in(code) or ""


def _listing(provider: Lookup, codes: list[str], others: list[str], errors: dict[str, str]) -> Listing:
    if codes and not (errors and provider.FAIL_CLOSED):
        return Listing(ListingKind.LISTED, tuple(codes), f"{provider.name} answers {_shown(codes)}")
    if errors:
        said = "; ".join(f"{_shown([answer])}: {error}" for answer, error in list(errors.items())[:3])
        return Listing(ListingKind.ERROR, tuple(errors), f"{provider.name} answers {said}")
    why = f"{provider.name} answers {_shown(others)}, which its settings do not count"
    return Listing(ListingKind.NOT_LISTED, tuple(others), why)


def _shown(answers: Sequence[str]) -> str:
    shown = ", ".join(answer if _is_plain(answer) else ascii(answer[:40]) for answer in answers[:5])
    return shown + (", ..." if len(answers) > 5 else "")


def _is_plain(answer: str) -> bool:
    return re.fullmatch(r"[0-9.]{1,15}", answer) is not None


def query_name(client: IPv4Address | IPv6Address, lookup_domain: str) -> str:
    """The name to ask for ``client``: octets or nibbles, the last one first (RFC 5782 2.1 and 2.4).

    An IPv4 client that came in over an IPv6 socket (::ffff:0:0/96) is asked for as IPv4. The name may hold a key.
    """
    client = _as_it_is(client)
    if isinstance(client, IPv4Address):
        return ".".join(map(str, reversed(client.packed))) + "." + lookup_domain
    return _nibbles(int(client)) + "." + lookup_domain


def _nibbles(number: int) -> str:
    return ".".join(reversed(f"{number:032x}"))


def _as_it_is(client: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4-mapped address as IPv4, and any other without its zone (``%eth0``)."""
    if isinstance(client, IPv4Address):
        return client
    return client.ipv4_mapped or IPv6Address(int(client))


def render(provider: Provider, client: IPv4Address | IPv6Address) -> str:
    """The rejection response for ``client``, without the reply code: printable ASCII, one line that fits with it."""
    values = (str(_as_it_is(client)), provider.name, provider.public_domain)
    text = _PLACEHOLDER.sub(lambda found: values[int(found[1])], provider.rejection_response)
    return text[: MAX_REPLY - len(f"{REPLY_CODE} \r\n")].rstrip()


class Points(NamedTuple):
    """The test points of a list (RFC 5782 5): the names that must exist and those that must not; keys may be inside."""

    listed: str
    not_listed: str
    ipv6_listed: str
    ipv6_not_listed: str


def test_names(lookup_domain: str) -> Points:
    """For 127.0.0.2 and 127.0.0.1, and for ::ffff:7f00:2 and ::ffff:7f00:1, which are asked as IPv6 here."""
    two, one = (IPv4Address(f"127.0.0.{number}") for number in (2, 1))
    mapped = 0xFFFF << 32
    return Points(
        query_name(two, lookup_domain),
        query_name(one, lookup_domain),
        f"{_nibbles(mapped | int(two))}.{lookup_domain}",
        f"{_nibbles(mapped | int(one))}.{lookup_domain}",
    )


def _printable(text: str, most: int) -> str:
    text = text.strip(" ")
    if not text:
        raise ValueError("is empty, write a text")
    if not (text.isascii() and text.isprintable()):
        raise ValueError("SMTP takes one line of printable ASCII: write no others, and no line breaks")
    if len(text) > most:
        raise ValueError(f"is {len(text)} characters long, write at most {most}")
    return text


def _domain(text: str) -> str:
    """Normalised; the faults never quote it, for it may hold a key."""
    domain = text.lower().removesuffix(".")
    labels = domain.split(".")
    if not text.isascii():
        raise ValueError("write a domain with other than ASCII letters in A-labels (xn--...)")
    if len(domain) > MAX_LOOKUP_DOMAIN:
        raise ValueError(f"is {len(domain)} characters long, write at most {MAX_LOOKUP_DOMAIN}")
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("not a domain name, write one such as zen.spamhaus.org")
    return domain


def _address(text: str) -> int:
    try:
        return int(IPv4Address(text))
    except ValueError:
        raise ValueError("not an IPv4 address such as 127.0.0.2") from None


def _range(text: str) -> tuple[int, int]:
    """The first and the last number of ``127.0.0.2``, ``127.0.0.2-127.0.0.11`` or ``127.0.0.0/28``."""
    first, last = _network(text) if "/" in text else _ends(text)
    if first > last:
        raise ValueError("ends before it begins, write the smaller address first")
    if first < int(_CODES[0]) or last > int(_CODES[-1]):
        raise ValueError("answers of a list lie in 127.0.0.0/8, others are errors")
    if first >= int(_ERRORS[0]):
        raise ValueError("127.255.255.0/24 are errors and never count")
    return first, last


def _network(text: str) -> tuple[int, int]:
    try:
        network = IPv4Network(text)
    except ValueError:
        raise ValueError("not a network such as 127.0.0.0/28 (bits after the prefix must be 0)") from None
    return int(network[0]), int(network[-1])


def _ends(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        return int(IPv4Address(first)), int(IPv4Address(last if dash else first))
    except ValueError:
        raise ValueError("write an address, a range 127.0.0.2-127.0.0.11 or a network 127.0.0.0/28") from None
