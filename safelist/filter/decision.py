"""What to do with one recipient of one mail: facts in, verdict and reason out. Pure.

A fact costs a look-up, so they come one by one: :func:`judge` says which it needs next, until the first row of
``TABLE`` that holds decides. Nothing that could not be asked ever rejects a mail for good (fail open).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from safelist import policy
from safelist.filter import dnsbl
from safelist.filter.dnsbl import Listing, Lookup, Provider
from safelist.override import Authentication

REJECT_LISTED = "550 5.7.1"
REJECT_BLOCKED = "554 5.1.0 Sender denied"
DEFER_UNPROVEN = "451 4.7.1"


class VerdictReason(StrEnum):
    """Stable codes of the rows; the documents explain each."""

    NO_ADDRESS = "no-address"
    TRUSTED_CLIENT = "trusted-client"
    BYPASSED_RECIPIENT = "bypassed-recipient"
    ALLOWED_CLIENT = "allowed-client"
    BLOCKED_SENDER = "blocked-sender"
    ALLOW_LISTED = "allow-listed"
    UNREACHABLE = "unreachable"
    NOT_LISTED = "not-listed"
    LIFTED = "lifted"
    CANNOT_AUTHENTICATE = "cannot-authenticate"
    NOT_AUTHENTICATED = "not-authenticated"
    LISTED = "listed"


class Action(StrEnum):
    """What the mail server is to do. ``none``: go on with its own restrictions."""

    NONE = "none"
    LIFT = "lift"
    REJECT = "reject"
    DEFER = "defer"


class Need(StrEnum):
    """The fact that decides next and is not known yet."""

    SAFETY = "safety"
    LISTINGS = "listings"
    AUTHENTICATION = "authentication"


class AuthenticationResult(StrEnum):
    """What became of asking whether the mail is from the sender: SPF of the envelope sender's domain."""

    HOLDS = "holds"
    FAILS = "fails"
    CANNOT_TELL = "cannot-tell"


class SenderAuthentication(NamedTuple):
    """``told``: a sentence for the administrator. ``said``: for the sender, in the reply that refuses the mail."""

    result: AuthenticationResult
    told: str
    said: str = ""


class Listings(NamedTuple):
    """What the lists say of the client. ``failed`` names those that could not be asked, or answered an error."""

    block: tuple[tuple[Provider, Listing], ...] = ()
    allow: tuple[tuple[Lookup, Listing], ...] = ()
    failed: tuple[str, ...] = ()


