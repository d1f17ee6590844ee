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


def load_config(path: Path | None, database: str | None = None) -> config.Config:
    """Read the configuration that ``--config`` names, or the default one.

    A ``database`` (``--database``) is asked in the place of the one that it names, and only read.
    """
    found = config.load(path or config.default_path(), target_sections(), sources.sections())
    if database is None:
        return found
    return found.model_copy(update={"database": found.database.model_copy(update={"url": _asked(database)})})


def database_url(path: Path | None, database: str | None) -> str:
    """The URL of the database that is asked; no configuration is read where ``database`` says all that is needed."""
    return load_config(path).database.url if database is None else _asked(database)


def _asked(database: str) -> str:
    return url_to_read(database, "--database")


def url_to_read(text: str, option: str) -> str:
    """The URL of a database that ``option`` names as one, or by its file; a file is there, and only read."""
    from safelist.store import read_only_url  # SQLAlchemy: who asks no database waits for none

    if "://" not in text and not Path(text).is_file():
        raise UsageError(f"{option}: {text}: no such file; name a backup, or another database by its URL")
    return read_only_url(url_of(text), option)


def url_of(text: str) -> str:
    """The URL of a database that is named by one, or by its file."""
    from safelist.store import url_of_file

    return text if "://" in text else url_of_file(Path(text))


def addresses_in(texts: Iterable[str], option: str) -> list[str]:
    """The normalised addresses that ``option`` names, each once."""
    patterns = [(text, sender.typed(text)) for text in texts]
    for text, pattern in patterns:
        if pattern.form is not sender.Form.ADDRESS:
            raise UsageError(f"{option}: {text!r} is not an e-mail address")
    return list(dict.fromkeys(pattern.text for _, pattern in patterns))
