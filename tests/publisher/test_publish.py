"""Publishing changes a file in one step or not at all; what was there stays in use whenever something fails."""

import hashlib
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from safelist.config import Section
from safelist.errors import ConfigError, PermissionDeniedError, SafelistError, TemporaryError, UnavailableError
from safelist.policy import Candidate
from safelist.policy import Settings as Policy
from safelist.publisher.publish import publish
from safelist.publisher.target import Nothing, Published, Ruling, Target
from safelist.publisher.targets import postfix
from safelist.publisher.text_target import Rendering, TextFile, text_target
from safelist.sender import Form, Pattern
from tests.publisher.site import (
    INSTALLED,
    NOW,
    POSTMAP,
    address,
    as_nobody,
    domain,
    every_map_type,
    listed,
    many,
    names,
    needs_postmap,
    postconf,
    publish_to,
    settings,
    state,
    trusted,
    voted,
    write,
)

PERMIT = b"permit_auth_destination"
CANDIDATES = [
    *trusted("bob@aol.example", "zoe@yahoo.example"),
    voted(address("once@aol.example"), 1),
    voted(domain("yahoo.example"), 9),
    voted(Pattern("x", Form.REFUSED), 9),
]


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that any user may enter, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="safelist-publish-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def hook(directory: Path, code: str) -> tuple[str, ...]:
    """A command whose runs are counted in ``directory``/runs."""
    count = f"open({str(directory / 'runs')!r}, 'a').write('x');"
    return (sys.executable, "-c", f"import sys, os; {count} {code}")


def runs(directory: Path) -> int:
    path = directory / "runs"
    return len(path.read_text()) if path.exists() else 0


def publish_with(path: Path, command: tuple[str, ...], candidates: list[Candidate], **options: bool) -> Published:
    return publish_to(postfix.TARGET, settings(path, "texthash", command), candidates, None, **options)


def index_suffix(map_type: str) -> str:
    return {"lmdb": ".lmdb", "cdb": ".cdb"}.get(map_type, ".db")


@every_map_type
def test_the_map_holds_the_safe_senders_and_only_them(tmp_path: Path, map_type: str) -> None:
    path = tmp_path / "safelist"
    published = write(path, CANDIDATES, map_type)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (published.target, published.path, published.entries) == ("postfix", path, 2)
    assert (published.changed, published.hook, published.refused, published.notes) == (True, False, (), ())
    assert (published.added, published.removed) == (("bob@aol.example", "zoe@yahoo.example"), ())
    assert (published.new, published.gone, published.failed) == (2, 0, None)
    assert published.file_digest == digest
    assert published.use == f"check_sender_access {map_type}:{path}"
    assert [file.opened for file in published.files] == [(path, path.with_name(path.name + index_suffix(map_type)))]
    assert path.read_bytes().split(b"\n")[1:] == [b"bob@aol.example " + PERMIT, b"zoe@yahoo.example " + PERMIT, b""]
    assert len(list(tmp_path.iterdir())) == 2
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in tmp_path.iterdir())


@needs_postmap
def test_the_type_that_postfix_prefers_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "safelist"
    write(path, CANDIDATES, "")
    (preferred,) = postconf("-h", "default_database_type")
    assert listed(preferred, path) == {b"bob@aol.example": PERMIT, b"zoe@yahoo.example": PERMIT}


@pytest.mark.parametrize("map_type", [*INSTALLED, "texthash"])
def test_publishing_the_same_again_touches_nothing(tmp_path: Path, map_type: str) -> None:
    path = tmp_path / "safelist"
    write(path, CANDIDATES, map_type)
    before = state(tmp_path)
    again = write(path, reversed(CANDIDATES), map_type)
    assert (again.changed, again.entries, again.added, again.removed) == (False, 2, (), ())
    assert state(tmp_path) == before


