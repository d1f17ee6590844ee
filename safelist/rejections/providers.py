"""Which DNS blocklist a reply names, and what was listed: the words that servers use by default. Pure.

Postfix: ``default_rbl_reply`` of postconf(5). Exchange's connection filtering, and safelist's own filter: "your IP has
been found on a block list", where only the latter says which. Exim and cPanel have no words of their own; those of
their documents and of common configurations are known. The key of a subscription in a lookup domain is hidden.
"""

import re

from safelist.postfix.lookup_domain import shown
from safelist.rejections.rejection import Listed

_ZONE = r"(?P<zone>[a-z0-9_-]+(?:\.[a-z0-9_-]+)+)"
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"\bblocked using {_ZONE}",
        rf"\b(?:black|block) ?list(?:ed)? (?:at|by|in) {_ZONE}",
        rf"\blisted (?:at|by|in|on) {_ZONE}",
        rf"\bfound in (?:dnsbl|rbl) {_ZONE}",
        rf"\b(?:dnsbl|rbl)[ :=]+\(?{_ZONE}",
        rf"\bis in an rbl\b[^\n]{{0,200}}?https?://{_ZONE}",
    )
)
_ON_A_LIST = re.compile(r"\bhas been found on a block list(?: \((?P<name>[^()]{1,64})\))?", re.IGNORECASE)
UNNAMED = "(not named)"
"""A list that a reply speaks of, and does not name."""
_LISTED = re.compile(
    r"\b(?:(?P<client>(?:Unverified )?Client(?: host)?)|(?P<sender>Sender address)|(?P<recipient>Recipient address)"
    r"|(?P<helo>Helo command)) \[[^\]]{0,320}\] blocked using ",
    re.IGNORECASE,
)


def provider_of(reply: str) -> str | None:
    """The lookup domain that a reply gives as the reason, lower case, a key in it hidden, or the list's name.

    ``UNNAMED`` where it speaks of a list without saying which; None where it speaks of none.
    """
    small = reply.lower()
    for form in _FORMS:
        if (found := form.search(small)) is not None:
            return shown(found["zone"])
    found = _ON_A_LIST.search(reply)
    return None if found is None else found["name"] or UNNAMED


def listed_of(reply: str) -> Listed | None:
    """What Postfix says that the list was asked about; None where the reply does not tell."""
    found = _LISTED.search(reply) if "] blocked using " in reply.lower() else None
    return Listed(found.lastgroup) if found is not None and found.lastgroup else None
