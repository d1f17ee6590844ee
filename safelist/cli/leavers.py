"""Mailboxes that still count although nobody names them any more: said to cron once a day."""

from collections.abc import Sequence

from safelist.cli.terminal import actor, complain, now
from safelist.entry import FIRST_SOURCE
from safelist.store import Store

TOLD = "sync: leavers told"
"""The run that notes in the database that it was said; it is one of those that every database keeps."""
_SHOWN = 10


def tell(opened: Store, source: str, addresses: Sequence[str]) -> None:
    """Say it of a source on standard error, unless it was said today (UTC) or there are none."""
    at = now()
    told = opened.last_run(TOLD, source)
    if not addresses or (told is not None and told.started.date() == at.date()):
        return
    complain(sentence(source, addresses))
    run = opened.begin_run(at, TOLD, actor(), source)
    opened.end_run(run, now(), {"leavers": len(addresses)}, None)


def sentence(source: str, addresses: Sequence[str]) -> str:
    """What is so, of which mailboxes, and what to do."""
    count, shown = len(addresses), " ".join(addresses[:_SHOWN])
    more = f" (and {count - _SHOWN} more: not_named in `safelist sync --json`)" if count > _SHOWN else ""
    where = "in [mailboxes]" if source == FIRST_SOURCE else "by their source"
    return (
        f"{count} collected mailbox{'' if count == 1 else 'es'} no longer named {where} still count; "
        f"for those that are gone: safelist forget {shown}{more}"
    )
