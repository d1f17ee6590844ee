"""All pages, as files."""

import os
import re
from datetime import UTC, date, datetime
from pathlib import Path

from manual import commands, files
from manual.roff import Imprint
from manual.tables import ROOT


def pages(version: str) -> dict[str, str]:
    """The text of every page by the name of its file."""
    imprint = Imprint(version, _day(version))
    return commands.pages(imprint) | files.pages(imprint)


def write(directory: Path, version: str) -> None:
    """Write every page into its section's directory, ``man1`` or ``man5``."""
    for name, text in pages(version).items():
        path = directory / f"man{name[-1]}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _day(version: str) -> date:
    """The day of that version: the changelog's, else what SOURCE_DATE_EPOCH or the clock says."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if found := re.search(rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)", changes, re.MULTILINE):
        return date.fromisoformat(found[1])
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return (datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)).date()
