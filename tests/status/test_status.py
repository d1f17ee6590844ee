"""`safelist status` on real parts: the database in every condition, files, a filter, a sync that is at work."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from safelist import store
from safelist.errors import ConfigError
from safelist.publisher.targets import configured
from safelist.runs import published_files
from safelist.runs.published_files import FileState
from safelist.status.facts import Severity
from safelist.status.judging import judge
from safelist.status.looking import look
from safelist.store import lockfile
from tests.filter import site as filter_site
from tests.filter.dns_server import nameserver, unused_address
from tests.forked import exit_code
from tests.publisher.site import needs_postmap
from tests.status.ping_server import monitor
from tests.status.site import BOSS, FRIEND, PEOPLE, Watched, watched
from tests.waiting import until

HOUR = timedelta(hours=1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path) as found:
        yield found


def test_before_anything_ran(site: Watched) -> None:
    assert [(severity, subject) for severity, subject, _ in site.findings()] == [
        ("CRITICAL", "exchange"), ("CRITICAL", "postfix"),
    ]  # fmt: skip


def test_what_was_run_by_hand_counts_and_a_part_of_it_does_not(site: Watched) -> None:
    site.run(3 * HOUR)
    assert site.safelist("sync", "--mailbox", BOSS).code == 0
    assert site.safelist("publish").code == 0
    ((severity, subject, text),) = site.findings()
    assert (severity, subject, text.startswith("has not run for 3 h")) == ("CRITICAL", "exchange", True)
    assert site.safelist("sync").code == 0
    assert site.findings() == []


def test_a_failed_source_is_told_from_one_that_did_not_run(site: Watched) -> None:
    site.run(30 * HOUR)
    site.configure(exchange={"secret": "wrong"})
    assert site.safelist("sync", "--publish").code == 77
    ((severity, subject, text),) = site.findings()
    assert (severity, subject) == ("CRITICAL", "exchange")
    assert text.startswith("its last run failed: ")
    assert text.endswith("(the last good one ended 30 h ago)")


def test_mailboxes_that_nobody_names_any_more(site: Watched) -> None:
    site.run(HOUR)
    site.safelist.configure(site.server, PEOPLE[1:])
    site.run()
    ((severity, _, text),) = site.findings()
    assert (severity, f"still counts ({BOSS})" in text) == ("OK", True)
    assert site.status("--json").json["sources"][0]["not_named"] == [BOSS]
    assert "note  " in site.status().out
    assert site.safelist("forget", BOSS).code == 0
    assert site.findings() == []


def test_known_failures_are_listed_and_stale_ones_named(site: Watched) -> None:
    site.run(9 * 24 * HOUR)
    site.organisation.mailboxes[BOSS].impersonation = False
    site.run()
    failed, stale = site.findings()
    assert "1 mailbox failed (1 denied): boss@example.com" in failed[2]
    assert "gave no answer for long" in stale[2]
    assert site.safelist("failure", "acknowledge", BOSS, "--reason", "not yet", "--expires", "30d").code == 0
    ((severity, subject, text),) = site.findings()
    assert (severity, subject, text.startswith(f"{BOSS}: denied is acknowledged until ")) == ("OK", "failure", True)
    (known,) = site.status("--json").json["acknowledged"]
    assert (known["mailbox"], known["failure"], known["reason"]) == (BOSS, "denied", "not yet")


def test_overrides_that_end_soon(site: Watched) -> None:
    site.run()
    for expires in ("2d", "30d", "never"):
        sender = f"{expires}@partner.example"
        assert site.safelist("override", "allow", sender, "--reason", "x", "--expires", expires).code == 0
    ((severity, _, text),) = site.findings()
    assert (severity, text.startswith("override 1 allows 2d@partner.example")) == ("WARNING", True)
    site.configure(status={"ending": "never"})
    assert site.findings() == []


def test_a_publication_that_changes_nothing_counts_and_one_that_fails_does_not(site: Watched) -> None:
    site.run(5 * HOUR)
    site.sync()
    assert [text.startswith(f"{site.safelist.map} was not published for 5 h") for *_, text in site.findings()] == [True]
    site.publish()
    assert site.findings() == []
    site.safelist.map.write_text("somebody else's\n")
    assert site.safelist("publish").code == 78
    texts = [text for _, _, text in site.findings()]
    assert texts[0].startswith("the last publication failed: ")
    assert "is not what was published" in texts[1]
    checked = site.safelist("config", "check", "--json").json
    assert any(note.endswith(texts[1]) for note in checked["notes"])
    site.safelist.map.unlink()
    site.safelist.map.mkdir()
    assert [text for severity, _, text in site.findings() if severity == "UNKNOWN"] == [
        f"{site.safelist.map} cannot be read: Is a directory; run this as the user who publishes"
    ]
    site.safelist.map.rmdir()
    states = [severity for severity, _, text in site.findings() if "is gone" in text]
    assert states == ["CRITICAL"]
    assert site.safelist("publish").code == 0
    assert site.findings() == []


@needs_postmap
def test_an_index_that_is_older_than_its_text_or_gone_is_not_what_was_published(site: Watched) -> None:
    site.configure(**{"publish.postfix": {"map_type": "hash"}})
    site.run()
    assert site.findings() == []
    index = site.safelist.map.with_name("map.db")
    os.utime(index, (1, 1))
    ((severity, _, text),) = site.findings()
    assert (severity, text.startswith(f"{index} is older than its text")) == ("WARNING", True)
    index.unlink()
    ((severity, _, text),) = site.findings()
    assert (severity, "Postfix defers all mail" in text) == ("CRITICAL", True)


def test_a_file_that_is_being_published_is_nobodys_fault(site: Watched) -> None:
    site.run()
    with site.safelist.map.open("a") as file:
        file.write("half a publication\n")
    handle = lockfile.take(site.safelist.map.with_name(".map.lock"))
    lockfile.tell(handle, b"process 1")
    assert site.findings() == []
    assert "it is being published just now" in site.status().out
    os.close(handle)
    assert site.status().code == 1


def test_a_record_that_was_tampered_with(site: Watched) -> None:
    site.run()
    assert "change sets, unbroken" in site.status("--verify").out
    site.say("UPDATE pattern SET text = 'x@evil.example'")
    assert site.findings() == []
    done = site.status("--verify")
    assert (done.code, "CRITICAL  audit" in done.out, "do not publish" in done.out) == (2, True, True)


@pytest.mark.parametrize("revision", ["0005", "0099"])
def test_a_database_of_another_version(site: Watched, revision: str) -> None:
    site.run()
    site.of_a_schema(revision)
    ((severity, subject, text),) = site.findings()
    assert (severity, subject) == ("UNKNOWN", "database")
    assert f"its schema {revision} is {'older' if revision == '0005' else 'newer'} than " in text


def test_a_database_that_is_not_there_or_none(site: Watched) -> None:
    site.safelist.database.write_bytes(b"no database" * 1000)
    ((severity, _, text),) = site.findings()
    assert (severity, "not an SQLite database" in text) == ("UNKNOWN", True)
    site.safelist.database.unlink()
    ((severity, _, text),) = site.findings()
    assert (severity, "there is no database yet" in text) == ("UNKNOWN", True)
    site.safelist.config.write_text("[status]\ninterval = 5\n")
    ((severity, subject, text), *_) = site.findings()
    assert (severity, subject) == ("UNKNOWN", "configuration")
    done = site.status("--nagios")
    assert (done.code, done.out.startswith("SAFELIST UNKNOWN - configuration: ")) == (3, True)


def test_a_database_that_somebody_holds_locked(site: Watched) -> None:
    site.run()
    with closing(sqlite3.connect(site.safelist.database, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("UPDATE chain SET id = id")
        ((severity, subject, text),) = site.findings()
        holder.execute("ROLLBACK")
    assert (severity, subject) == ("UNKNOWN", "database")
    assert "another program has held it locked for too long" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user: run the tests as root")
def test_what_another_user_may_not_read_is_unknown_and_no_alarm(site: Watched, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "snapshot"
    snapshot.parent.mkdir(mode=0o750)
    site.configure(**{"publish.filter": {"path": str(snapshot)}})
    site.run()
    configuration = site.config
    state, target = _state_of(site), configured("postfix", configuration.publish["postfix"])

    def look_as_nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        report = judge(look(configuration, datetime.now(UTC)), configuration.status)
        assert {(each.severity, each.subject) for each in report.findings} == {
            (Severity.UNKNOWN, "database"), (Severity.UNKNOWN, "snapshot"),
        }  # fmt: skip
        file = published_files.look_at(target, site.safelist.map, state)
        assert (file.state, "may not be read by this user" in file.text) == (FileState.UNREADABLE, True)

    assert exit_code(look_as_nobody) == 0


def _state_of(site: Watched) -> store.TargetState | None:
    with store.open_store(site.config.database.url) as opened:
        return opened.target_state("postfix", str(site.safelist.map))


def test_it_works_while_a_sync_does(site: Watched) -> None:
    """A sync holds its lock and has a run that has not ended; another program is in the midst of a transaction."""
    site.run(HOUR)
    url, at = site.config.database.url, datetime.now(UTC)
    with store.open_store(url) as opened, closing(sqlite3.connect(site.safelist.database)) as other:
        opened.begin_run(at, "sync", "root", "exchange")
        with store.hold(url, "sync", at, "exchange"):
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE mailbox SET outcome = 'failed'")
            assert site.findings() == []
            assert "a run began" in site.status().out
            other.rollback()


def test_the_metrics_are_replaced_in_one_step(site: Watched, tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    directory.mkdir()
    path = directory / "safelist.prom"
    path.write_text("old")
    with path.open() as old:
        assert site.status("--prometheus", str(path)) == type(site.status())(0, "", "")
        assert old.read() == "old"
    assert path.read_text().startswith("# HELP safelist_status ")
    assert (path.stat().st_mode & 0o777, [each.name for each in directory.iterdir()]) == (0o644, ["safelist.prom"])
    done = site.status("--prometheus", str(directory / "no" / "such.prom"))
    assert (done.code, "cannot be written: No such file or directory" in done.err) == (69, True)
    done = site.status("--prometheus", str(path), "--json")
    assert (done.code, "write one of them" in done.err) == (64, True)
    site.of_a_schema("0099")
    assert site.status("--prometheus", str(path)).code == 0
    assert "\nsafelist_status 3\n" in path.read_text()


def test_a_filter_and_its_snapshot(site: Watched, tmp_path: Path) -> None:
    snapshot, metrics = tmp_path / "snapshots" / "snapshot", f"127.0.0.1:{unused_address()[1]}"
    snapshot.parent.mkdir(mode=0o750)
    site.configure(**{"publish.filter": {"path": str(snapshot)}})
    site.run()
    look = [f"lookup:unix:{tmp_path}/lookup"]
    with nameserver({}) as dns:
        started = partial(
            filter_site.running, tmp_path, "filter", snapshot, dns.address, metrics=metrics,
            lookup=[look[0].removeprefix("lookup:")],
        )  # fmt: skip
        with started() as running:
            assert until(lambda: running.has_said("listening on inet"))
            asked = [running.address, f"metrics:{metrics}", *look]
            site.configure(**{"publish.filter": {"path": str(snapshot)}}, status={"filters": asked})
            assert until(lambda: site.findings() == []), site.findings()
            told = {each["address"]: each for each in site.status("--json").json["filters"]}
            assert told[running.address]["mode"] == "enforce"
            assert all(text in site.status().out for text in ("answers (enforce)", "has the snapshot in use that was"))
            assert told[f"metrics:{metrics}"]["snapshot_in_use"] == site.status("--json").json["snapshot"]["published"]
            os.utime(snapshot, (1, 1))
            texts = [text for severity, _, text in site.findings() if severity == "CRITICAL"]
            assert any("days ago, so it makes nobody safe" in text for text in texts)
            own = site.safelist("filter", "check", "--config", str(running.configuration), "--json").json
            assert next(each["text"] for each in own if each["fault"]) in texts
        found = [subject for severity, subject, text in site.findings() if "is safelist-filter.service running" in text]
        assert sorted(found) == sorted(asked)


METRICS = (
    (b"", "has no metrics of a safelist filter"),
    (b"HTTP/1.1 404 Not Found\r\n\r\nno", "has no metrics of a safelist filter"),
    (b"safelist_snapshot_published_timestamp_seconds 1e99\n", "tells of no time that can be"),
    (b"safelist_snapshot_published_timestamp_seconds e.e+\n", "could not convert"),
    (b"safelist_snapshot_published_timestamp_seconds 0.0\n", "the filter has no snapshot"),
    (b"safelist_snapshot_published_timestamp_seconds 1.7e9\n", "still uses the snapshot of 2023-11-14"),
    (b"x" * 2_000_000, "has no metrics of a safelist filter"),
)


def test_what_answers_where_metrics_should(site: Watched, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "snapshot"
    snapshot.parent.mkdir(mode=0o750)
    with monitor() as answering:
        address = answering.url.removeprefix("http://").partition("/")[0]
        site.configure(**{"publish.filter": {"path": str(snapshot)}}, status={"filters": [f"metrics:{address}"]})
        site.run()
        os.utime(snapshot, ns=(0, snapshot.stat().st_mtime_ns - 120 * 10**9))
        for said, why in METRICS:
            answering.raw = said
            ((_, subject, text),) = site.findings()
            assert (subject, why in text) == (f"metrics:{address}", True), text


def test_a_snapshot_that_is_damaged_or_gone(site: Watched, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "snapshot"
    snapshot.parent.mkdir(mode=0o750)
    site.configure(**{"publish.filter": {"path": str(snapshot)}})
    site.run()
    with snapshot.open("r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    assert [(severity, subject) for severity, subject, _ in site.findings()] == [
        ("CRITICAL", "snapshot"), ("WARNING", "filter"),
    ]  # fmt: skip
    snapshot.unlink()
    assert {severity for severity, *_ in site.findings()} == {"CRITICAL"}
    assert f"{snapshot}: published never" in site.status().out


def test_the_filter_s_own_configuration_says_where_it_answers(site: Watched, tmp_path: Path) -> None:
    snapshot, configuration = tmp_path / "snapshots" / "snapshot", tmp_path / "filter.toml"
    snapshot.parent.mkdir(mode=0o750)
    nobody = f"inet:127.0.0.1:{unused_address()[1]}"
    providers = '[[providers]]\nname = "a"\nlookup_domain = "dnsbl.example"\nip_address_match = ["127.0.0.2"]\n'
    configuration.write_text(f'snapshot = "{snapshot}"\nlisten = ["{nobody}"]\n{providers}')
    site.run()
    assert site.safelist("status", SAFELIST_FILTER_CONFIG=str(configuration)).code == 0  # it serves another safelist
    site.configure(**{"publish.filter": {"path": str(snapshot)}})
    site.publish()
    done = site.safelist("status", "--json", SAFELIST_FILTER_CONFIG=str(configuration)).json
    assert [(each["state"], each["subject"]) for each in done["findings"]] == [("CRITICAL", nobody)]
    configuration.write_text("nonsense")
    done = site.safelist("status", "--json", SAFELIST_FILTER_CONFIG=str(configuration)).json
    assert [(each["state"], each["subject"]) for each in done["findings"]] == [("UNKNOWN", "filter")]
    assert "name in [status] filters where it answers" in done["findings"][0]["text"]


FAULTS = (
    ("interval", "1 hour"), ("interval", "0h"), ("interval", "never"), ("stale", "99999w"), ("ending", "soon"),
    ("filters", ["127.0.0.1:10045"]), ("filters", ["unix:relative"]), ("failed_warning", -1), ("publsh", "1h"),
)  # fmt: skip


def test_faults_of_the_section_are_named(site: Watched) -> None:
    for key, value in FAULTS:
        site.configure(status={key: value})
        with pytest.raises(ConfigError) as caught:
            assert site.config
        assert f"status.{key}: " in caught.value.faults[0]
    assert site.safelist("config", "check").code == 78


def test_no_person_is_in_what_is_for_prometheus(site: Watched, tmp_path: Path) -> None:
    site.organisation.mailboxes[BOSS].impersonation = False
    site.run()
    assert BOSS in site.status("--nagios").out
    path = tmp_path / "safelist.prom"
    assert site.status("--prometheus", str(path)).code == 0
    assert not any(name in path.read_text() for name in (BOSS, "boss", FRIEND, "@"))
