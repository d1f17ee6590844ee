"""Which DNS blocklist a reply names, and what was listed: the words that servers use by default. Pure.

Postfix: ``default_rbl_reply`` of postconf(5). Exim and cPanel have no words of their own; those of their documents and
of common configurations are known. A lookup domain may hold the key of a subscription, which is hidden.
"""

import re

from safelist.postfix.lookup_domain import shown
from safelist.rejections.rejection import Listed

_ZONE = r"(?P<zone>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"\bblocked using {_ZONE}",
        rf"\b(?:black|block) ?list(?:ed)? (?:at|by|in) {_ZONE}",
        rf"\blisted (?:at|by|in|on) {_ZONE}",
        rf"\bfound in (?:dnsbl|rbl) {_ZONE}",
        rf"\b(?:dnsbl|rbl)[ :=]+\(?{_ZONE}",
        rf"\bis in an RBL\b[^\n]{{0,200}}?https?://{_ZONE}",
    )
)
_LISTED = re.compile(
    r"\b(?:(?P<client>(?:Unverified )?Client(?: host)?)|(?P<sender>Sender address)|(?P<recipient>Recipient address)"
    r"|(?P<helo>Helo command)) \[[^\]]{0,320}\] blocked using ",
    re.IGNORECASE,
)


def provider_of(reply: str) -> str | None:
    """The lookup domain that a reply names as the reason, lower case, a key in it hidden; None where it names none."""
    for form in _FORMS:
        if (found := form.search(reply)) is not None:
            return shown(found["zone"].lower())
    return None


def listed_of(reply: str) -> Listed | None:
    """What Postfix says that the list was asked about; None where the reply does not tell."""
    found = _LISTED.search(reply)
    return Listed(found.lastgroup) if found is not None and found.lastgroup else None
