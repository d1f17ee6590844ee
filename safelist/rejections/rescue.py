"""What the safelist would have changed: each rejection by a DNS blocklist is put to the policy. Pure."""

from datetime import UTC, datetime, time, tzinfo
from enum import StrEnum
from typing import NamedTuple

from safelist.override import Authentication
from safelist.policy import Judgement, Reason
from safelist.rejections.rejection import Rejection
from safelist.sender import Form, Pattern, envelope, mailbox_of, unquoted


class Rescue(StrEnum):
    """What would have become of a mail that a DNS blocklist rejected."""

    LIFTED = "lifted"
    """The policy calls the sender safe for this recipient; a filter lifts it where the sender proves to be that one."""
    REFUSED = "refused"
    """A list or an override names the sender, and the policy says no; the reason says why."""
    NOBODYS = "nobodys"
    """No list and no override names the sender."""
    UNKNOWN = "unknown"
    """The log does not tell who sent it, or to whom, or it was a bounce: nothing could have been lifted."""


class RescueJudgement(NamedTuple):
    """What would have become of a mail, the reason code of the policy, and what the sender would have to prove."""

    rescue: Rescue
    reason: Reason | None = None
    authentication: Authentication | None = None


NOT_TOLD = RescueJudgement(Rescue.UNKNOWN)


class RescueQuestion(NamedTuple):
    """What the policy is asked about a mail."""

    sender: Pattern
    recipient: str


def question_of(it: Rejection, recipient_delimiter: str) -> RescueQuestion | None:
    """Who sent it, and the mailbox that it was for, as the filter asks; None where the log does not tell both."""
    sender = envelope(_unquoted(it.sender or ""))
    recipient = mailbox_of(_unquoted(it.recipient or ""), recipient_delimiter)
    return RescueQuestion(sender, recipient) if recipient and sender.form is Form.ADDRESS else None


def _unquoted(address: str) -> str:
    """The address as a filter is asked for it; logs quote a local part as SMTP does (Postfix since 3.5), or do not."""
    return unquoted(Pattern(address, Form.ADDRESS)) if "@" in address else address


def judged_at(day: str, zone: tzinfo, first_collection: datetime | None, now: datetime) -> datetime:
    """By the lists of which moment a mail of that day is judged: of its end, but none before they were first collected.

    ``day`` is a date in ISO 8601, in ``zone``.
    """
    try:
        end = datetime.combine(datetime.fromisoformat(day), time.max, zone).astimezone(UTC)
    except OverflowError:  # the last day that there is
        return now
    if end >= now:
        return now
    return end if first_collection is None or end > first_collection else first_collection


def rescue_of(judged: Judgement) -> RescueJudgement:
    """What the policy's word means for a rejected mail."""
    if judged.safe:
        return RescueJudgement(Rescue.LIFTED, judged.reason, judged.authentication)
    if judged.reason is Reason.NOBODY:
        return RescueJudgement(Rescue.NOBODYS, judged.reason)
    return RescueJudgement(Rescue.REFUSED, judged.reason)
