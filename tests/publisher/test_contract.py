"""What every target has to do, whatever its filter: each in the registry passes all of this."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from safelist import config, sender, store
from safelist.cli.configuration import target_sections
from safelist.cli.publish import publish_all
from safelist.config import toml
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.errors import ConfigError, PermissionDeniedError, SafelistError, TemporaryError, UnavailableError
from safelist.override import Authentication, Effect, Terms
from safelist.policy import Settings, decide
from safelist.publisher.files import MAX_JOURNAL, alone
from safelist.publisher.target import Published
from safelist.publisher.targets import TARGETS
from safelist.runs.publish import NotPublished, Publishing
from safelist.sender import Form, Pattern, covering
from safelist.store import Store
from tests import aggregate
from tests.cli import in_process
from tests.forked import exit_code
from tests.mail import hostile
from tests.publisher import sample_target
from tests.publisher.contract import CASES, Case
from tests.publisher.site import fill, names, needs_root, state
from tests.store.samples import NOW, SEEN
from tests.waiting import until

WITH_PAIRS = """
from safelist.__main__ import main
from safelist.publisher.targets import TARGETS
from tests.publisher import sample_target
TARGETS[sample_target.NAME] = sample_target.TARGET
main()
"""
SENDERS = [f"friend{number:02}@aol.com" for number in range(30)]
every_target = pytest.mark.parametrize("case", [pytest.param(it, id=it.name, marks=it.marks) for it in CASES])
every_file = pytest.mark.parametrize(
    "case", [pytest.param(it, id=it.name, marks=it.marks) for it in CASES if not it.is_elsewhere]
)
"""Each target that writes files."""
needs_hook = pytest.mark.parametrize(
    "case",
    [pytest.param(it, id=it.name, marks=it.marks) for it in CASES if it.has_hook],
)


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """The suite's own target is registered while a test of the suite runs."""
    TARGETS[sample_target.NAME] = sample_target.TARGET
    yield
    del TARGETS[sample_target.NAME]


@dataclass
class Site:
    """A database and a configuration with that one target, whose files lie in ``files``."""

    case: Case
    directory: Path
    files: Path
    store: Store

    @property
    def path(self) -> Path:
        """A file of that name is what is published, or holds it; the lock lies beside it."""
        return self.files / "safelist"

    @property
    def config(self) -> Path:
        return self.directory / "safelist.toml"

    def configure(self, **more: Any) -> None:
        keys = "".join(f"{key} = {toml(value)}\n" for key, value in self.case.section(self.files, **more).items())
        self.config.write_text(
            f"[database]\nurl = {toml(self.url)}\n[policy]\nquorum = 2\n"
            f'[mailboxes]\naddresses = ["desk@corp.example"]\n[publish.{self.case.target.name}]\n{keys}'
        )

    @property
    def url(self) -> str:
        return f"sqlite:///{self.directory}/safelist.db"

    def trust(self, *senders: str) -> None:
        """Two mailboxes trust them, and nobody else."""
        run = self.store.begin_run(NOW, "sync", "root")
        held = frozenset(Entry(UserList.SAFE_SENDERS, sender.parse(each)) for each in senders)
        for name in ("desk", "front"):
            mailbox = f"{name}@corp.example"
            self.store.record(run, mailbox, SEEN._replace(owner=mailbox), held, ALL_LISTS, NOW)
        self.store.end_run(run, NOW, {}, None)

    def run(self, **options: bool) -> Publishing:
        loaded = config.load(self.config, target_sections())
        (done,) = publish_all(self.store, loaded, [], json=True, **options)
        return done

    def publish(self, **options: bool) -> Published:
        done = self.run(**options).done
        assert isinstance(done, Published), done
        return done

    def fault(self, **options: bool) -> SafelistError:
        done = self.run(**options)
        found = done.error
        assert isinstance(found, SafelistError), done
        return found

    def policy_calls_safe(self, asked: Pattern) -> bool:
        settings = Settings(quorum=2, own_domains=self.store.own_domains())
        return decide(self.store.candidate(asked, None, settings, self.store.newest(NOW))[0], settings, NOW).safe

    def state(self) -> dict[str, tuple[int, int, bytes]]:
        """What "nothing was touched" compares."""
        return self.case.state(self.files)

    @property
    def place(self) -> str:
        return self.case.published_as(self.files)

    def safe(self) -> set[str]:
        return self.case.read(self.path, SENDERS)

    def said(self) -> list[set[str]]:
        """Who is safe by each of the target's files."""
        return [read(self.path, SENDERS) for read in (self.case.read, *self.case.others)]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        line = [sys.executable, "-c", WITH_PAIRS, *arguments, "--config", str(self.config)]
        return subprocess.Popen(
            line, cwd=Path(__file__).parents[2], env=self._environment, stdin=subprocess.DEVNULL, text=True
        )

    @staticmethod
    def has_open(pid: int, ending: str) -> bool:
        """Whether a process has a file of that ending open."""
        try:
            return any(each.readlink().name.endswith(ending) for each in Path(f"/proc/{pid}/fd").iterdir())
        except OSError:  # one that was closed meanwhile
            return False

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory)}

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        line = [*arguments, "--config", str(self.config)]
        code, out, err = in_process.run(line, self._environment)
        return subprocess.CompletedProcess(line, code, out.decode(), err.decode())