class Facts(NamedTuple):
    """One recipient of one mail. None stands for what was not asked yet.

    ``client`` is None where the mail server named no IP address. ``safety`` is the policy's decision about the sender
    for this recipient.
    """

    client: IPv4Address | IPv6Address | None
    sender: str
    recipient: str
    is_trusted: bool = False
    is_bypassed: bool = False
    is_allowed: bool = False
    safety: policy.Decision | None = None
    listings: Listings | None = None
    authentication: SenderAuthentication | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the administrator chose."""

    reject_blocked_senders: bool = False
    defer_unproven: bool = True


class Verdict(NamedTuple):
    """What to do and why. ``reply`` is the SMTP reply of a rejection or a deferral; ``sentence`` is for people."""

    action: Action
    reason: VerdictReason
    sentence: str
    reply: str = ""


_Row = Callable[[Facts, Choices], Verdict | Need | None]


def judge(facts: Facts, choices: Choices) -> Verdict | Need:
    """The verdict of the first row that holds, or the fact that the first undecided row needs."""
    for row in TABLE:
        found = row(facts, choices)
        if found is not None:
            return found
    raise AssertionError("the last row always decides")


def _no_address(facts: Facts, choices: Choices) -> Verdict | None:
    if facts.client is None:
        return Verdict(Action.NONE, VerdictReason.NO_ADDRESS, "the mail server named no IP address of the client.")
    return None


def _trusted_client(facts: Facts, choices: Choices) -> Verdict | None:
    if facts.is_trusted:
        return Verdict(
            Action.NONE, VerdictReason.TRUSTED_CLIENT, "the client has logged in, or is in a trusted network."
        )
    return None


def _bypassed(facts: Facts, choices: Choices) -> Verdict | None:
    if facts.is_bypassed:
        return Verdict(Action.NONE, VerdictReason.BYPASSED_RECIPIENT, f"{facts.recipient} gets everything.")
    return None


def _allowed_client(facts: Facts, choices: Choices) -> Verdict | None:
    if facts.is_allowed:
        return Verdict(Action.NONE, VerdictReason.ALLOWED_CLIENT, "the client is on the IP allow list.")
    return None


_BLOCKS = frozenset({policy.Reason.BLOCKED_ADDRESS, policy.Reason.BLOCKED_DOMAIN, policy.Reason.ENFORCED_BLOCK})


def _blocked_sender(facts: Facts, choices: Choices) -> Verdict | Need | None:
    if not choices.reject_blocked_senders:
        return None
    if facts.safety is None:
        return Need.SAFETY
    if facts.safety.reason in _BLOCKS:
        return Verdict(Action.REJECT, VerdictReason.BLOCKED_SENDER, facts.safety.sentence, REJECT_BLOCKED)
    return None


def _allow_listed(facts: Facts, choices: Choices) -> Verdict | Need | None:
    if facts.listings is None:
        return Need.LISTINGS
    if facts.listings.allow:
        _, listing = facts.listings.allow[0]
        return Verdict(Action.NONE, VerdictReason.ALLOW_LISTED, f"{listing.why}.")
    return None


def _not_listed(facts: Facts, choices: Choices) -> Verdict | None:
    found = facts.listings or Listings()
    if found.block:
        return None
    if found.failed:
        names = ", ".join(found.failed)
        return Verdict(
            Action.NONE, VerdictReason.UNREACHABLE, f"nobody lists the client, and {names} could not be asked."
        )
    return Verdict(Action.NONE, VerdictReason.NOT_LISTED, "nobody lists the client.")


def _listed(facts: Facts, choices: Choices) -> Verdict | Need | None:
    if facts.safety is None:
        return Need.SAFETY
    if facts.safety.safe:
        return None
    return Verdict(Action.REJECT, VerdictReason.LISTED, f"{_whys(facts)}; {facts.safety.sentence}", _reply(facts))


def _lifted(facts: Facts, choices: Choices) -> Verdict | Need | None:
    safety = facts.safety
    if safety is None or safety.authentication is Authentication.NONE:
        told = safety.sentence if safety else ""
        return Verdict(Action.LIFT, VerdictReason.LIFTED, f"{_whys(facts)}, but {told} It needs no authentication.")
    if facts.authentication is None:
        return Need.AUTHENTICATION
    if facts.authentication.result is AuthenticationResult.HOLDS:
        sentence = f"{_whys(facts)}, but {safety.sentence} {facts.authentication.told}"
        return Verdict(Action.LIFT, VerdictReason.LIFTED, sentence)
    return None


def _cannot_authenticate(facts: Facts, choices: Choices) -> Verdict | None:
    found = facts.authentication
    if found is None or found.result is not AuthenticationResult.CANNOT_TELL or not choices.defer_unproven:
        return None
    reply = f"{DEFER_UNPROVEN} Your IP is on a block list, and {found.said or _NOT_SHOWN}; try again later"
    return Verdict(Action.DEFER, VerdictReason.CANNOT_AUTHENTICATE, f"{_whys(facts)}; {found.told}", reply[:MAX_TEXT])


def _not_authenticated(facts: Facts, choices: Choices) -> Verdict:
    told, said = facts.authentication[1:] if facts.authentication else ("", "")
    reply = f"{_reply(facts)}; {said or _NOT_SHOWN}"
    return Verdict(Action.REJECT, VerdictReason.NOT_AUTHENTICATED, f"{_whys(facts)}; {told}", reply[:MAX_TEXT])


_NOT_SHOWN = "SPF does not show that this mail is from its sender"
MAX_TEXT = 500
"""Octets of a reply."""


def _whys(facts: Facts) -> str:
    return "; ".join(listing.why for _, listing in facts.listings.block) if facts.listings else ""


def _reply(facts: Facts) -> str:
    """The rejection response of the first provider that lists the client."""
    if facts.listings is None or facts.client is None:
        return REJECT_LISTED
    provider, _ = facts.listings.block[0]
    return f"{REJECT_LISTED} {dnsbl.render(provider, facts.client)}"


TABLE: tuple[_Row, ...] = (
    _no_address,
    _trusted_client,
    _bypassed,
    _allowed_client,
    _blocked_sender,
    _allow_listed,
    _not_listed,
    _listed,
    _lifted,
    _cannot_authenticate,
    _not_authenticated,
)
