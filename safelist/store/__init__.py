"""The aggregate: who trusts whom. Rows in, plain values out; the past is only ever appended to."""

from safelist.entry import Holding
from safelist.store.aggregate import Store, open_store
from safelist.store.database import shown_url
from safelist.store.happenings import Window
from safelist.store.lock import hold
from safelist.store.migration import upgrade
from safelist.store.overriding import Contradiction, ContradictionError
from safelist.store.values import (
    Change,
    Event,
    EventKind,
    Made,
    MailboxState,
    Miscount,
    Moment,
    Outcome,
    Publication,
    Run,
    Seen,
    Totals,
    Verified,
)

__all__ = [
    "Change",
    "Contradiction",
    "ContradictionError",
    "Event",
    "EventKind",
    "Holding",
    "Made",
    "MailboxState",
    "Miscount",
    "Moment",
    "Outcome",
    "Publication",
    "Run",
    "Seen",
    "Store",
    "Totals",
    "Verified",
    "Window",
    "hold",
    "open_store",
    "shown_url",
    "upgrade",
]
