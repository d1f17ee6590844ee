"""The configuration as a command gets it: its file, and what else names mailboxes."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from safelist import config, sender
from safelist.collector import sources
from safelist.errors import UsageError
from safelist.publisher.targets import TARGETS


def target_sections() -> dict[str, type[BaseModel]]:
    """The model of each target's section ``[publish.NAME]``."""
    return {name: target.settings for name, target in TARGETS.items()}


def load_config(path: Path | None) -> config.Config:
    """Read the configuration that ``--config`` names, or the default one."""
    return config.load(path or config.default_path(), target_sections(), sources.sections())


def addresses_in(texts: Iterable[str], option: str) -> list[str]:
    """The normalised addresses that ``option`` names, each once."""
    patterns = [(text, sender.typed(text)) for text in texts]
    for text, pattern in patterns:
        if pattern.form is not sender.Form.ADDRESS:
            raise UsageError(f"{option}: {text!r} is not an e-mail address")
    return list(dict.fromkeys(pattern.text for _, pattern in patterns))
