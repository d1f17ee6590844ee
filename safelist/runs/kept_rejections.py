"""Keeps how many mails were rejected, day by day: counts, and of an address nothing, not even a digest."""

import re
from collections.abc import Iterator
from datetime import datetime

from safelist import store
from safelist.errors import UsageError
from safelist.rejections.collected import CollectedMails
from safelist.rejections.judging import BY_A_LIST
from safelist.rejections.providers import UNNAMED
from safelist.runs.rejections import AskedPolicy
from safelist.store import KeptDay, RejectionCount, Store

_LOCK = "rejections.kept"
"""No source has such a name: collecting goes on beside it, and it beside collecting."""
_ADDRESS = re.compile(r"@|\d{1,3}(?:[.-]\d{1,3}){3}|:[0-9a-f]*:", re.IGNORECASE)


def refuse_unjudged(asked: AskedPolicy | None) -> None:
    """Raises UsageError where mails cannot be judged, before anybody reads a log in vain."""
    if asked is None:
        raise UsageError(
            "--keep: there is no aggregate to keep counts in; write the configuration (safelist init), then run "
            "safelist db upgrade and safelist sync"
        )
    if asked.store.first_good_run("sync") is None:
        raise UsageError("--keep: the lists were never collected, so nothing can be judged; run safelist sync first")


def keep(mails: CollectedMails, opened: Store, url: str, now: datetime) -> list[KeptDay]:
    """Keep the counts of what DNS blocklists rejected, once it is judged; what became of each day.

    Raises TemporaryError where another safelist keeps counts, or changes the whole database.
    """
    with store.hold(url, "rejections --keep", now, _LOCK):
        return opened.keep_rejections(counts(mails))


def counts(mails: CollectedMails) -> Iterator[RejectionCount]:
    """How many mails of each day, list and judgement."""
    for day, provider, rescue, reason, count, attempts in mails.count("day, provider, rescue, reason", BY_A_LIST):
        yield RejectionCount(day, _without_address(provider), rescue, reason, count, attempts)


def _without_address(provider: str) -> str:
    """A list's name as the log has it; a server may say one in which an address stands."""
    return UNNAMED if _ADDRESS.search(provider) else provider
