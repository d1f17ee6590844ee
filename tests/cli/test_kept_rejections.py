"""``safelist rejections --keep``: counts of whole days, and no address."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safelist import store
from safelist.store import RejectionCount
from tests.cli.command import Command
from tests.cli.conftest import AOL

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
DAY, NEXT = (str((NOON + timedelta(days=n)).date()) for n in range(2))
ME = "desk1@corp.example"
ZEN = "zen.spamhaus.org"


def line(sender: str, at: datetime = NOON, by: str = f"Client host [192.0.2.9] blocked using {ZEN}") -> str:
    said = f"554 5.7.1 Service unavailable; {by}; from=<{sender}> to=<{ME}> proto=ESMTP helo=<x>"
    return f"{at.isoformat()} mx postfix/smtpd[123]: NOQUEUE: reject: RCPT from unknown[192.0.2.9]: {said}\n"


TUESDAY = [
    line(AOL), line(AOL, NOON + timedelta(minutes=5)), line("spam@evil.example"), line("own0@partner.example"),
    line("mx@evil.example", by="Helo command [x.example] blocked using dbl.spamhaus.org"),
    line("a@b.example", by="Recipient address rejected: User unknown"),
]  # fmt: skip
COUNTS = [
    RejectionCount(DAY, "dbl.spamhaus.org", None, None, 1, 1),
    RejectionCount(DAY, ZEN, "lifted", "trusted-address", 1, 2),
    RejectionCount(DAY, ZEN, "nobodys", "nobody", 1, 1),
    RejectionCount(DAY, ZEN, "refused", "below-quorum", 1, 1),
]


@pytest.fixture
def synced(safelist: Command) -> Command:
    assert safelist("sync").code == 0
    return safelist


def kept(safelist: Command) -> list[RejectionCount]:
    with store.open_store(f"sqlite:///{safelist.database}") as opened:
        return list(opened.rejection_counts())


def log(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "mail.log"
    path.write_text("".join(lines))
    return str(path)


def test_nothing_is_kept_unless_asked(synced: Command, tmp_path: Path) -> None:
    assert synced("rejections", log(tmp_path, *TUESDAY), "--json", "--saved").code == 0
    assert kept(synced) == []


def test_counts_are_kept_and_no_address(synced: Command, tmp_path: Path) -> None:
    before = synced("audit", "verify", "--json").json
    done = synced("rejections", log(tmp_path, *TUESDAY), "--keep")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("Kept: the counts of 1 day, 4 that DNS blocklists rejected.\n")
    assert kept(synced) == COUNTS
    held = b"".join(path.read_bytes() for path in synced.database.parent.glob("safelist.db*"))
    assert not [each for each in (b"evil.example", b"192.0.2.9") if each in held]
    assert synced("audit", "verify", "--json").json == before


def test_reading_it_again_gives_the_same(synced: Command, tmp_path: Path) -> None:
    answers = [synced("rejections", log(tmp_path, *TUESDAY), "--keep", "--json").json["kept"] for _ in range(2)]
    assert answers == [[{"day": DAY, "seen": 4, "kept": 4, "replaced": True}]] * 2
    assert kept(synced) == COUNTS


def test_a_log_that_rotation_cut_takes_nothing_away(synced: Command, tmp_path: Path) -> None:
    synced("rejections", log(tmp_path, *TUESDAY), "--keep")
    rest = (line("late@evil.example"), line(AOL, NOON + timedelta(days=1)))
    for answer in ("--json", "--csv"):
        done = synced("rejections", log(tmp_path, *rest), "--keep", answer)
        assert done.code == 0
        said = f"{DAY}: 1 seen are fewer than the 4 mails that are kept of that day, which stay; was the log rotated?"
        assert said in done.err
        assert kept(synced) == [*COUNTS, RejectionCount(NEXT, ZEN, "lifted", "trusted-address", 1, 1)]
    (tmp_path / "mail.log.1").write_text("".join(TUESDAY))
    both = synced("rejections", log(tmp_path, *rest), str(tmp_path / "mail.log.1"), "--keep")
    assert (both.code, both.err) == (0, "")
    assert sum(each.mails for each in kept(synced)) == 6


def test_a_name_with_an_address_in_it_is_not_kept(synced: Command, tmp_path: Path) -> None:
    names = ("9.2.0.192.bl.example", "h192-0-2-9.bl.example")
    lines = (
        line(f"u{n}@x.example", by=f"Client host [192.0.2.9] blocked using {name}") for n, name in enumerate(names)
    )
    assert synced("rejections", log(tmp_path, *lines), "--keep").code == 0
    assert kept(synced) == [RejectionCount(DAY, "(not named)", "nobodys", "nobody", 2, 2)]


@pytest.mark.parametrize(
    "option", [("--since", DAY), ("--until", DAY), ("--format", "postfix"), ("--logs-only",)], ids=lambda it: it[0]
)
def test_parts_of_days_are_not_kept(synced: Command, tmp_path: Path, option: tuple[str, ...]) -> None:
    done = synced("rejections", log(tmp_path, *TUESDAY), "--keep", *option)
    assert (done.code, done.out) == (64, "")
    assert f"--keep: whole days are kept, all that the logs tell of them, judged; leave {option[0]} out" in done.err
    assert kept(synced) == []


def test_without_lists_it_says_what_to_do(safelist: Command, tmp_path: Path) -> None:
    done = safelist("rejections", log(tmp_path, *TUESDAY), "--keep")
    assert (done.code, done.out) == (64, "")
    assert "the lists were never collected, so nothing can be judged; run safelist sync first" in done.err
    assert kept(safelist) == []
    nowhere = Command(tmp_path / "nowhere")
    nowhere.directory.mkdir()
    done = nowhere("rejections", log(tmp_path, *TUESDAY), "--keep", SAFELIST_CONFIG="")
    assert done.code == 64
    assert "there is no aggregate to keep counts in; write the configuration (safelist init), then run" in done.err


def test_whoever_keeps_counts_waits_for_nobody_who_collects(synced: Command, tmp_path: Path) -> None:
    url, now = f"sqlite:///{synced.database}", datetime.now(UTC)
    with store.hold(url, "sync", now, "exchange"):
        assert synced("rejections", log(tmp_path, *TUESDAY), "--keep").code == 0
    for source in (None, "rejections.kept"):
        with store.hold(url, "forget", now, source):
            done = synced("rejections", log(tmp_path, *TUESDAY), "--keep")
        assert (done.code, done.out) == (75, "")
        assert "another safelist is at work: forget by " in done.err
