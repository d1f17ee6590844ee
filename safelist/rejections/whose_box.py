"""Whose box said it: what can be told of a text by how many servers that have nothing in common say it. Pure.

A server belongs to whoever registered its domain, as does a recipient's domain. A text of a box in the path that comes
from the servers of several recipients' domains is said by a box on our side, since none of theirs stands before all of
them. From one only it is theirs. Words about our address or our mail are no box's, however many say them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from safelist.domains import registrable
from safelist.rejections.fingerprints import About, Certainty, Fingerprint, FingerprintTable, plain

SEVERAL = 2
"""Unrelated domains from which on a text is no longer that of one recipient."""
MOST_TEXTS = 10_000
"""Texts without a fingerprint that are counted apart; later ones are not."""


class Heard(NamedTuple):
    """A reply to mail of ours, the domain of the recipient, and the server that said it, by name or address."""

    reply: str
    recipient_domain: str
    remote: str | None = None


class Side(StrEnum):
    """Where the cause lies."""

    OURS = "ours"
    """A box on our side of the path."""
    THEIRS = "theirs"
    SHARED = "shared"
    """One server for recipients of several domains: a relay of ours, or a service that they all use."""
    SENDER = "sender"
    """No box: our server's address or our mail, as several see it."""
    UNKNOWN = "unknown"
    """Several say it: a box on our side, or several of theirs that have the same words."""


class SaidByMany(NamedTuple):
    """What is told of one fingerprint, or, where that is None, of equal texts, of which ``text`` is the first.

    ``domains`` are those of recipients, ``owners`` the domains of the servers that said it: registered ones, both.
    """

    fingerprint: Fingerprint | None
    text: str
    side: Side
    replies: int
    domains: int
    owners: int

    @property
    def sentence(self) -> str:
        """The finding, with its counts."""
        counts = f"{_count(self.replies, 'reply')} about recipients of {_count(self.domains, 'domain')}"
        return f"{counts}, said by servers of {_count(self.owners, 'owner')}: {_SAYS[self.side]}"


_SAYS = {
    Side.OURS: "the box is on your side of the path",
    Side.THEIRS: "the box is theirs, as far as these tell",
    Side.SHARED: "one server says it for all: your own relay, or a service that they all use",
    Side.SENDER: "no box in the path, but your server's address or your mail as several see it",
    Side.UNKNOWN: "a box on your side, if all mail meets it; else several of theirs that have the same words",
}


def _count(number: int, what: str) -> str:
    many = {"reply": "replies"}.get(what, f"{what}s")
    return f"{number} {what if number == 1 else many}"


@dataclass
class _Heap:
    """What was heard of one text."""

    fingerprint: Fingerprint | None
    text: str
    replies: int = 0
    domains: set[str] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)


def whose_boxes(
    heard: Iterable[Heard], table: FingerprintTable, most_texts: int = MOST_TEXTS
) -> tuple[SaidByMany, ...]:
    """What is told of each text, those that most domains' servers say first."""
    heaps: dict[str, _Heap] = {}
    for each in heard:
        first = next(iter(table.match(each.reply)), None)
        key = f"id {first.id}" if first else f"text {_without_details(each.reply)}"
        if key not in heaps and first is None and len(heaps) >= most_texts:
            continue
        heap = heaps.setdefault(key, _Heap(first, each.reply))
        heap.replies += 1
        domain = registrable(each.recipient_domain.lower().rstrip("."))
        heap.domains.add(domain)
        heap.owners.add(_owner(each.remote) if each.remote else domain)
    found = (_told(heap) for heap in heaps.values())
    return tuple(sorted(found, key=lambda each: (-each.domains, -each.replies)))


def _owner(server: str) -> str:
    """Whose server it is: an address stands for itself."""
    name = server.lower().rstrip(".")
    return name if ":" in name or name.replace(".", "").isdigit() else registrable(name)


def _told(heap: _Heap) -> SaidByMany:
    side = _side(heap.fingerprint, len(heap.domains), len(heap.owners))
    return SaidByMany(heap.fingerprint, heap.text, side, heap.replies, len(heap.domains), len(heap.owners))


_OF_MANY = {
    About.PATH: Side.OURS,
    About.SCANNER: Side.UNKNOWN,
    About.ADDRESS: Side.SENDER,
    About.MAIL: Side.SENDER,
    About.RECIPIENT: Side.THEIRS,
    About.SERVER: Side.THEIRS,
}


def _side(found: Fingerprint | None, domains: int, owners: int) -> Side:
    if domains < SEVERAL:
        return Side.THEIRS
    side = Side.UNKNOWN if found is None else _OF_MANY[found.about]
    if side in (Side.OURS, Side.UNKNOWN) and owners < SEVERAL:
        return Side.SHARED
    return Side.UNKNOWN if side is Side.OURS and found and found.certainty is Certainty.LIKELY else side


_DETAILS: Sequence[re.Pattern[str]] = (
    re.compile(r"<[^<>]{0,320}>|\{[^{}]{0,100}\}|\[[^\[\]]{0,100}\]|https?://\S{1,500}"),
    re.compile(r"\S{1,64}@\S{1,255}"),
    re.compile(r"\b(?=[a-z.:_-]{0,80}[0-9])[a-z0-9.:_-]{2,120}"),
)
"""What differs from mail to mail: names and addresses, identifiers, and words with digits in them."""


def _without_details(reply: str) -> str:
    code, _, text = plain(reply).lower()[:500].partition(" ")
    for detail in _DETAILS:
        text = detail.sub("*", text)
    return f"{code[:3]} {text}"