@pytest.fixture
def site(case: Case, tmp_path: Path) -> Iterator[Site]:
    files = tmp_path / "files"
    files.mkdir()
    yield from _site(case, tmp_path, files)


def _site(case: Case, directory: Path, files: Path) -> Iterator[Site]:
    url = aggregate.create(directory / "safelist.db")
    with store.open_store(url) as opened:
        made = Site(case, directory, files, opened)
        case.prepare(files)
        made.configure()
        yield made


def test_every_target_is_in_the_suite() -> None:
    assert {case.target.name: case.target for case in CASES} == TARGETS


@every_target
def test_the_filter_reads_who_is_safe(site: Site) -> None:
    site.trust(*SENDERS[:3])
    done = site.publish()
    assert (done.changed, site.safe()) == (True, set(SENDERS[:3]))
    site.trust(*SENDERS[1:4])
    assert site.publish().changed
    assert site.safe() == set(SENDERS[1:4])


HOSTILE = ["#x@aol.com", '"a b"@aol.com', '"#x y"@aol.com', "!x@aol.com", "jürgen@aol.com", "x#y@aol.com"]


@every_target
def test_a_sender_that_a_line_may_not_hold_is_read_back_or_said_to_be_left_out(site: Site) -> None:
    site.trust(*SENDERS[:3], *HOSTILE)
    done = site.publish()
    left_out = {refused.pattern.text for refused in done.refused}
    for read in (site.case.read, *site.case.others):
        assert read(site.path, [*SENDERS[:3], *HOSTILE]) == {*SENDERS[:3], *HOSTILE} - left_out
    for each in HOSTILE:
        why = json.loads(site.command("audit", "why", each, "--json").stdout)["left_out"]
        assert (site.case.target.name in why) == (each in left_out), each
    site.trust(*SENDERS[:4], *HOSTILE)
    assert not {text for key in site.publish().added for text in HOSTILE if text in key}, "they were there before"


@every_target
def test_the_hostile_corpus_is_matched_as_the_policy_says_or_said_to_be_left_out(site: Site) -> None:
    site.trust(*(text for text in hostile.ADDRESSES if sender.parse(text).form is not Form.REFUSED))
    domains = {each for text in hostile.DOMAINS if (each := sender.parse(text)).form is not Form.REFUSED}
    allow = [Terms(Effect.ALLOW, each, "x", authentication=Authentication.NONE) for each in domains]
    site.store.make_overrides(allow, NOW, "root")
    done = site.publish()
    left_out = {refused.pattern.text for refused in done.refused}
    asked = [sender.parse(text) for text in (*hostile.ADDRESSES, *hostile.BROKEN, *hostile.BYSTANDERS)]
    meant = {each.text for each in asked if site.policy_calls_safe(each)}
    assert len(meant) > 50
    told = {each.text for each in asked if not left_out.isdisjoint(covering(each))}
    texts = [each.text for each in asked if "\n" not in each.text and "\0" not in each.text]
    for read in (site.case.read, *site.case.others):
        found = read(site.path, texts)  # keys alone: who asks for a sender's domain is the filter
        assert found - meant == set()
        assert meant - found - told == set()


