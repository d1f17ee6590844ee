"""What the filter's commands share: its configuration."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from safelist.filter import settings
from safelist.filter.settings import Filter

FilterConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="SAFELIST_FILTER_CONFIG", show_default=False, metavar="FILE", readable=False,
        help="The filter's configuration. Default: /etc/safelist/filter.toml.",
    ),
]  # fmt: skip


def load_filter(path: Path | None) -> Filter:
    """The configuration that ``--config`` names, or the default one."""
    return settings.load(path or Path(os.environ.get("SAFELIST_FILTER_CONFIG") or settings.DEFAULT_PATH))


def be_quiet() -> None:
    """What the service logs is part of the answer here."""
    logging.getLogger("safelist.filter").addHandler(logging.NullHandler())
