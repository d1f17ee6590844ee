"""``safelist init``: a commented configuration and an empty database."""

import os
import stat
from pathlib import Path
from typing import Annotated

import typer

from safelist import config, store
from safelist.cli.configuration import load_config, target_sections
from safelist.cli.terminal import ConfigOption, JsonOption, complain, print_json, say
from safelist.collector import sources
from safelist.errors import PermissionDeniedError, UnavailableError


def init(
    config_file: ConfigOption = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="SQLAlchemy's, of the database.", show_default="sqlite, in the state directory"
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a commented safelist.toml and create the database; what is there already stays as it is."""
    path = (config_file or config.default_path()).absolute()
    url = database or store.url_of_file(config.default_database())
    if is_there := path.exists():
        url = load_config(path).database.url
        if database:
            complain(f"{path} was there and names its own database; --database was not used")
    store.upgrade(url)
    is_new = not is_there and write_new(path, config.sample(url, target_sections(), sources.sections()))
    if json:
        print_json({"config": str(path), "config_written": is_new, "database": store.shown_url(url)})
        return
    say(f"{path}: {'written' if is_new else 'was there, left as it is'}")
    say(f"{store.shown_url(url)}: ready")
    say(f"Next: fill in [exchange] and [mailboxes] in {path}, then run `safelist config check`.")


def write_new(path: Path, text: str) -> bool:
    """Write ``text`` to ``path``, readable by its owner only; False when the file was there already.

    In a directory that is kept for a group (setgid), that group may read it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            if path.parent.stat().st_mode & stat.S_ISGID:
                os.fchmod(file.fileno(), 0o640)
            file.write(text)
    except FileExistsError:
        return False
    except PermissionError:
        raise PermissionDeniedError(
            f"{path}: may not be written by this user; name another file with --config"
        ) from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written: {error.strerror}") from None
    return True