@every_target
def test_a_dry_run_writes_nothing(site: Site) -> None:
    site.trust(*SENDERS[:3])
    before = site.state()
    assert site.publish(dry_run=True).changed
    assert site.state() == before
    site.publish()
    before = site.state()
    site.trust(SENDERS[5])
    assert site.publish(dry_run=True).changed
    assert site.state() == before
    assert site.store.last_publication(site.case.target.name, site.place) is not None


@every_target
def test_what_has_not_changed_is_not_written_again(site: Site) -> None:
    site.trust(*SENDERS[:3])
    first = site.publish()
    before = {name: (inode, data) for name, (inode, _, data) in site.state().items()}
    again = site.publish()
    assert (again.changed, again.file_digest) == (False, first.file_digest)
    assert {name: (inode, data) for name, (inode, _, data) in site.state().items()} == before


@every_target
def test_a_file_is_known_again_by_its_digest(site: Site) -> None:
    site.trust(*SENDERS[:3])
    files = [each for each in site.publish().files if isinstance(each.path, Path)]
    assert [site.case.target.digest(Path(each.path)) for each in files] == [each.digest for each in files]


@every_target
def test_a_file_that_somebody_else_wrote_is_left_alone(site: Site) -> None:
    site.case.spoil(site.files)
    before = site.state()
    for options in ({}, {"dry_run": True}, {"allow_shrink": True}):
        error = site.fault(**options)
        assert isinstance(error, ConfigError)
        assert site.place in str(error)
    assert site.state() == before
    assert site.command("config", "check").returncode == 78
    assert site.state() == before


@every_target
def test_a_sudden_shrink_is_refused_unless_it_is_allowed(site: Site) -> None:
    site.trust(*SENDERS)
    site.publish()
    site.trust(SENDERS[0])
    before = site.state()
    for options in ({}, {"dry_run": True}):
        error = site.fault(**options)
        assert isinstance(error, TemporaryError)
        assert "--allow-shrink" in str(error)
    assert site.state() == before
    assert site.publish(allow_shrink=True).changed
    assert site.safe() == {SENDERS[0]}


@every_file
def test_mode_and_group_are_kept(site: Site) -> None:
    site.trust(*SENDERS[:3])
    site.publish()
    (mode, group) = 0o640, os.getgroups()[-1] if os.getuid() else 12345
    for path in site.files.iterdir():
        path.chmod(mode)
        os.chown(path, -1, group)
    site.trust(*SENDERS[:4])
    site.publish()
    assert {(path.stat().st_mode & 0o777, path.stat().st_gid) for path in site.files.iterdir()} == {(mode, group)}


@every_file
def test_a_link_is_followed_or_refused_and_never_replaced(site: Site) -> None:
    elsewhere = site.directory / "elsewhere"
    elsewhere.mkdir()
    if site.path.exists():
        site.path.rename(elsewhere / "real")
    before = state(elsewhere)
    site.path.symlink_to(elsewhere / "real")
    site.trust(*SENDERS[:3])
    done = site.run()
    assert site.path.is_symlink()
    if isinstance(done.done, NotPublished):
        assert isinstance(done.error, ConfigError)
        assert state(elsewhere) == before
    else:
        assert (elsewhere / "real").is_file()
        assert site.safe() == set(SENDERS[:3])


