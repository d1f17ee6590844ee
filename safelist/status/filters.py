"""Asks the filters whether they answer, and which snapshot they have in use."""

import errno
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from safelist.config import Config
from safelist.errors import SafelistError
from safelist.filter import answer_check, settings, snapshot_check
from safelist.filter.settings import Filter
from safelist.override import days
from safelist.postfix import policy_probe
from safelist.publisher.targets import filter_snapshot
from safelist.status.facts import FilterFacts, SnapshotFacts

SECONDS = 3.0
"""For all answers of a kind: who asks for a status waits ten seconds, as a rule."""
_DENIED = os.strerror(errno.EACCES)
_MAX_AGE = "7d"
_LOOKUP, _METRICS = "lookup:", "metrics:"


class Installed(NamedTuple):
    """What there is of the filter: where it answers, its snapshot, and what could not be found out."""

    addresses: Sequence[str] = ()
    snapshot: Path | None = None
    max_age: timedelta = days(_MAX_AGE)
    unknown: str = ""


def installed(config: Config) -> Installed:
    """What the configurations say of it: ``[status] filters``, else the filter's own where it serves this safelist."""
    own = config.publish.get(filter_snapshot.NAME)
    named, snapshot = config.status.filters, own.path if own else None
    path = Path(os.environ.get("SAFELIST_FILTER_CONFIG") or settings.DEFAULT_PATH)
    if own is None or not _may_be_there(path):
        return Installed(named, snapshot)
    try:
        chosen = settings.load(path)
    except SafelistError as error:
        told = "" if named else f"{error}; or name in [status] filters where it answers"
        return Installed(named, snapshot, unknown=told)
    return Installed(named or _addresses(chosen), snapshot, days(chosen.max_age))


def _may_be_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # to read it tells why not
    return True


def _addresses(chosen: Filter) -> list[str]:
    """Every address of which the filter does not choose the port itself."""
    metrics = [f"{_METRICS}{chosen.metrics}"] if chosen.metrics else []
    found = [*chosen.listen, *(f"{_LOOKUP}{address}" for address in chosen.lookup), *metrics]
    return [address for address in found if not address.endswith(":0")]


def look_at_snapshot(found: Installed, now: datetime) -> SnapshotFacts | None:
    """The snapshot that is there; None where none is published."""
    if found.snapshot is None:
        return None
    if _is_denied(found.snapshot):
        return SnapshotFacts(str(found.snapshot), None, is_denied=True)
    faults = tuple(snapshot_check.faults(found.snapshot, found.max_age, now))
    try:
        return SnapshotFacts(str(found.snapshot), snapshot_check.published(found.snapshot), faults)
    except SafelistError:
        return SnapshotFacts(str(found.snapshot), None, faults)


def _is_denied(path: Path) -> bool:
    """Whether it is for others to read it; what is wrong otherwise, they see."""
    try:
        path.open("rb").close()
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def ask(addresses: Iterable[str]) -> list[FilterFacts]:
    """Ask at each of them."""
    given = list(dict.fromkeys(addresses))
    policy = policy_probe.ask_all((it for it in given if not it.startswith((_LOOKUP, _METRICS))), SECONDS)
    found = []
    for address in given:
        if address.startswith(_METRICS):
            found.append(_ask_metrics(address))
        elif address.startswith(_LOOKUP):
            found.append(_of(address, answer_check.lookup_fault(address.removeprefix(_LOOKUP), SECONDS)))
        else:
            answer = policy[address]
            found.append(_of(address, answer_check.policy_fault(address, answer))._replace(mode=answer.mode))
    return found


def _ask_metrics(address: str) -> FilterFacts:
    try:
        at = answer_check.snapshot_in_use(address.removeprefix(_METRICS), SECONDS)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return _of(address, f"nobody tells of the filter on {address} ({why}): is safelist-filter.service running?")
    return FilterFacts(address, in_use=at)


def _of(address: str, fault: str) -> FilterFacts:
    return FilterFacts(address, fault, is_denied=f"({_DENIED})" in fault)
