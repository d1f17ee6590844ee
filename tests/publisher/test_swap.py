"""Several files that take the old ones' places together, where that fails halfway or is to be brought to its end."""

import json
import os
from pathlib import Path

import pytest

from safelist.errors import PermissionDeniedError, UnavailableError
from safelist.publisher.files import Rename, alone, explained, swap, write
from tests.publisher.site import as_nobody, many, names, needs_postmap, needs_root
from tests.publisher.site import write as write_map
from tests.publisher.test_publish import open_directory

__all__ = ["open_directory"]


def staged(directory: Path, *called: str) -> list[Rename]:
    """New files, ready to be swapped in."""
    return [(write(directory / name, lambda handle: os.write(handle, b"new")), directory / name) for name in called]


def cut_short(directory: Path, *called: str) -> list[Rename]:
    """A publication that was killed right after it wrote its journal."""
    renames = staged(directory, *called)
    journal = directory / f".{called[0]}.swap"
    journal.write_text(json.dumps([[str(new), str(old)] for new, old in renames]))
    journal.chmod(0o600)
    return renames


@needs_postmap
def test_all_is_on_the_disk_before_the_first_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a loss of power leaves is old or new, and whole; no kill can show that."""
    done: list[str] = []

    def note(name: str) -> None:
        call = getattr(os, name)

        def noted(what: int | Path, *more: Path) -> None:
            path = Path(f"/proc/self/fd/{what}").readlink() if isinstance(what, int) else what
            done.append(f"{name} {'.' if path == tmp_path else path.name}")
            call(what, *more)

        monkeypatch.setattr(os, name, noted)

    note("fsync")
    note("replace")
    write_map(tmp_path / "map", many(2), "hash")
    assert done == [
        "fsync map", "fsync map.db", "fsync .map.swap", "fsync .", "replace map", "replace map.db", "fsync ."
    ]  # fmt: skip


def test_where_not_even_the_first_can_be_renamed_nothing_is_left_to_be_brought_to_an_end(tmp_path: Path) -> None:
    """A later publication would swap in what was right once, before it looks at what is right by then."""
    renames = staged(tmp_path, "list", "snippet")
    (tmp_path / "list").mkdir()
    with pytest.raises(UnavailableError, match="the old map stays in use"), explained(tmp_path / "list"):
        swap(renames, tmp_path / "list")
    assert [name for name in names(tmp_path) if ".new-" not in name] == ["list"]


def test_where_a_later_one_cannot_be_renamed_that_is_said_and_the_next_publication_does_it(tmp_path: Path) -> None:
    renames = staged(tmp_path, "list", "snippet")
    (tmp_path / "snippet").mkdir()
    with pytest.raises(UnavailableError) as caught, explained(tmp_path / "list"):
        swap(renames, tmp_path / "list")
    assert "some of its files may be new and others old" in str(caught.value)
    assert "stays in use" not in str(caught.value)
    (tmp_path / "snippet").rmdir()
    with alone(tmp_path / "list"):
        assert [path.read_bytes() for _, path in renames] == [b"new", b"new"]
    assert [name for name in names(tmp_path) if name.endswith(".swap")] == []


def test_a_directory_that_is_not_there_any_more_stops_no_publication_for_ever(tmp_path: Path) -> None:
    was, now = tmp_path / "was", tmp_path / "now"
    was.mkdir()
    cut_short(was, "list", "snippet")
    was.rename(now)
    with alone(now / "list"):
        assert [name for name in names(now) if name.endswith(".swap")] == []


@needs_root
def test_what_another_user_has_not_renamed_yet_is_said_with_what_to_do(open_directory: Path) -> None:
    """The owner of the directory was told to be the owner of the directory."""
    os.chown(open_directory, 65534, -1)
    cut_short(open_directory, "list", "snippet")
    told = r"\.list\.swap: .*the owner of that file, or remove"
    with as_nobody(), pytest.raises(PermissionDeniedError, match=told), alone(open_directory / "list"):
        pass
