"""Whether a filter answers where it is said to: as a policy service, to look-ups, with its metrics."""

import re
from datetime import UTC, datetime
from time import monotonic

from safelist.filter import lookup_probe
from safelist.postfix.master_entries import PolicyAnswer
from safelist.postfix.policy_probe import SECONDS, connected, receive

_MAX_METRICS = 1 << 20
_METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_PUBLISHED = re.compile(rb"^safelist_snapshot_published_timestamp_seconds ([0-9.e+]{1,40})\r?$", re.MULTILINE)


def policy_fault(address: str, answer: PolicyAnswer) -> str:
    """What is wrong with what a policy request got at an address; empty: nothing is."""
    if answer.fault:
        return f"nobody answers on {address} ({answer.fault}): is safelist-filter.service running?"
    return ""


def lookup_fault(address: str, seconds: float = SECONDS) -> str:
    """Why look-ups get no answer at an address; empty: they do."""
    if not (fault := lookup_probe.fault_at(address, seconds)):
        return ""
    return (
        f"lookup: no answers on {address} ({fault}): is safelist-filter.service running, and was it restarted "
        "since `lookup` was written?"
    )


def snapshot_in_use(address: str, seconds: float = SECONDS) -> datetime:
    """When the snapshot was published that a filter has in use, asked of its metrics at HOST:PORT; 1970: it has none.

    Raises OSError where nobody answers, ValueError where what answers is no filter.
    """
    until = monotonic() + seconds
    with connected(f"inet:{address}", seconds) as peer:
        peer.sendall(_METRICS)
        found = _PUBLISHED.search(receive(peer, until, most=_MAX_METRICS))
    if found is None:
        raise ValueError("what answers there has no metrics of a safelist filter")
    try:
        return datetime.fromtimestamp(float(found[1]), UTC)
    except (OverflowError, OSError):
        raise ValueError("what answers there tells of no time that can be") from None
