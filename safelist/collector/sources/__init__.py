"""Where lists come from: one module or package a kind of source, and the registry of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from safelist.collector.sources import ews
from safelist.config import Config, NamedSource, Section
from safelist.entry import FIRST_SOURCE

if TYPE_CHECKING:  # the contract speaks of the store, which most commands that read the configuration do not need
    from safelist.collector.source import SourceKind

KINDS: "Mapping[str, SourceKind]" = {"ews": ews}
"""Every kind of source, by the word that ``kind`` in ``[[sources]]`` has for it. None imports what only a run needs."""


def sections() -> dict[str, type[Section]]:
    """The model of each kind's ``[[sources]]``."""
    return {name: kind.SETTINGS for name, kind in KINDS.items()}


def configured(config: Config) -> list[NamedSource]:
    """Every source of the configuration, in its order: that of ``[exchange]`` first."""
    if config.exchange is None:
        return list(config.sources)
    first = ews.SETTINGS(exchange=config.exchange, mailboxes=config.mailboxes)
    return [NamedSource(FIRST_SOURCE, "ews", first), *config.sources]