@pytest.fixture
def site_on_a_small_disk(case: Case, small_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from _site(case, tmp_path_factory.mktemp("store"), small_disk)


@needs_root
@every_file
def test_on_a_full_disk_what_is_there_stays_in_use(site_on_a_small_disk: Site) -> None:
    site = site_on_a_small_disk
    site.trust(*SENDERS[:3])
    site.publish()
    fill(site.files)
    before = state(site.files)
    site.trust(*(f"a{number}@{'x' * 50}.example" for number in range(3000)), *SENDERS[:3])
    error = site.fault()
    assert isinstance(error, UnavailableError)
    assert re.search("No space left on device|disk is full", str(error))
    assert (state(site.files), site.safe()) == (before, set(SENDERS[:3]))


@every_target
def test_a_second_publication_waits_for_the_first(site: Site) -> None:
    site.trust(*SENDERS[:3])
    before = names(site.files)
    with alone(site.path):
        second = site.start("publish")
        assert until(lambda: site.has_open(second.pid, ".lock"))
        assert [name for name in names(site.files) if not name.endswith(".lock")] == before
    assert second.wait(60) == 0
    assert site.safe() == set(SENDERS[:3])


@every_target
def test_who_is_left_out_is_said_and_why_asks_for_it(site: Site) -> None:
    """An override that blocks a sender for one recipient is kept by a target that knows recipients."""
    site.trust(*SENDERS[:3])
    site.store.make_overrides(
        [Terms(Effect.BLOCK, sender.parse(SENDERS[0]), "x", sender.parse("desk@corp.example"))], NOW, "root"
    )
    done = site.publish()
    left_out = {refused.pattern.text: refused.why for refused in done.refused}
    why = json.loads(site.command("audit", "why", SENDERS[0], "--json").stdout)["left_out"]
    assert why.get(site.case.target.name) == left_out.get(SENDERS[0])
    assert (SENDERS[0] in site.safe()) == (not left_out)
    assert site.safe() >= {SENDERS[1], SENDERS[2]}


@needs_hook
def test_the_hook_runs_once_for_a_change_and_again_where_it_failed(site: Site) -> None:
    runs, broken = site.directory / "runs", site.directory / "broken"
    script = f"echo x >> {runs}; test ! -e {broken}"
    site.configure(on_change=["sh", "-c", script])
    site.trust(*SENDERS[:3])

    def count() -> int:
        return runs.read_text().count("x") if runs.exists() else 0

    site.publish(dry_run=True)
    assert count() == 0
    site.publish()
    site.publish()
    assert count() == 1
    broken.touch()
    site.trust(*SENDERS[:4])
    assert "on_change" in str(site.fault())
    assert site.safe() == set(SENDERS[:4]), "the file is written all the same"
    assert "on_change" in str(site.fault())
    broken.unlink()
    site.publish()
    site.publish()
    assert count() == 4


@every_target
def test_config_check_says_what_is_wrong_and_what_is_not_published_and_writes_nothing(site: Site) -> None:
    before = site.state()
    found = json.loads(site.command("config", "check", "--json").stdout)
    assert [fault for fault in found["faults"] if "publish." in fault] == []
    assert [
        note
        for note in found["notes"]
        if f"publish.{site.case.target.name}: " in note
        and "safelist publish" in note
        and note.endswith(f"({site.case.target.if_missing})")
    ]
    assert site.state() == before
    shutil.rmtree(site.files)
    done = site.command("config", "check")
    assert done.returncode == 78
    assert str(site.files) in done.stderr


@every_target
def test_it_is_in_the_history_and_in_the_json(site: Site) -> None:
    site.trust(*SENDERS[:3])
    done = site.command("publish", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["target"], row["path"], row["changed"], row["error"]) == (
        site.case.target.name,
        site.place,
        True,
        None,
    )
    history = json.loads(site.command("audit", "history", "--json").stdout)
    assert [event["what"] for event in history if event["what"] == "published"] == ["published"]


WATCHED = (
    "sqlite3.connect",
    "os.rename",
    "open",
    "os.mkdir",
    "os.remove",
    "os.chmod",
    "shutil.rmtree",
    "subprocess.Popen",
)


def publish_until_killed(site: Site, at: int) -> int:
    """Publish in another process, which is killed when it touches the directory the ``at``-th time. How it ended."""
    seen = 0

    def kill(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in WATCHED and any(str(site.files) in str(each) for each in arguments[:2]):
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)

    def publish() -> None:
        with store.open_store(site.url) as opened:
            sys.addaudithook(kill)
            (done,) = publish_all(opened, config.load(site.config, target_sections()), [], json=True)
            assert isinstance(done.done, Published)

    return exit_code(publish)


@every_file
def test_a_kill_at_any_point_leaves_the_old_or_the_new_and_the_next_run_mends_it(site: Site) -> None:
    """At every file that is opened, renamed or removed in the directory, one publication after the other."""
    old, new = set(SENDERS[:3]), set(SENDERS[2:6])
    killed = 0
    for at in range(1, 200):
        site.trust(*old)
        site.publish()
        site.trust(*new)
        code = publish_until_killed(site, at)
        assert site.safe() in (old, new), at
        with alone(site.path):  # as any publication begins, whether it succeeds or not
            assert len({frozenset(each) for each in site.said()}) == 1, at
        site.publish()
        assert all(each == new for each in site.said()), at
        assert [name for name in names(site.files) if ".new-" in name or name.endswith(".lock")] == []
        if code != -signal.SIGKILL:
            assert code == 0
            break
        killed += 1
    assert 3 < killed < 199


several_files = pytest.mark.parametrize(
    "case", [it for it in CASES if it.target is sample_target.TARGET], ids=["sample"]
)


@several_files
def test_a_hook_is_owed_from_before_the_first_change_that_the_filter_sees(site: Site) -> None:
    """Wherever the publication is killed: the next one runs it, whoever has brought the new files into place."""
    runs = site.directory / "runs"
    site.configure(on_change=["sh", "-c", f"echo x >> {runs}"])
    killed = 0
    for at in range(1, 200):
        site.trust(*SENDERS[:3])
        site.publish()
        site.trust(*SENDERS[2:6])
        runs.unlink()
        code = publish_until_killed(site, at)
        site.publish()
        assert runs.exists(), at
        if code != -signal.SIGKILL:
            break
        killed += 1
    assert 3 < killed < 199


@several_files
def test_what_a_swap_that_failed_has_not_renamed_is_there_for_the_next_publication(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """It may be refused, for a shrink for one, and has to bring the files to one state all the same."""
    replace = os.replace

    def refused(new: Path, old: Path) -> None:
        if old == sample_target.recipients(site.path):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(new), None, str(old))
        replace(new, old)

    site.trust(*SENDERS[:3])
    site.publish()
    site.trust(*SENDERS[2:6])
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refused)
        assert "some of its files may be new and others old" in str(site.fault())
    assert site.said() == [set(SENDERS[2:6]), set(SENDERS[:3])]
    with alone(site.path):
        assert site.said() == [set(SENDERS[2:6])] * 2


