"""An aggregate for the audit's tests: SQLite, the default."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from safelist import store
from tests import aggregate


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[store.Store]:
    """An aggregate without mailboxes, open."""
    url = aggregate.create(tmp_path / "safelist.db")
    with store.open_store(url) as opened:
        yield opened
