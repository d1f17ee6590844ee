"""An aggregate in which nothing is yet, as `store.upgrade` makes it: made once in each process, then copied."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from safelist import store


def create(path: Path) -> str:
    """Create the SQLite database at ``path`` and its directory, as `store.upgrade` does; its URL."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(_empty())
    return f"sqlite:///{path}"


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "safelist.db"
        store.upgrade(f"sqlite:///{path}")
        assert [each.name for each in Path(directory).iterdir()] == [path.name]
        return path.read_bytes()
