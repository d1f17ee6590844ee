"""The snapshot: what it answers is what the store answers, and a file that is none is refused whole."""

import grp
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from safelist import sender, snapshot, store
from safelist.entry import ALL_LISTS, Entry, UserList
from safelist.errors import ConfigError, TemporaryError
from safelist.override import Effect, Level, Terms
from safelist.policy import Settings, decide
from safelist.publisher.publish import publish as publish_to
from safelist.publisher.target import Nothing, Published
from safelist.publisher.targets import filter_snapshot as target
from safelist.snapshot import Contents, Snapshot, SnapshotError
from safelist.store import Store
from tests import aggregate
from tests.store.samples import LATER, NOW, SEEN

TEXTS = ["x@aol.com", "y@sub.partner.example", "partner.example", ".partner.example", "aol.com", "b@corp.example"]
MAILBOXES = ["desk@corp.example", "other@corp.example", "third@corp.example"]
ASKED = [*TEXTS, "z@partner.example", "nobody@else.example", "no sender", ""]
TODAY = LATER + timedelta(hours=1)
CHOSEN = [
    Settings(own_domains=frozenset({"corp.example"})),
    Settings(quorum=1, include_domains=True, include_contacts=True),
    Settings(max_age=timedelta(days=1), excluded_mailboxes=frozenset({"third@corp.example"})),
]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    url = aggregate.create(tmp_path / "safelist.db")
    with store.open_store(url) as opened:
        yield opened


def chosen(path: Path) -> target.FilterSettings:
    return target.FilterSettings(path=path)


def publish(opened: Store, settings: Settings, path: Path, **options: bool) -> Published:
    return publish_to(opened, settings, target.TARGET, chosen(path), lambda: TODAY, **options)


def fill(opened: Store) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    for n, mailbox in enumerate(MAILBOXES):
        held = {
            Entry(list_, sender.parse(text))
            for place, text in enumerate(TEXTS)
            for list_ in UserList
            if (place * 3 + list_ * 5 + n) % 4 == 0
        }
        seen = SEEN._replace(owner=mailbox, include_contacts=n != 1)
        opened.record(run, mailbox, seen, frozenset(held), ALL_LISTS, NOW if n else LATER)
    given = [
        Terms(Effect.ALLOW, sender.parse("partner.example"), "x", sender.parse(MAILBOXES[0]), Level.DEFAULT),
        Terms(Effect.BLOCK, sender.parse(".partner.example"), "y", sender.parse("corp.example"), ticket="T"),
        Terms(Effect.ALLOW, sender.parse("z@partner.example"), "z", expires=LATER + timedelta(days=1)),
    ]
    opened.make_overrides(given, NOW, "alice")


@pytest.mark.parametrize("chosen", CHOSEN, ids=["plain", "everything", "each vote"])
def test_the_policy_decides_the_same_on_it_as_on_the_store(opened: Store, tmp_path: Path, chosen: Settings) -> None:
    fill(opened)
    path = tmp_path / "snapshot"
    publish(opened, chosen, path)
    chosen = replace(chosen, own_domains=frozenset({"corp.example"}))  # a publication adds those of the mailboxes
    moment = opened.moment_at(TODAY)
    reasons = set()
    with Snapshot(path) as found:
        assert found.settings == chosen
        for text in ASKED:
            for recipient in (None, *MAILBOXES, "guest@corp.example"):
                asked = sender.parse(text)
                expected = decide(opened.candidate(asked, recipient, chosen, moment)[0], chosen, TODAY)
                decision = decide(found.candidate(asked, recipient), found.settings, TODAY)
                assert decision[:4] == expected[:4], (text, recipient)
                reasons.add(decision.reason)
    assert len(reasons) >= 7


def test_unchanged_is_only_touched_and_changed_is_swapped(opened: Store, tmp_path: Path) -> None:
    fill(opened)
    path = tmp_path / "snapshot"
    first = publish(opened, CHOSEN[0], path)
    assert (first.changed, path.stat().st_mode & 0o777) == (True, 0o640)
    before = snapshot.look(path)
    again = publish(opened, CHOSEN[0], path)
    assert (again.changed, again.file_digest) == (False, first.file_digest)
    after = snapshot.look(path)
    assert after[0] == before[0]
    assert after[1] > before[1], "its age is that of the last publication"
    with Snapshot(path) as old:
        opened.make_overrides([Terms(Effect.ALLOW, sender.parse("new@aol.com"), "x")], NOW, "alice")
        assert publish(opened, CHOSEN[0], path, dry_run=True).changed
        assert snapshot.look(path)[0] == before[0]
        assert publish(opened, CHOSEN[0], path).changed
        assert not decide(old.candidate(sender.parse("new@aol.com"), None), old.settings, LATER).safe
        with Snapshot(path) as new:
            assert decide(new.candidate(sender.parse("new@aol.com"), None), new.settings, LATER).safe
    assert [p.name for p in tmp_path.iterdir() if "new-" in p.name] == []


