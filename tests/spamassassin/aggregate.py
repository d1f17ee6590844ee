"""A database with what is said of senders: by overrides, for everybody and for a recipient."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safelist import sender, store
from safelist.override import Authentication, Effect, Level, Terms
from safelist.policy import Settings
from safelist.publisher.publish import publish
from safelist.publisher.target import Published, Target
from tests import aggregate
from tests.publisher.site import NOW


def said(
    text: str, recipient: str = "", *, safe: bool = True, needs: Authentication = Authentication.DKIM_OR_SPF
) -> Terms:  # fmt: skip
    """A sender is safe, or is not, for one recipient or for everybody."""
    scope = sender.parse(recipient) if recipient else None
    return Terms(Effect.ALLOW if safe else Effect.BLOCK, sender.parse(text), "x", scope, Level.ENFORCED, needs)


def published(target: Target, chosen: Any, given: Iterable[Terms], **more: bool) -> Published:
    """Publish that, and nothing else."""
    with (
        TemporaryDirectory(dir=chosen.path.parent) as made,
        store.open_store(aggregate.create(Path(made) / "safelist.db")) as opened,
    ):
        opened.make_overrides(list(given), NOW, "root")
        return publish(opened, Settings(), target, chosen, lambda: NOW, allow_shrink=True, **more)
