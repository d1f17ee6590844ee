"""An aggregate for the audit's tests: SQLite, the default."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist import store


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[store.Store]:
    """An aggregate without mailboxes, open."""
    url = f"sqlite:///{tmp_path / 'safelist.db'}"
    store.upgrade(url)
    with store.open_store(url) as opened:
        yield opened
