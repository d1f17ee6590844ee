"""Where lists come from: one module or package a kind of source, and the registry of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from safelist.collector.sources import ews
from safelist.config import Config

if TYPE_CHECKING:  # the contract speaks of the store, which most commands that read the configuration do not need
    from safelist.collector.source import SourceKind

KINDS: "Mapping[str, SourceKind]" = {"ews": ews}
"""Every kind of source, by the word that ``kind`` in ``[[sources]]`` has for it. None imports what only a run needs."""

FIRST = "exchange"
"""The name of the source in ``[exchange]`` and ``[mailboxes]``, and of all that was recorded before sources had one."""


class NamedSource(NamedTuple):
    """A source as the configuration has it."""

    name: str
    kind: str
    settings: Any


def configured(config: Config) -> list[NamedSource]:
    """Every source of the configuration, in its order."""
    if config.exchange is None:
        return []
    return [NamedSource(FIRST, "ews", ews.SETTINGS(exchange=config.exchange, mailboxes=config.mailboxes))]