@every_map_type
def test_a_change_replaces_text_and_index_and_says_what_came_and_went(tmp_path: Path, map_type: str) -> None:
    path = tmp_path / "safelist"
    write(path, trusted("a@b.example", "c@d.example"), map_type)
    before = state(tmp_path)
    published = write(path, trusted("c@d.example", "e@f.example"), map_type)
    assert (published.added, published.removed) == (("e@f.example",), ("a@b.example",))
    after = state(tmp_path)
    assert after.keys() == before.keys()
    assert all(after[name][0] != before[name][0] for name in after), "replaced by rename, never written in place"
    index = postfix.index(settings(path, map_type))
    assert index is not None
    assert index.holds(path)
    assert after["safelist" + index.suffix][1] >= after["safelist"][1], "Postfix warns of an index older than its text"


def spoil_remove(index: Path) -> None:
    index.unlink()


def spoil_age(index: Path) -> None:
    os.utime(index, (1, 1))


def spoil_content(index: Path) -> None:
    index.write_bytes(b"garbage" * 1000)


def spoil_truncate(index: Path) -> None:
    os.truncate(index, 100)


def spoil_other(index: Path) -> None:
    """A whole index, of other entries."""
    write(index.with_name("other"), trusted("someone@else.example"), "hash")
    index.with_name("other").unlink()
    index.with_name("other.db").rename(index)