@several_files
@pytest.mark.parametrize("foreign", [lambda path: path, sample_target.recipients, sample_target.snippet])
def test_one_foreign_file_among_several_leaves_all_alone(site: Site, foreign: Callable[[Path], Path]) -> None:
    path = foreign(site.path)
    path.write_text("desk@corp.example friend@aol.com\n")
    before = state(site.files)
    site.trust(*SENDERS[:3])
    for options in ({}, {"dry_run": True}):
        error = site.fault(**options)
        assert isinstance(error, ConfigError)
        assert f"{path}: safelist did not write this file" in str(error)
    assert state(site.files) == before


@needs_root
@several_files
def test_wherever_the_disk_is_full_all_files_stay(site_on_a_small_disk: Site) -> None:
    site = site_on_a_small_disk
    site.trust(*SENDERS[:3])
    site.publish()
    before = state(site.files)
    site.trust(*(f"{'x' * 40}{number}@aol.example" for number in range(100)), *SENDERS[:3])
    failed = 0
    for room in range(0, 128, 4):
        fill(site.files)
        with (site.files / "ballast").open("r+b") as ballast:
            ballast.truncate(max(0, ballast.seek(0, os.SEEK_END) - room * 1024))
        done = site.run()
        (site.files / "ballast").unlink()
        if done.error is None:
            break
        assert isinstance(done.error, UnavailableError)
        assert state(site.files) == before, room
        failed += 1
    assert site.said() == [set(SENDERS[:3])] * 2
    assert failed > 3, "in the first list, and in the second, and where the journal is written"


