"""An administrator's word about a sender: allow or block, for whom, how strongly, until when. Pure."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

from safelist.sender import Form, Pattern, covers, domain_of

MAX_TEXT = 500
"""Characters of a reason, of a ticket."""
MAX_DAYS = 36500


class Authentication(StrEnum):
    """What a mail must prove before its sender counts as safe."""

    DKIM_OR_SPF = "dkim-or-spf"
    SPF = "spf"
    NONE = "none"

    def asks_more_than(self, other: "Authentication") -> bool:
        """Whether mail can prove the other, and not this."""
        return _STRENGTHS[self] > _STRENGTHS[other]


_STRENGTHS = {Authentication.NONE: 0, Authentication.DKIM_OR_SPF: 1, Authentication.SPF: 2}


class Effect(StrEnum):
    """What an override does."""

    ALLOW = "allow"
    BLOCK = "block"


class Level(StrEnum):
    """``enforced`` beats the user's own lists; the user's own lists beat ``default``."""

    ENFORCED = "enforced"
    DEFAULT = "default"


class State(StrEnum):
    """What has become of an override."""

    IN_FORCE = "in-force"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Terms(NamedTuple):
    """What an administrator says. ``scope`` is None for everybody, else one own domain or one recipient's address."""

    effect: Effect
    pattern: Pattern
    reason: str
    scope: Pattern | None = None
    level: Level = Level.ENFORCED
    authentication: Authentication = Authentication.DKIM_OR_SPF
    ticket: str | None = None
    expires: datetime | None = None

    @property
    def subject(self) -> tuple[Pattern, Pattern | None, Level]:
        """What it is about: two overrides about the same would contradict or repeat each other."""
        return self.pattern, self.scope, self.level

    @property
    def ruling(self) -> tuple[Effect, Authentication, datetime | None]:
        """What it says about its subject: two of the same ruling differ in nothing but the words that explain them."""
        return self.effect, self.authentication, self.expires


class Override(NamedTuple):
    """Recorded terms. ``revoked`` is None unless somebody took them back.

    ``made`` and ``revoked`` are what the clock said, which may have been wrong: what was recorded has happened,
    whatever its date.
    """

    id: int
    terms: Terms
    made: datetime
    actor: str
    revoked: datetime | None = None
    revoked_by: str | None = None
    revoked_why: str | None = None

    def state(self, now: datetime) -> State:
        """What has become of it by ``now``; everything that asks whether it counts, or why not, asks here.

        What is revoked stays so whatever the date of that is: no clock can have expired it before, because what had
        expired by the clock that revoked it is not revoked.
        """
        if self.revoked is not None:
            return State.REVOKED
        return State.IN_FORCE if self.terms.expires is None or now < self.terms.expires else State.EXPIRED

    def in_force(self, now: datetime) -> bool:
        """Whether it counts at ``now``."""
        return self.state(now) is State.IN_FORCE

    @property
    def ended(self) -> datetime | None:
        """When it was revoked, or else expires; None when it never ends."""
        return self.terms.expires if self.revoked is None else self.revoked

    def state_sentence(self, now: datetime) -> str:
        """For people: in force, until when; expired; revoked by whom and why."""
        match self.state(now):
            case State.IN_FORCE:
                return f"in force {until_sentence(self.terms.expires)}" if self.terms.expires else "in force"
            case State.EXPIRED:
                return f"expired {self.terms.expires:%Y-%m-%d %H:%M} UTC"
            case State.REVOKED:
                return f"revoked {self.revoked:%Y-%m-%d} by {self.revoked_by}: {self.revoked_why}"

    def says(self, sender: Pattern, recipient: str | None) -> bool:
        """Whether it is about mail from ``sender`` to ``recipient`` (None: to everybody)."""
        terms = self.terms
        return covers(terms.pattern, sender) and (terms.scope is None or _is_for(terms.scope, recipient))


def _is_for(scope: Pattern, recipient: str | None) -> bool:
    if recipient is None:
        return False
    return scope.text == (recipient if scope.form is Form.ADDRESS else recipient.rpartition("@")[2])


def strongest(overrides: Iterable[Override], level: Level) -> Override | None:
    """The one of that level that counts: the more specific recipient first, then the more specific sender.

    Of two that are equally specific a block wins.
    """
    return min((o for o in overrides if o.terms.level is level), key=_rank, default=None)


def _rank(override: Override) -> tuple[int, int, int, bool, int]:
    scope, pattern = override.terms.scope, override.terms.pattern
    recipient = 2 if scope is None else int(scope.form is not Form.ADDRESS)
    return recipient, pattern.form, -len(pattern.text), override.terms.effect is not Effect.BLOCK, override.id


def subject_sentence(pattern: Pattern) -> str:
    """The senders that a pattern means, for people."""
    return f"{domain_of(pattern)} with its sub-domains" if pattern.form is Form.SUBDOMAINS else pattern.text


def scope_sentence(scope: Pattern | None) -> str:
    """For whom an override counts, for people."""
    if scope is None:
        return "everybody"
    return scope.text if scope.form is Form.ADDRESS else f"everybody at {scope.text}"


_DAYS_IN = {"d": 1, "w": 7, "m": 30, "y": 365}


def is_span(text: str) -> bool:
    """Whether it is meant as a span of time: a number and a letter."""
    return re.fullmatch(r"[0-9]+[a-z]", text) is not None


def days(text: str) -> timedelta:
    """``30d``, ``2w``, ``6m`` (30 days each) or ``1y`` (365 days). Raises ValueError that says what to write."""
    found = re.fullmatch(r"([0-9]{1,5})([dwmy])", text)
    number = int(found[1]) * _DAYS_IN[found[2]] if found else 0
    if not 1 <= number <= MAX_DAYS:
        raise ValueError(f"{text!r} is no number of days: write 1d to {MAX_DAYS}d, or 2w, 6m, 1y")
    return timedelta(days=number)


def until_sentence(expires: datetime | None) -> str:
    """Until when, for people: ``until 2027-01-31`` where that whole day still counts."""
    if expires is None:
        return "without an end"
    if expires.time() == time.min:
        return f"until the end of {expires - timedelta(days=1):%Y-%m-%d} UTC"
    return f"until {expires:%Y-%m-%d %H:%M} UTC"


def sentence(terms: Terms) -> str:
    """What an override says, for people."""
    proves = (
        f"if {terms.authentication} holds" if terms.authentication != Authentication.NONE else "without authentication"
    )
    needs = f", {proves}" if terms.effect is Effect.ALLOW else ""
    return (
        f"{terms.effect}s {subject_sentence(terms.pattern)} for {scope_sentence(terms.scope)} "
        f"({terms.level}{needs}, {until_sentence(terms.expires)})"
    )


def parse_expiry(text: str, now: datetime) -> datetime | None:
    """The end of ``30d`` from now, of the day ``2027-01-31`` (UTC), or the moment ``2027-01-31T18:00:00+00:00`` itself.

    None for ``never``. Raises ValueError that says what to write, also for a moment that is past.
    """
    if text == "never":
        return None
    if is_span(text):
        return now.replace(microsecond=0) + days(text)
    try:
        end = _moment(text) if "T" in text else _end_of_day(text)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time: write 30d or 2w, a day such as 2027-01-31, a moment such as "
            "2027-01-31T18:00:00+00:00, or never"
        ) from None
    if end <= now:
        raise ValueError(f"{text} is past")
    return end


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)).replace(microsecond=0)


def _end_of_day(text: str) -> datetime:
    day = date.fromisoformat(text)
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
