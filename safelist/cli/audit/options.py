"""What the questions share: as of when, in which form, and words that several answers have."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated

import typer

from safelist.audit.json_form import AHEAD, AT_FIRST
from safelist.cli.moments import parse_time
from safelist.cli.terminal import now, print_csv, print_json
from safelist.entry import Holding
from safelist.errors import UsageError
from safelist.policy import Decision
from safelist.store import Moment, Store

AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="DATE", help="As of the end of that day (2026-11-20, UTC), or of 2026-11-20T14:30."),
]


def moment_of(opened: Store, text: str | None, option: str = "--at") -> Moment | None:
    """The state that ``text`` names; None without one. Raises UsageError where it is no date or in the future."""
    return None if text is None else opened.moment_at(parse_time(text, option))


def never_collected(address: str) -> str:
    """What to say where nobody ever asked that mailbox."""
    return f"{address} was never collected; is it in [mailboxes]? The answer knows nothing of its lists"


def refuse_never_collected(opened: Store, address: str | None) -> None:
    """Raise UsageError, after the answer, where that is about a mailbox whose lists nobody knows."""
    if address is not None and opened.mailbox(address) is None:
        raise UsageError(never_collected(address))


def print_answer(
    json: bool, csv: bool, as_json: Callable[[], object], columns: Sequence[str],
    rows: Callable[[], Iterable[Mapping[str, object]]], for_people: Callable[[], None],
) -> None:  # fmt: skip
    """Print the answer in the form that was asked for."""
    if json and csv:
        raise UsageError("--json and --csv: write one of them")
    if json:
        print_json(as_json())
    elif csv:
        print_csv(columns, rows())
    else:
        for_people()


def said(decision: Decision) -> str:
    """A decision in words."""
    if not decision.safe:
        return f"not safe ({decision.reason}): {decision.sentence}"
    needs = "" if decision.authentication == "none" else f" if {decision.authentication} holds"
    return f"safe{needs} ({decision.reason}): {decision.sentence}"


def remarks(holding: Holding) -> Iterator[str]:
    """What to say beside an entry."""
    if holding.pattern.refusal is not None:
        yield f"refused: {holding.pattern.refusal.sentence}"
    if holding.at_first:
        yield AT_FIRST
    if holding.since > now() or (holding.until or holding.since) > now():
        yield AHEAD
    elif holding.until is not None and holding.until < holding.since:
        yield "ended before it was first seen: the clock was wrong at one of both"
