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
    Acknowledgement,
    Change,
    Event,
    EventKind,
    KeptDay,
    KnownFailure,
    Made,
    MailboxState,
    MailboxTrouble,
    Miscount,
    Moment,
    Outcome,
    Publication,
    PublishedFile,
    RejectionCount,
    RuleVersion,
    Run,
    TargetState,
    Totals,
    Verified,
)

__all__ = [
    "NO_RULE",
    "Acknowledgement",
    "Change",
    "Contradiction",
    "ContradictionError",
    "Event",
    "EventKind",
    "Holding",
    "KeptDay",
    "KnownFailure",
    "Made",
    "MailboxState",
    "MailboxTrouble",
    "Miscount",
    "Moment",
    "Outcome",
    "Publication",
    "PublishedFile",
    "RejectionCount",
    "RuleVersion",
    "Run",
    "Store",
    "TargetState",
    "Totals",
    "Verified",
    "Window",
    "hold",
    "open_store",
    "shown_url",
    "upgrade",
]
