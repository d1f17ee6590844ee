"""Bring a target to what the store and the policy say: lock, plan, refuse a sudden shrink, swap in, run the hook."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from safelist import policy
from safelist.errors import TemporaryError
from safelist.publisher import hook
from safelist.publisher.files import alone, explained
from safelist.publisher.target import Aggregate, Asked, FileChange, Plan, Published, Target

SHRINK = 10
"""Fewer entries than this may disappear at once, whatever their share."""


def publish(
    aggregate: Aggregate,
    settings: policy.Settings,
    target: Target,
    chosen: Any,
    clock: Callable[[], datetime],
    *,
    dry_run: bool = False,
    allow_shrink: bool = False,
) -> Published:
    """Bring the target's files to what ``aggregate`` and ``settings`` say; touch nothing where they are so already.

    The clock is asked, and the aggregate read, once no other publication is at it: what is decided before, or as of
    before, could be older than what that one has written.

    Raises ConfigError, PermissionDeniedError, UnavailableError or, for a sudden shrink or where another publication is
    at it, TemporaryError; the old files then stay in use. What fails after the swap is in ``failed``.
    """
    use, command, failed = target.use(chosen), getattr(chosen, "on_change", ()), None
    beside = target.beside(chosen)
    with explained(beside), _alone(target, chosen, dry_run=dry_run):
        with _planned(target, Asked(aggregate, settings, clock(), dry_run), chosen) as plan:
            if not allow_shrink:
                _refuse_shrink(plan.files)
            owed = hook.pending(beside)
            is_hooked = bool(command) and (plan.is_changed or owed.exists())
            if not dry_run:
                failed = plan.apply(owed.touch if is_hooked else _nothing)
        if is_hooked and not dry_run:
            failed = hook.run(beside, command, target.place(chosen)) or failed
    refused = tuple(sorted(plan.left_out, key=lambda each: each.pattern[:2]))
    return Published(target.name, target.place(chosen), plan.files, refused, is_hooked, use, plan.notes, failed)


def _alone(target: Target, chosen: Any, *, dry_run: bool) -> AbstractContextManager[None]:
    if target.refuse is not None:
        target.refuse(chosen)
    return nullcontext() if dry_run else alone(target.beside(chosen))


@contextmanager
def _planned(target: Target, asked: Asked, chosen: Any) -> Iterator[Plan]:
    """Read the aggregate, all of it as of one moment, for the target's plan; it is let go of before that is applied.

    What counts for everybody as of before a run, and for each recipient as of after it, could open what neither closes.
    So could the domains that are the organisation's own: some may be new since the settings were made.
    """
    with ExitStack() as open_:
        with asked.aggregate.at_one_moment() as held:
            own = asked.settings.own_domains | held.own_domains()
            read = asked._replace(aggregate=held, settings=replace(asked.settings, own_domains=own))
            plan = open_.enter_context(target.plan(read, chosen))
        yield plan


def _nothing() -> None:
    """No hook will be owed."""


def _refuse_shrink(files: Iterable[FileChange]) -> None:
    for each in files:
        if each.lost >= SHRINK and 2 * each.lost > each.had:
            raise TemporaryError(
                f"{each.path}: {each.lost} of {each.had} entries would disappear at once, so nothing was changed; if "
                "that is right: safelist publish --allow-shrink (with --dry-run it only shows them)"
            )
