"""What the collected mails come to, in figures: how many, by whose lists, and what the safelist would have changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from safelist.rejections.collected import CollectedMails
from safelist.rejections.judging import BY_A_LIST, LIFTABLE, OURS
from safelist.rejections.reading import ReadSoFar
from safelist.rejections.rescue import Rescue

MOST_SHOWN = 20


class Refused(NamedTuple):
    """Mails of one provider, sender domain or recipient: how many, in how many attempts, and how many would be lifted.

    ``lifted`` is None where no aggregate was asked.
    """

    name: str | None
    mails: int
    attempts: int
    lifted: int | None


NULL_SENDER, NOT_TOLD = "(null sender)", "(not told)"


def name_of(refused: Refused) -> str:
    """What the mails have in common, in words where it is no name."""
    return NOT_TOLD if refused.name is None else refused.name or NULL_SENDER


class RescueReason(NamedTuple):
    """How many mails the policy says the same of, by the code of its reason."""

    rescue: str
    reason: str | None
    mails: int


class Rescued(NamedTuple):
    """What the safelist would have changed."""

    mails: int
    senders: int
    recipients: int
    by_reason: tuple[RescueReason, ...]
    by_spf: tuple[tuple[str, int], ...]
    """Of those that would be let through, how many have each result of SPF today; empty where nobody asked."""
    first_collection: datetime | None
    older: int
    """Mails of days before the first collection, which are judged by what was collected then."""


@dataclass(frozen=True, slots=True)
class RejectionSummary:
    """Figures of logs; tables have the first :data:`MOST_SHOWN` rows, most mails first."""

    logs: tuple[ReadSoFar, ...]
    first_day: str | None
    last_day: str | None
    mails: int
    attempts: int
    by_lists: int
    liftable: int
    bounced: int
    warned: int
    """Of ``mails``, those that were let through: the log says what would have been refused."""
    unread: int
    rescued: Rescued | None
    providers: tuple[Refused, ...]
    domains: tuple[Refused, ...]
    recipients: tuple[Refused, ...]


def summary(
    mails: CollectedMails, logs: Sequence[ReadSoFar], unread: int, first_collection: datetime | None, *, is_judged: bool
) -> RejectionSummary:
    """Count the mails; ``is_judged``: the policy was asked. ``first_collection``: since when there are lists."""
    first, last, attempts, *counts = mails.total(f"min(day), max(day), {_attempts(OURS)}, {_counts(*_COUNTED)}")
    count, by_lists, liftable, bounced, warned = map(int, counts)
    return RejectionSummary(
        tuple(logs), first, last, count, int(attempts), by_lists, liftable, bounced, warned, unread,
        _rescued(mails, first_collection) if is_judged else None,
        _table(mails, "provider", BY_A_LIST, is_judged=is_judged),
        _table(mails, "domain", LIFTABLE, is_judged=is_judged),
        _table(mails, "lower(recipient)", LIFTABLE, is_judged=is_judged),
    )  # fmt: skip


_COUNTED = (OURS, BY_A_LIST, LIFTABLE, "kind = 'bounced'", "kind = 'warned'")


def _attempts(where: str) -> str:
    return f"total(attempts) FILTER (WHERE {where})"


def _counts(*wheres: str) -> str:
    """All in one pass: there may be more mails than memory holds."""
    return ", ".join(f"count(*) FILTER (WHERE {each})" for each in wheres)


def _count(mails: CollectedMails, where: str) -> int:
    return int(mails.total("count(*)", where)[0])


def _rescued(mails: CollectedMails, first_collection: datetime | None) -> Rescued:
    lifted = f"rescue = '{Rescue.LIFTED}'"
    count, senders, recipients = mails.total(
        "count(*), count(DISTINCT lower(sender)), count(DISTINCT lower(recipient))", lifted
    )
    reasons = tuple(RescueReason(*row[:3]) for row in mails.count("rescue, reason", "rescue IS NOT NULL"))
    first_day = "" if first_collection is None else mails.day_of(first_collection)
    older = _count(mails, f"rescue IS NOT NULL AND day < '{first_day}'")
    by_spf = tuple((str(result), mails_) for result, mails_, _ in mails.count("proof", "proof IS NOT NULL"))
    return Rescued(count, senders, recipients, reasons, by_spf, first_collection, older)


def _table(mails: CollectedMails, column: str, where: str, *, is_judged: bool) -> tuple[Refused, ...]:
    rows = mails.most(column, where, f"rescue = '{Rescue.LIFTED}'", MOST_SHOWN)
    return tuple(
        Refused(name, count, attempts, lifted if is_judged else None) for name, count, attempts, lifted in rows
    )
