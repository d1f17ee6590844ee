"""Which DNS blocklist a reply names, and what was listed: the words that servers use by default. Pure.

Postfix: ``default_rbl_reply`` of postconf(5). Exchange's connection filtering, and safelist's own filter: "your IP has
been found on a block list", where only the latter says which. Exim and cPanel have no words of their own; those of
their documents and of common configurations are known. The key of a subscription in a lookup domain is hidden.
"""

import re
from functools import lru_cache

from safelist.postfix.lookup_domain import shown
from safelist.rejections.rejection import Listed

_ZONE = r"((?:[a-z0-9_-]+\.)+(?![0-9]+\b)[a-z0-9_-]+)"
_FORMS = tuple(
    (word, re.compile(form, re.ASCII))
    for word, form in (
        ("blocked using", rf"blocked using {_ZONE}"),
        ("list", rf"\b(?:black|block) ?list(?:ed)? (?:at|by|in) {_ZONE}"),
        ("listed", rf"\blisted (?:at|by|in|on) {_ZONE}"),
        ("found in", rf"\bfound in (?:dnsbl|rbl) {_ZONE}"),
        ("bl", rf"\b(?:dnsbl|rbl)[ :=]+\(?{_ZONE}"),
        ("is in an rbl", rf"\bis in an rbl\b[^\n]{{0,200}}?https?://{_ZONE}"),
    )
)
"""Each in lower case, with a word that it holds: to look for the word first takes a tenth of the time."""
_ON_A_LIST = re.compile(r"\bhas been found on a block list(?: \((?P<name>[^()]{1,64})\))?", re.IGNORECASE)
UNNAMED = "(not named)"
"""A list that a reply speaks of, and does not name."""
_LISTED = (
    (" client ", Listed.CLIENT),
    (" client host ", Listed.CLIENT),
    (" sender address ", Listed.SENDER),
    (" recipient address ", Listed.RECIPIENT),
    (" helo command ", Listed.HELO),
)
_LONGEST_ADDRESS = 320
"""Characters."""
_shown = lru_cache(maxsize=1024)(shown)


def provider_of(reply: str) -> str | None:
    """The lookup domain that a reply gives as the reason, lower case, a key in it hidden, or the list's name.

    ``UNNAMED`` where it speaks of a list without saying which; None where it speaks of none.
    """
    lower = reply.lower()
    for word, form in _FORMS:
        if word in lower and (found := form.search(lower)) is not None:
            return UNNAMED if _is_in_doubt(found, reply) else _shown(found[1])
    found = _ON_A_LIST.search(reply) if "block list" in lower else None
    return None if found is None else found["name"] or UNNAMED


def _is_in_doubt(found: re.Match[str], reply: str) -> bool:
    """Whether another list is named too, and the first of the two may be words of a sender's or a recipient's."""
    if listed_of(reply) in (None, Listed.CLIENT):
        return False
    return any(other[1] != found[1] for other in found.re.finditer(found.string, found.end()))


@lru_cache(maxsize=16)  # who asks for the list asks this, too
def listed_of(reply: str) -> Listed | None:
    """What Postfix says that the list was asked about; None where the reply does not tell.

    What was listed stands in brackets, and an address may hold brackets of its own: the first ones tell, if they can.
    """
    lower = reply.lower()
    if (end := lower.find("] blocked using ")) < 0:
        return None
    last = lower.rfind("[", max(0, end - _LONGEST_ADDRESS), end)
    said = [f" {lower[:begin]}" for begin in (lower.find("[", 0, end), last) if begin >= 0]
    return next((listed for each in said for words, listed in _LISTED if each.endswith(words)), None)