def test_who_may_read_it_is_mended_by_every_publication(opened: Store, tmp_path: Path) -> None:
    fill(opened)
    path, group = tmp_path / "snapshot", grp.getgrgid(os.getgid()).gr_name
    publish(opened, CHOSEN[0], path)
    path.chmod(0o600)
    grouped = target.FilterSettings(path=path, group=group)
    published = publish_to(opened, CHOSEN[0], target.TARGET, grouped, lambda: TODAY)
    assert not published.changed
    assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o640, os.getgid())


def test_where_others_could_put_a_link_nothing_is_written(opened: Store, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    os.mkfifo(tmp_path / "fifo")
    for path, why in ((tmp_path / "link", "symbolic link"), (tmp_path / "open" / "snapshot", "others may change")):
        with pytest.raises(ConfigError, match=why):
            publish(opened, CHOSEN[0], path)
        with pytest.raises(ConfigError, match=why):
            publish_to(Nothing(), CHOSEN[0], target.TARGET, chosen(path), lambda: TODAY, dry_run=True)
    with pytest.raises(ConfigError, match="did not write"):
        publish(opened, CHOSEN[0], tmp_path / "fifo")
    assert not (tmp_path / "victim").exists()
    assert not list((tmp_path / "open").iterdir())


def test_a_sudden_shrink_is_refused(opened: Store, tmp_path: Path) -> None:
    run = opened.begin_run(NOW, "sync", "root")
    held = frozenset(Entry(UserList.SAFE_SENDERS, sender.parse(f"s{n}@aol.com")) for n in range(30))
    opened.record(run, MAILBOXES[0], SEEN, held, ALL_LISTS, NOW)
    path = tmp_path / "snapshot"
    publish(opened, CHOSEN[0], path)
    opened.record(run, MAILBOXES[0], SEEN, frozenset(), ALL_LISTS, NOW)
    with pytest.raises(TemporaryError, match="allow-shrink"):
        publish(opened, CHOSEN[0], path)
    with Snapshot(path) as found:
        assert found.entries == 30
    assert publish(opened, CHOSEN[0], path, allow_shrink=True).entries == 0


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good"
    snapshot.write(path, Contents("source", Settings(), (), (), ()))
    Snapshot(path).close()
    return path


def test_every_damaged_byte_and_every_truncation_is_refused(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    bad = tmp_path / "bad"
    for at in range(0, len(data), max(1, len(data) // 200)):
        bad.write_bytes(data[:at])
        with pytest.raises(SnapshotError):
            Snapshot(bad)
        bad.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(SnapshotError):
            Snapshot(bad)
    for appended in (b"\0", data):
        bad.write_bytes(data + appended)
        if appended != data:
            with pytest.raises(SnapshotError):
                Snapshot(bad)


@given(st.binary(max_size=3000))
@hypothesis_settings(max_examples=50, deadline=None)
def test_foreign_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("foreign") / "file"
    path.write_bytes(data)
    with pytest.raises(SnapshotError):
        Snapshot(path)
    path.write_bytes(data + snapshot._MARK + hashlib.sha256(data).digest())
    with pytest.raises(SnapshotError):
        Snapshot(path)


def test_missing_directory_and_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(SnapshotError, match=str(path)):
            Snapshot(path)


def test_a_newer_format_says_so(tmp_path: Path, good: Path) -> None:
    """As a newer safelist would write it."""
    path = tmp_path / "newer"
    data = good.read_bytes().replace(b'"format": 1', b'"format": 2')
    data = data[: -len(snapshot._MARK) - 32]
    path.write_bytes(data + snapshot._MARK + hashlib.sha256(data).digest())
    with pytest.raises(SnapshotError, match=r"its format is 2, this safelist reads 1"):
        Snapshot(path)


def test_names_that_are_too_long_are_left_out_and_found_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "long"
    long = "x" * 600
    made = snapshot.write(path, Contents("s", Settings(), (), (), [(long, ()), ("a@corp.example", ())]))
    assert made.entries == 0
    with Snapshot(path) as found:
        for asked in (sender.parse(long), sender.Pattern(f"{long}@x.example", sender.Form.ADDRESS)):
            assert found.candidate(asked, long).tallies == ()
            assert found.candidate(asked, "\udcff@corp.example").entries == ()
