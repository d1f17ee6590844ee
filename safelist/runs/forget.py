"""End the entries of mailboxes that are gone or have another address now."""

from collections.abc import Mapping, Sequence

from safelist import store
from safelist.config import Config
from safelist.entry import ALL_LISTS
from safelist.errors import UsageError
from safelist.runs import Clock
from safelist.store import NO_RULE, Outcome, Store


def forget(opened: Store, config: Config, addresses: Sequence[str], now: Clock, actor: str) -> Mapping[str, int]:
    """End every entry of these mailboxes, of whatever source; how many those were.

    Raises UsageError for the first that was never collected; those before it are forgotten.
    """
    if not addresses:
        raise UsageError("forget: name the mailboxes, or their --domain")
    with store.hold(config.database.url, "forget", now()):
        return {address: _forget_one(opened, address, now, actor) for address in addresses}


def _forget_one(opened: Store, address: str, now: Clock, actor: str) -> int:
    if opened.mailbox(address) is None:
        raise UsageError(f"forget: {address} was never collected; `safelist audit who SENDER` shows who was")
    run = opened.begin_run(now(), "forget", actor)
    change = opened.record(run, address, NO_RULE, frozenset(), ALL_LISTS, now())
    opened.note(run, address, now(), Outcome.FORGOTTEN)
    opened.end_run(run, now(), {"removed": len(change.removed)}, None)
    return len(change.removed)
