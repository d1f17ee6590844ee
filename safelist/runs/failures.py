"""Which mailboxes fail, and which of them an administrator knows to fail; who says so and when is passed in."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from safelist.errors import UsageError
from safelist.override import days, parse_expiry
from safelist.store import Acknowledgement, KnownFailure, MailboxTrouble, Outcome, Store

EXPIRES = "90d"
"""When an acknowledgement ends, unless its maker says so."""
_LONGEST = "1y"


class Failing(NamedTuple):
    """A mailbox that failed when it was asked last, and what is acknowledged of just that failure."""

    trouble: MailboxTrouble
    given: Acknowledgement | None


def failing(store: Store, now: datetime) -> list[Failing]:
    """Every mailbox that failed when it was asked last, by address."""
    known = store.known_failures(now)
    failed = (each for each in store.troubled() if each.outcome == Outcome.FAILED)
    return [Failing(each, known.get((each.address, str(each.reason)))) for each in failed]


def until(text: str, now: datetime) -> datetime:
    """When an acknowledgement ends. Raises UsageError: one without an end hides what nobody remembers."""
    try:
        end = parse_expiry(text, now)
    except ValueError as error:
        raise UsageError(f"--expires: {error}") from None
    if end is None or end > now + days(_LONGEST):
        raise UsageError(
            f"--expires: must be within {_LONGEST}; a mailbox that shall not be asked at all is taken out of "
            "[mailboxes], or named in its `exclude`"
        )
    return end


def acknowledge(
    store: Store, addresses: Sequence[str], why: str, ticket: str | None, end: datetime, now: datetime, actor: str
) -> list[Acknowledgement]:  # fmt: skip
    """Record that these mailboxes are known to fail as they do now, all of them or none.

    Raises UsageError where one does not fail, or with what passes by itself.
    """
    troubles = {each.address: each for each in store.troubled()}
    if faults := list(_objections(store, addresses, troubles)):
        raise UsageError("\n".join(faults))
    known = [KnownFailure(address, str(troubles[address].reason), why, ticket, end) for address in addresses]
    return store.acknowledge(known, now, actor)


def _objections(store: Store, addresses: Sequence[str], troubles: dict[str, MailboxTrouble]) -> Iterator[str]:
    for address in addresses:
        trouble = troubles.get(address)
        if trouble is None and store.mailbox(address) is None:
            yield f"acknowledge: {address} was never collected; `safelist failure list` shows which mailboxes fail"
        elif trouble is None:
            yield f"acknowledge: {address} did not fail when it was asked last; there is nothing to acknowledge"
        elif trouble.outcome != Outcome.FAILED:
            yield (
                f"acknowledge: {address} is {trouble.outcome}, which a later run believes, or `safelist sync` with "
                "--accept-vanished or --accept-mass-change at once"
            )


def revoke(store: Store, addresses: Sequence[str], why: str, now: datetime, actor: str) -> list[int]:
    """Take back what is acknowledged of these mailboxes, all of it or nothing; the numbers. Raises UsageError."""
    return store.revoke_acknowledgements(addresses, why, now, actor)