@several_files
def test_only_what_has_changed_among_several_is_replaced_and_each_is_named(site: Site) -> None:
    site.trust(*SENDERS[:3])
    site.publish()
    before = state(site.files)
    block = Terms(Effect.BLOCK, sender.parse(SENDERS[0]), "x", sender.parse("desk@corp.example"))
    site.store.make_overrides([block], NOW, "root")
    done = site.publish()
    changed = {Path(file.path).name: (file.is_changed, file.new, file.gone) for file in done.files}
    assert changed == {
        "safelist": (False, 0, 0), "safelist.recipients": (True, 1, 1), "safelist.conf": (False, 0, 0)
    }  # fmt: skip
    assert done.added == (f"desk@corp.example {SENDERS[0]} ask",)
    assert done.removed == (f"desk@corp.example {SENDERS[0]} safe",)
    after = state(site.files)
    assert {name for name in after if after[name] != before[name]} == {"safelist.recipients"}
    (row,) = json.loads(site.command("publish", "--json").stdout)
    assert [file["path"] for file in row["files"]] == [str(file.path) for file in done.files]
    assert (row["entries"], row["changed"]) == (9, False)
    asked = json.loads(site.command("audit", "why", SENDERS[0], "--recipient", "desk@corp.example", "--json").stdout)
    assert (asked["safe"], asked["reason"]) == (False, "enforced-block")


@several_files
def test_what_is_left_out_for_a_whole_domain_is_said(site: Site) -> None:
    """A target that knows single recipients cannot name everybody at a domain."""
    site.trust(*SENDERS[:2])
    block = Terms(Effect.BLOCK, sender.parse(SENDERS[0]), "x", sender.parse("corp.example"))
    site.store.make_overrides([block], NOW, "root")
    (refused,) = site.publish().refused
    why = json.loads(site.command("audit", "why", SENDERS[0], "--json").stdout)["left_out"]
    assert why == {sample_target.NAME: refused.why}
    assert refused.why.endswith("for everybody at corp.example, and this target knows single recipients only")
    assert site.said() == [{SENDERS[1]}] * 2


@several_files
@pytest.mark.parametrize(
    "written",
    [
        "",
        "[[",
        "7",
        '[["x"]]',
        '[["/x\\u0000", "/y"]]',
        '[["/x", "/\\ud800"]]',
        "[" * 200_000,
        " " * MAX_JOURNAL + "[]",
    ],
    ids=["empty", "begun", "number", "one", "nul", "surrogate", "deep", "long"],
)
def test_a_journal_that_is_not_whole_says_nothing(site: Site, written: str) -> None:
    """It is written before the first file is renamed."""
    site.trust(*SENDERS[:3])
    site.publish()
    (site.files / ".safelist.swap").write_text(written)
    site.trust(*SENDERS[:4])
    site.publish()
    assert site.said() == [set(SENDERS[:4])] * 2
    assert names(site.files) == ["safelist", "safelist.conf", "safelist.recipients"]


@several_files
def test_a_journal_that_others_could_have_written_is_not_believed(site: Site) -> None:
    site.trust(*SENDERS[:3])
    site.publish()
    victim, journal = site.directory / "victim", site.files / ".safelist.swap"
    victim.write_text("x")
    journal.write_text(json.dumps([[str(site.path), str(victim)]]))
    journal.chmod(0o666)
    before = state(site.files)
    error = site.fault()
    assert isinstance(error, PermissionDeniedError)
    assert "others may write this file" in str(error)
    assert (state(site.files), victim.read_text()) == (before, "x")


@needs_root
@several_files
def test_a_journal_of_another_users_is_told_apart_and_not_followed(site: Site) -> None:
    """Root publishes by hand where the service was cut short."""
    site.trust(*SENDERS[:3])
    site.publish()
    journal = site.files / ".safelist.swap"
    journal.write_text("[]")
    journal.chmod(0o600)
    os.chown(journal, 65534, -1)
    error = site.fault()
    assert isinstance(error, PermissionDeniedError)
    assert f"{journal}: belongs to nobody" in str(error)
    assert "publish once as the owner of that file, or remove it" in str(error)
