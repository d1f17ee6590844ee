"""Who gets onto the safelist of the whole organisation, and why: an ordered table of small tests.

The first row whose test holds decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from safelist.sender import Form, Pattern


@dataclass(frozen=True, slots=True)
class Settings:
    """What the administrator chose."""

    quorum: int = 2
    include_domains: bool = False


class Candidate(NamedTuple):
    """A sender pattern and the number of distinct mailboxes that trust it."""

    pattern: Pattern
    trusted_by: int


class Reason(StrEnum):
    """Stable codes; the README explains each."""

    NOT_A_SENDER = "not-a-sender"
    DOMAIN_NOT_INCLUDED = "domain-not-included"
    BELOW_QUORUM = "below-quorum"
    QUORUM = "quorum"


class Decision(NamedTuple):
    """Whether the candidate is safe for everybody, and the row that decided; ``sentence`` is for people."""

    safe: bool
    reason: Reason
    sentence: str


class Row(NamedTuple):
    """One row of the table: what it decides, when, and in what words."""

    safe: bool
    reason: Reason
    holds: Callable[[Candidate, Settings], bool]
    sentence: Callable[[Candidate, Settings], str]


def decide(candidate: Candidate, settings: Settings) -> Decision:
    """The decision of the first row of ``TABLE`` that holds."""
    row = deciding_row(candidate, settings)
    return Decision(row.safe, row.reason, row.sentence(candidate, settings))


def deciding_row(candidate: Candidate, settings: Settings) -> Row:
    """The first row of ``TABLE`` that holds; the last one always does. For those who need no sentence."""
    for row in TABLE:
        if row.holds(candidate, settings):
            return row
    raise AssertionError(f"no row of the table decides about {candidate}")


def _refused(candidate: Candidate, settings: Settings) -> bool:
    return candidate.pattern.form is Form.REFUSED


def _domain_not_included(candidate: Candidate, settings: Settings) -> bool:
    return candidate.pattern.form is Form.DOMAIN and not settings.include_domains


def _below_quorum(candidate: Candidate, settings: Settings) -> bool:
    return candidate.trusted_by < settings.quorum


def _always(candidate: Candidate, settings: Settings) -> bool:
    return True


def _say_refused(candidate: Candidate, settings: Settings) -> str:
    return f"{candidate.pattern.text!r} cannot be an SMTP sender ({candidate.pattern.refusal})."


def _say_domain(candidate: Candidate, settings: Settings) -> str:
    return f"{_trusted(candidate)}, but it is a domain and domains are not included ([policy] include_domains)."


def _say_quorum(candidate: Candidate, settings: Settings) -> str:
    return f"{_trusted(candidate)}; the quorum is {settings.quorum}."


def _trusted(candidate: Candidate) -> str:
    pattern, count = candidate
    return f"{count} mailbox{'' if count == 1 else 'es'} trust{'s' if count == 1 else ''} {pattern.text}"


TABLE = (
    Row(False, Reason.NOT_A_SENDER, _refused, _say_refused),
    Row(False, Reason.DOMAIN_NOT_INCLUDED, _domain_not_included, _say_domain),
    Row(False, Reason.BELOW_QUORUM, _below_quorum, _say_quorum),
    Row(True, Reason.QUORUM, _always, _say_quorum),
)
