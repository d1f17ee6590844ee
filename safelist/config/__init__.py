"""The configuration: its model, the loader, and the sample that shows every key."""

from safelist.config.loader import MAX_BYTES, default_database, default_path, faults_of, load, read_text
from safelist.config.model import (
    SECRET_KEYS,
    Collect,
    Config,
    Database,
    Exchange,
    LenientPath,
    ListType,
    Mailboxes,
    NamedSource,
    Overrides,
    Policy,
    Section,
    StatusSettings,
    Texts,
    Web,
)
from safelist.config.sample_file import sample, sample_of, toml
from safelist.config.spans import span

__all__ = [
    "MAX_BYTES",
    "SECRET_KEYS",
    "Collect",
    "Config",
    "Database",
    "Exchange",
    "LenientPath",
    "ListType",
    "Mailboxes",
    "NamedSource",
    "Overrides",
    "Policy",
    "Section",
    "StatusSettings",
    "Texts",
    "Web",
    "default_database",
    "default_path",
    "faults_of",
    "load",
    "read_text",
    "sample",
    "sample_of",
    "span",
    "toml",
]
