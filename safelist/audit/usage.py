"""Safe entries that nobody needed: the other side of what the filter noted."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from safelist import policy
from safelist.policy import Reason, Settings
from safelist.sender import Pattern
from safelist.store import Store
from safelist.used import Use


class NeverUsed(NamedTuple):
    """A sender that is safe for the whole organisation and by which no mail was let through, and why it is safe."""

    sender: Pattern
    reason: Reason


def never_used(store: Store, settings: Settings, now: datetime, uses: Iterable[Use]) -> Iterator[NeverUsed]:
    """The senders that are safe for the whole organisation and that none of ``uses`` names."""
    seen = {use.key.sender for use in uses}
    for candidate in store.candidates(settings, now, settings.quorum):
        judged = policy.judge(candidate, settings, now)
        if judged.safe and candidate.sender.text not in seen:
            yield NeverUsed(candidate.sender, judged.reason)
