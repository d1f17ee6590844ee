"""The aggregate: who trusts whom. Rows in, plain values out; the past is only ever appended to."""

from safelist.store.aggregate import Store, open_store
from safelist.store.database import shown_url
from safelist.store.lock import hold
from safelist.store.migration import upgrade
from safelist.store.values import Change, Holding, MailboxState, Miscount, Run, Seen, Totals

__all__ = [
    "Change",
    "Holding",
    "MailboxState",
    "Miscount",
    "Run",
    "Seen",
    "Store",
    "Totals",
    "hold",
    "open_store",
    "shown_url",
    "upgrade",
]
