"""An index of another type beside the map: Postfix reads it as long as main.cf names it, so it never grows stale."""

from pathlib import Path

import pytest

from safelist.errors import ConfigError, UnavailableError
from safelist.publisher.targets import postfix
from tests.publisher.site import INSTALLED, many, names, needs_postmap, postmap, settings, state, write

PERMIT = b"permit_auth_destination"
FIRST, BLOCKED = "sender0@aol.example", "sender2@aol.example"

pytestmark = needs_postmap
PAIRS = [
    (old, new)
    for old in INSTALLED
    for new in (*INSTALLED, "texthash")
    if old != new and {old, new} != {"hash", "btree"}
]


def found(map_type: str, path: Path, sender: str) -> list[bytes]:
    return postmap("-q", sender, f"{map_type}:{path}")[1]


@pytest.fixture
def own_postfix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A main.cf of its own; this process and what it starts read it."""
    directory = tmp_path / "etc"
    directory.mkdir()
    (directory / "main.cf").touch()
    monkeypatch.setenv("MAIL_CONFIG", str(directory))
    return directory / "main.cf"


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_an_index_of_the_old_type_no_longer_lets_a_blocked_sender_through(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "safelist"
    write(path, many(3), old)
    assert found(old, path, BLOCKED) == [PERMIT]
    published = write(path, many(2), new)
    assert [found(each, path, BLOCKED) for each in (old, new)] == [[], []]
    assert [found(each, path, FIRST) for each in (old, new)] == [[PERMIT], [PERMIT]]
    (note,) = published.notes
    assert note.startswith(f"{path}{Path(note.split()[0]).suffix} is of another type")
    before = state(tmp_path)
    again = write(path, many(2), new)
    assert (again.changed, again.failed) == (False, None)
    assert state(tmp_path) == before


def test_when_postfix_comes_to_prefer_another_type_both_are_right(tmp_path: Path, own_postfix: Path) -> None:
    own_postfix.write_text("default_database_type = hash\n")
    path = tmp_path / "safelist"
    write(path, many(3), "")
    own_postfix.write_text("default_database_type = cdb\n")
    assert write(path, many(2), "").use == f"check_sender_access cdb:{path}"
    assert [found(each, path, BLOCKED) for each in ("hash", "cdb")] == [[], []]


def test_one_that_grew_stale_before_is_noticed_although_the_map_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "safelist"
    write(path, many(3), "hash")
    stale = (tmp_path / "safelist.db").read_bytes()
    write(path, many(2), "cdb")
    (tmp_path / "safelist.db").write_bytes(stale)
    assert found("hash", path, BLOCKED) == [PERMIT]
    assert write(path, many(2), "cdb").changed
    assert found("hash", path, BLOCKED) == []


@pytest.mark.parametrize(("old", "new"), [("hash", "btree"), ("btree", "hash")])
def test_a_type_with_the_same_file_name_is_refused_for_postfix_could_not_open_it(
    tmp_path: Path, old: str, new: str
) -> None:
    path = tmp_path / "safelist"
    write(path, many(3), old)
    before = state(tmp_path)
    with pytest.raises(
        ConfigError, match=rf"safelist\.db: is a {old} map; a {new} map in its place .*map_type = .{old}"
    ):
        write(path, many(2), new)
    assert state(tmp_path) == before


@pytest.mark.skipif("lmdb" not in INSTALLED, reason="no lmdb maps: apt-get install postfix-lmdb")
def test_one_that_cannot_be_renewed_does_not_stop_the_map_and_is_said_each_time(
    tmp_path: Path, own_postfix: Path
) -> None:
    path = tmp_path / "safelist"
    write(path, many(3), "lmdb")
    without_plugins(own_postfix)
    for _ in range(2):
        published = write(path, many(2), "hash")
        assert isinstance(published.failed, UnavailableError)
        assert "safelist.lmdb: is left from another type of index and now out of date" in str(published.failed)
        assert "delete it" in str(published.failed)
        assert found("hash", path, FIRST) == [PERMIT]
        assert found("hash", path, BLOCKED) == []


def without_plugins(main: Path) -> None:
    """As on a machine without postfix-lmdb: its dynamicmaps.cf lists nothing."""
    main.write_text(f"meta_directory = {main.parent}\ndefault_database_type = lmdb\n")
    (main.parent / "dynamicmaps.cf").touch()


def test_a_type_that_this_postfix_lacks_is_refused_before_anything_is_written(
    tmp_path: Path, own_postfix: Path
) -> None:
    without_plugins(own_postfix)
    path = tmp_path / "safelist"
    for map_type in ("lmdb", ""):
        for dry_run in (True, False):
            with pytest.raises(UnavailableError, match=r"no lmdb maps: .*apt-get install postfix-lmdb.*: hash, btree"):
                write(path, many(1), map_type, dry_run=dry_run)
    assert names(tmp_path) == ["etc"]


def test_the_line_for_main_cf_names_the_type(tmp_path: Path, own_postfix: Path) -> None:
    own_postfix.write_text("default_database_type = btree\n")
    path = tmp_path / "safelist"
    assert postfix.use(settings(path)) == f"check_sender_access btree:{path}"
    assert postfix.use(settings(path, "texthash")) == f"check_sender_access texthash:{path}"