@needs_postmap
@pytest.mark.parametrize("spoil", [spoil_remove, spoil_age, spoil_content, spoil_truncate, spoil_other])
def test_an_index_that_is_missing_old_or_wrong_is_made_anew(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "safelist"
    write(path, CANDIDATES, "hash")
    spoil(tmp_path / "safelist.db")
    assert write(path, CANDIDATES, "hash", dry_run=True).changed
    published = write(path, CANDIDATES, "hash")
    assert (published.changed, published.added, published.removed) == (True, (), ())
    assert listed("hash", path) == {b"bob@aol.example": PERMIT, b"zoe@yahoo.example": PERMIT}
    assert not write(path, CANDIDATES, "hash").changed


@needs_postmap
@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_says_what_would_change_and_touches_nothing(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "safelist"
    if there:
        write(path, trusted("gone@b.example"), "hash")
    before = state(tmp_path)
    command = hook(tmp_path, "")
    published = publish_to(postfix.TARGET, settings(path, "hash", command), CANDIDATES, dry_run=True)
    assert published.changed
    assert published.hook
    assert published.added == ("bob@aol.example", "zoe@yahoo.example")
    assert published.removed == (("gone@b.example",) if there else ())
    assert state(tmp_path) == before


def test_what_the_format_cannot_hold_is_returned_and_the_rest_is_written(tmp_path: Path) -> None:
    odd = [f"bob {number}@aol.example" for number in range(3)]
    published = write(tmp_path / "safelist", trusted("bob@aol.example", *odd))
    assert published.entries == 1
    assert [entry.pattern.text for entry in published.refused] == odd


def test_mode_of_the_old_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "safelist"
    write(path, many(1))
    path.chmod(0o640)
    write(path, many(2))
    assert path.stat().st_mode & 0o777 == 0o640


def test_edits_by_hand_are_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "safelist"
    write(path, many(2))
    wanted = path.read_bytes()
    path.write_bytes(wanted + "caf\xe9@x.example OK\n \n# done\n".encode("latin-1"))
    published = write(path, many(2))
    assert published.removed == ("caf\\xe9@x.example",)
    assert path.read_bytes() == wanted


class TestShrink:
    def test_more_than_half_and_at_least_ten_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "safelist"
        write(path, many(19))
        before = state(tmp_path)
        for dry_run in (False, True):
            with pytest.raises(TemporaryError, match=r"10 of 19 .*--allow-shrink"):
                write(path, many(9), dry_run=dry_run)
        assert state(tmp_path) == before
        assert len(write(path, many(9), allow_shrink=True).removed) == 10
        assert len(state(tmp_path)) == 1

    def test_half_or_fewer_than_ten_is_not(self, tmp_path: Path) -> None:
        path = tmp_path / "safelist"
        write(path, many(20))
        assert len(write(path, many(10)).removed) == 10
        assert len(write(path, many(1)).removed) == 9

    def test_other_entries_in_their_place_do_not_hide_it(self, tmp_path: Path) -> None:
        path = tmp_path / "safelist"
        write(path, many(20))
        with pytest.raises(TemporaryError, match="20 of 20"):
            write(path, trusted(*(f"other{number}@aol.example" for number in range(40))))


class TestHook:
    def test_runs_only_when_something_changed(self, tmp_path: Path) -> None:
        path, command = tmp_path / "safelist", hook(tmp_path, "")
        assert publish_with(path, command, many(1)).hook
        assert not publish_with(path, command, many(1)).hook
        assert runs(tmp_path) == 1
        assert publish_with(path, command, many(2)).hook
        assert runs(tmp_path) == 2
        assert names(tmp_path) == ["runs", "safelist"]

    def test_one_that_failed_is_run_again_until_it_succeeds(self, tmp_path: Path) -> None:
        path = tmp_path / "safelist"
        fails = hook(tmp_path, "sys.exit('no\\nqueue is down')")
        for _ in range(2):
            failed = publish_with(path, fails, many(1)).failed
            assert isinstance(failed, UnavailableError)
            assert re.search(r"written, but on_change .* failed: queue is down; it runs again", str(failed))
        assert runs(tmp_path) == 2
        assert b"sender0@aol.example" in path.read_bytes()
        published = publish_with(path, hook(tmp_path, ""), many(1))
        assert (published.changed, published.hook) == (False, True)
        assert not publish_with(path, hook(tmp_path, ""), many(1)).hook
        assert runs(tmp_path) == 3

    def test_a_missing_program_is_named(self, tmp_path: Path) -> None:
        failed = publish_with(tmp_path / "safelist", ("/nowhere/postfix", "reload"), many(1)).failed
        assert isinstance(failed, ConfigError)
        assert "no program /nowhere/postfix; correct on_change" in str(failed)
        assert publish_with(tmp_path / "safelist", hook(tmp_path, ""), many(1)).hook

    def test_a_program_that_cannot_be_started_is_named(self, tmp_path: Path) -> None:
        script = tmp_path / "script"
        script.write_text("#!/nowhere/sh\n")
        script.chmod(0o755)
        failed = publish_with(tmp_path / "safelist", (str(script),), many(1)).failed
        assert isinstance(failed, UnavailableError)
        assert "cannot be run" in str(failed)

    def test_a_daemon_that_it_leaves_behind_is_not_waited_for(self, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        command = ("sh", "-c", f"sleep 100 & echo $! > {shlex.quote(str(pid))}")
        publish_with(tmp_path / "safelist", command, many(1))
        os.kill(int(pid.read_text()), signal.SIGTERM)  # fails if it has ended by itself
        assert not (tmp_path / "safelist.on-change-pending").exists()

    def test_shell_characters_mean_nothing(self, tmp_path: Path) -> None:
        command = ("test", "$(false); x", "=", "$(false); x")
        assert publish_with(tmp_path / "safelist", command, many(1)).hook


class TestSymbolicLinks:
    @needs_postmap
    def test_the_file_behind_a_link_is_replaced_and_the_index_lies_where_postfix_looks(self, tmp_path: Path) -> None:
        real, etc = tmp_path / "real", tmp_path / "etc"
        real.mkdir()
        etc.mkdir()
        link = etc / "safelist"
        link.symlink_to(real / "map")
        for count in (1, 2):
            write(link, many(count), "hash")
            assert link.is_symlink()
            assert b"sender0@aol.example" in (real / "map").read_bytes()
            assert len(listed("hash", link)) == count
        assert not write(link, many(2), "hash").changed
        assert names(etc) + names(real) == ["safelist", "safelist.db", "map"]

    def test_a_circle_is_a_fault_of_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to(tmp_path / "b")
        (tmp_path / "b").symlink_to(tmp_path / "a")
        with pytest.raises(ConfigError, match="circle"):
            write(tmp_path / "a", many(1))


class TestRefusals:
    """Each leaves the old map as it was, and no temporary file."""

    @pytest.fixture
    def path(self, open_directory: Path) -> Path:
        path = open_directory / "safelist"
        write(path, many(1), "hash" if POSTMAP else "texthash")
        return path

    def refused(self, path: Path, error: type[SafelistError], message: str, map_type: str = "texthash") -> None:
        before = state(path.parent)
        with pytest.raises(error, match=message) as caught:
            write(path, many(3), map_type)
        assert str(path) in str(caught.value) or "map_type" in str(caught.value)
        assert state(path.parent) == before

    def test_a_file_that_somebody_else_wrote(self, path: Path) -> None:
        path.write_text("postmaster@example.com REJECT\n")
        self.refused(path, ConfigError, "did not write this file")

    def test_an_empty_file_is_nobodys(self, path: Path) -> None:
        path.write_bytes(b"")
        assert write(path, many(3)).entries == 3

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"there is no directory .*nowhere; create it or correct the path"):
            write(tmp_path / "nowhere" / "safelist", many(1))

    def test_a_directory_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "safelist").mkdir()
        with pytest.raises(ConfigError, match="no regular file"):
            write(tmp_path / "safelist", many(1))

    def test_a_named_pipe_in_its_place_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "safelist")
        with pytest.raises(ConfigError, match="no regular file"):
            write(tmp_path / "safelist", many(1))

    def test_a_name_too_long_for_the_file_system(self, tmp_path: Path) -> None:
        with pytest.raises(UnavailableError, match="File name too long"):
            write(tmp_path / ("a" * 250), many(1))
        assert state(tmp_path) == {}

    def test_a_directory_that_may_not_be_written(self, path: Path) -> None:
        path.parent.chmod(0o555)
        with as_nobody():
            self.refused(path, PermissionDeniedError, "run as the owner of")

    def test_a_file_that_may_not_be_read(self, path: Path) -> None:
        path.parent.chmod(0o777)
        path.chmod(0)
        with as_nobody(), pytest.raises(PermissionDeniedError, match="run as the owner of"):
            write(path, many(3))

    def test_a_full_disk(self, path: Path) -> None:
        with largest_file(64):
            self.refused(path, UnavailableError, "cannot be written .*File too large")

    @needs_postmap
    def test_a_disk_too_full_for_the_index(self, path: Path) -> None:
        with largest_file(4096):
            self.refused(path, UnavailableError, "postmap cannot make the hash map", "hash")

    @needs_postmap
    def test_a_map_type_that_this_postfix_lacks(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = path.parent / "etc"
        config.mkdir()
        (config / "main.cf").write_text("default_database_type = sdbm\n")
        monkeypatch.setenv("MAIL_CONFIG", str(config))
        with pytest.raises(ConfigError, match=r"default_database_type is 'sdbm'.* set map_type"):
            write(path, many(3), "")

    @needs_postmap
    def test_a_broken_configuration_of_postfix(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAIL_CONFIG", "/nowhere")
        self.refused(path, UnavailableError, r"postmap cannot make .*/nowhere/main\.cf", "hash")
        with pytest.raises(UnavailableError, match=r"postconf cannot say .*/nowhere/main\.cf"):
            write(path, many(3), "")


@pytest.mark.parametrize("map_type", ["", "hash"])
def test_without_postfix_the_message_says_what_to_do(tmp_path: Path, map_type: str) -> None:
    """In a process of its own, whose machine has no Postfix."""
    code = f"""
import sys
from pathlib import Path
from safelist.errors import UnavailableError
from safelist.publisher import program
program._SBIN = ()
from tests.publisher.site import many, write
try:
    write(Path({str(tmp_path / "safelist")!r}), many(1), {map_type!r})
except UnavailableError as error:
    sys.exit(str(error))
"""
    environment = {"PATH": "/nowhere", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "is not installed: run safelist where Postfix is" in done.stderr
    assert "where another filter is to read the lists, take [publish.postfix] out" in done.stderr
    assert "texthash" in done.stderr
    assert "Traceback" not in done.stderr
    assert state(tmp_path) == {}


class largest_file:  # noqa: N801
    """Files of this process and its children may not grow beyond ``size`` bytes, as on a disk that is full."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@needs_postmap
def test_publications_at_the_same_time_leave_one_whole_map(tmp_path: Path) -> None:
    path = tmp_path / "safelist"
    failures: list[BaseException] = []

    def publish_often(count: int) -> None:
        try:
            for extra in range(3):
                write(path, many(count + extra), "hash", allow_shrink=True)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=publish_often, args=(count,)) for count in (5, 50, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(listed("hash", path)) == {line.split()[0] for line in path.read_bytes().splitlines()[1:]}
    assert len(listed("hash", path)) in {7, 52, 502}
    assert names(tmp_path) == ["safelist", "safelist.db"]


def test_what_a_killed_publication_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".safelist.new-abcd1234", ".other.new-abcd1234", "safelist.new-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "safelist.db").write_text("x")
    write(tmp_path / "safelist", many(1))
    assert names(tmp_path) == [".other.new-abcd1234", "safelist", "safelist.new-x"]


@needs_postmap
def test_a_crash_between_the_two_renames_heals_itself(tmp_path: Path) -> None:
    """The moment is made by hand: the new text with the old index beside it, and on_change owed."""
    path, command = tmp_path / "safelist", hook(tmp_path, "")
    write(path, many(1), "hash")
    old_index = (tmp_path / "safelist.db").read_bytes()
    write(path, many(2), "hash")
    (tmp_path / "safelist.db").write_bytes(old_index)
    (tmp_path / "safelist.on-change-pending").touch()
    published = publish_to(postfix.TARGET, settings(path, "hash", command), many(2))
    assert (published.changed, published.hook) == (True, True)
    assert len(listed("hash", path)) == 2
    assert runs(tmp_path) == 1
    assert names(tmp_path) == ["runs", "safelist", "safelist.db"]


def listing(path: Path, lines: Iterable[str]) -> Target:
    """A target of one list, whatever the aggregate holds."""

    def render(_: Sequence[Ruling], __: object, ___: object) -> Rendering:
        return Rendering([TextFile(path, postfix.HEADER, [f"{line}\n".encode() for line in lines])])

    return text_target(name="listing", settings=Section, demands=lambda _: "", use=lambda _: "", render=render)


def test_an_entry_that_says_something_else_is_shown_with_what_it_said_and_says(tmp_path: Path) -> None:
    path = tmp_path / "list"
    chosen = settings(path, "texthash")
    before = listing(path, ["a@x.example OK", "b@x.example DUNNO", "müller@x.example OK"])
    publish(Nothing(), Policy(), before, chosen, lambda: NOW)
    after = listing(path, ["a@x.example OK", "b@x.example OK", "jürgen@x.example OK"])
    told = publish(Nothing(), Policy(), after, chosen, lambda: NOW, dry_run=True)
    assert told.added == ("b@x.example OK", "jürgen@x.example")
    assert told.removed == ("b@x.example DUNNO", "müller@x.example")
    assert [(each.had, each.entries, each.new, each.gone, each.lost) for each in told.files] == [(3, 3, 2, 2, 1)]


def test_a_list_of_which_every_entry_says_something_else_has_lost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list"
    chosen = settings(path, "texthash")
    senders = [f"a{number}@x.example" for number in range(40)]
    publish(Nothing(), Policy(), listing(path, [f"{each} DUNNO" for each in senders]), chosen, lambda: NOW)
    done = publish(Nothing(), Policy(), listing(path, [f"{each} OK" for each in senders]), chosen, lambda: NOW)
    assert (done.new, done.gone, [each.lost for each in done.files]) == (40, 40, [0])
