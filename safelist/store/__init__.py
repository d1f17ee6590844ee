"""The aggregate: who trusts whom. Rows in, plain values out; the past is only ever appended to."""

from safelist.entry import Holding
from safelist.store.backup import backup
from safelist.store.copying import Copied, copy
from safelist.store.database import read_only_url, shown_url, url_of_file
from safelist.store.events import Window
from safelist.store.lock import hold
from safelist.store.migration import upgrade
from safelist.store.overrides import Contradiction, ContradictionError
from safelist.store.position import ALL, AnswerPage, Position
from safelist.store.store import LOOK, Store, open_store
from safelist.store.values import (
    NO_RULE,
    Acknowledgement,
    Change,
    Event,
    EventKind,
    Found,
    FoundKind,
    HolderCount,
    KeptDay,
    KnownFailure,
    Look,
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
    "ALL",
    "LOOK",
    "NO_RULE",
    "Acknowledgement",
    "AnswerPage",
    "Change",
    "Contradiction",
    "ContradictionError",
    "Copied",
    "Event",
    "EventKind",
    "Found",
    "FoundKind",
    "HolderCount",
    "Holding",
    "KeptDay",
    "KnownFailure",
    "Look",
    "Made",
    "MailboxState",
    "MailboxTrouble",
    "Miscount",
    "Moment",
    "Outcome",
    "Position",
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
    "backup",
    "copy",
    "hold",
    "open_store",
    "read_only_url",
    "shown_url",
    "upgrade",
    "url_of_file",
]
