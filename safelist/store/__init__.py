"""The aggregate: who trusts whom. Rows in, plain values out; the past is only ever appended to."""

from safelist.entry import Holding
from safelist.store.database import shown_url
from safelist.store.events import Window
from safelist.store.lock import hold
from safelist.store.migration import upgrade
from safelist.store.overrides import Contradiction, ContradictionError
from safelist.store.store import Store, open_store
from safelist.store.values import (
    NO_RULE,
    Change,
    Event,
    EventKind,
    KeptDay,
    Made,
    MailboxState,
    Miscount,
    Moment,
    Outcome,
    Publication,
    RejectionCount,
    RuleVersion,
    Run,
    Totals,
    Verified,
)

__all__ = [
    "NO_RULE",
    "Change",
    "Contradiction",
    "ContradictionError",
    "Event",
    "EventKind",
    "Holding",
    "KeptDay",
    "Made",
    "MailboxState",
    "Miscount",
    "Moment",
    "Outcome",
    "Publication",
    "RejectionCount",
    "RuleVersion",
    "Run",
    "Store",
    "Totals",
    "Verified",
    "Window",
    "hold",
    "open_store",
    "shown_url",
    "upgrade",
]
