"""Long answers in pages, and moments as people write them."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from safelist.audit import position_text
from safelist.cli import moments
from safelist.cli.audit import pages
from safelist.cli.terminal import now
from safelist.errors import UsageError
from tests.cli.command import Command
from tests.cli.conftest import AOL

BERLIN = ZoneInfo("Europe/Berlin")
AUCKLAND = ZoneInfo("Pacific/Auckland")


@pytest.fixture
def synced(safelist: Command) -> Command:
    assert safelist("override", "allow", "bob@aol.com", "--reason", "customer").code == 0
    assert safelist("sync", "--publish").code == 0
    return safelist


@pytest.mark.parametrize(
    "question", [("history",), ("history", "--what", "entry-added"), ("who", AOL), ("search", "o")]
)
def test_every_page_names_where_the_next_one_begins(synced: Command, question: tuple[str, ...]) -> None:
    def rows(*options: str) -> list[dict[str, object]]:
        done = synced("audit", *question, *options, "--json")
        assert done.code == 0
        found = done.json
        return list(found["entries"] if isinstance(found, dict) else found)

    whole, found, options = rows("--limit", "100"), [], ["--limit", "2"]
    while page := rows(*options):
        found += page
        options = ["--limit", "2", "--after", str(page[-1]["position"])]
    assert found == whole
    assert len(whole) > 2


def test_people_are_told_how_to_go_on(synced: Command) -> None:
    first = synced("audit", "history", "--limit", "2")
    assert len(first.out.splitlines()) == 3
    assert "position" not in first.out
    told = first.err.removeprefix("safelist: there is more: add ").split()
    assert told[0] == "--after"
    second = synced("audit", "history", "--limit", "1000", *told)
    assert (second.code, second.err) == (0, "")
    lines = [*first.out.splitlines(), *second.out.splitlines()[1:]]
    whole = synced("audit", "history").out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [line.split()[:3] for line in whole[1:]]
    csv = synced("audit", "who", AOL, "--csv", "--limit", "1")
    assert csv.out.splitlines()[0].endswith(",position")
    assert csv.out.splitlines()[1].split(",")[-1] == csv.err.split()[-1]


HOSTILE = [
    "x", "W10", "é", "A" * 5000, "WyJhIl0", "W251bGxd", "WzEsMCw5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LDEsImEiLDFd", "bnVsbA",
    "[1]", "WzEsdHJ1ZSwxXQ", "WzEsLTEsMV0",
]  # fmt: skip


@pytest.mark.parametrize("word", HOSTILE)
@pytest.mark.parametrize("shapes", [position_text.EVENT, position_text.HOLDING, position_text.FOUND])
def test_a_position_that_is_none_is_refused(shapes: Collection[position_text.Shape], word: str) -> None:
    with pytest.raises(UsageError, match=r"^--after: .* is no position of this answer"):
        pages.page(None, word, shapes)


def test_the_position_of_another_answer_is_one_line(synced: Command) -> None:
    (found, *_) = synced("audit", "search", "o", "--json").json
    done = synced("audit", "history", "--after", found["position"])
    assert (done.code, done.out) == (64, "")
    assert done.err.startswith("safelist: --after: ")
    assert len(done.err.splitlines()) == 1


def test_a_search_says_what_it_found(synced: Command) -> None:
    done = synced("audit", "search", "DESK")
    assert done.out.splitlines()[1:] == [
        "mailbox  desk0@corp.example     2 entries",
        "mailbox  desk1@corp.example     2 entries",
        "mailbox  desk2@corp.example     2 entries",
        "sender   accounts.desk@aol.com  3 mailboxes trust it",
    ]
    assert [each["what"] for each in synced("audit", "search", "aol", "--json").json] == ["override", "sender"]
    assert synced("audit", "search", "nobody").err == "safelist: nobody and nothing that is known contains 'nobody'\n"
    assert synced("audit", "search", " ").code == 64


def test_a_domain_of_other_letters_is_found_as_it_is_typed(synced: Command) -> None:
    assert synced("override", "allow", "bücher.example", "--reason", "supplier").code == 0
    assert [each["address"] for each in synced("audit", "search", "bücher.example", "--json").json] == [
        "xn--bcher-kva.example"
    ]


def test_runs_are_listed_newest_first(synced: Command) -> None:
    done = synced("audit", "runs", "--json").json
    assert [(each["run"], each["what"], each["source"], each["problem"]) for each in done] == [
        (3, "publish postfix", None, None), (2, "sync", "exchange", None), (1, "override", None, None),
    ]  # fmt: skip
    assert done[1]["figures"] == "3 collected, 6 added"
    page = synced("audit", "runs", "--limit", "1")
    assert "publish postfix" in page.out
    assert page.err == "safelist: there are more: add --after 3\n"
    assert [each["run"] for each in synced("audit", "runs", "--after", "3", "--what", "override", "--json").json] == [1]
    assert synced("audit", "runs", "--last", "1h", "--csv").out.count("\n") == 4
    assert synced("audit", "runs", "--until", "yesterday").err == "safelist: there was no such run in that time\n"


def test_the_last_days_are_those_since_then(synced: Command) -> None:
    everything = synced("audit", "history", "--json").json
    for options in (("--last", "7d"), ("--since", "7d"), ("--since", "yesterday"), ("--last", "90min")):
        assert synced("audit", "history", *options, "--json").json == everything
    assert synced("audit", "history", "--until", "yesterday", "--json").json == []
    assert synced("audit", "changes", "--last", "2w", "--json").json["changes"]
    both = synced("audit", "history", "--last", "7d", "--since", "yesterday")
    assert (both.code, both.err) == (64, "safelist: --since and --last: write one of them\n")
    assert "--last: 'yesterday' is no span of time" in synced("audit", "history", "--last", "yesterday").err


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("7d", timedelta(days=7)), ("2w", timedelta(days=14)), ("24h", timedelta(hours=24)), (" 24H ", timedelta(1)),
        ("90min", timedelta(minutes=90)), ("1y", timedelta(days=365)), ("6m", timedelta(days=180)),
    ],
)  # fmt: skip
def test_a_span_is_that_long_ago(text: str, ago: timedelta) -> None:
    before = now()
    assert before - ago <= moments.parse_time(text, "--since") <= now() - ago


@pytest.mark.parametrize("zone", [UTC, BERLIN, AUCKLAND], ids=str)
def test_days_are_those_of_the_zone(zone: ZoneInfo) -> None:
    today = now().astimezone(zone).date()
    day = today - timedelta(days=1)
    for text in ("yesterday", day.isoformat()):
        begun = moments.parse_time(text, "--since", end=False, zone=zone)
        ended = moments.parse_time(text, "--until", zone=zone)
        assert begun == datetime(day.year, day.month, day.day, tzinfo=zone)
        assert ended.astimezone(zone).isoformat()[:19] == f"{day}T23:59:59"
        assert (begun.tzinfo, ended.tzinfo) == (UTC, UTC)
    assert moments.parse_time("today", "--until", zone=zone) <= now()
    assert moments.parse_time("today", "--since", end=False, zone=zone).astimezone(zone).date() == today


def test_a_day_on_which_clocks_change_is_as_long_as_it_is() -> None:
    begun, ended = (moments.parse_time("2026-10-25", "--at", end=end, ahead=True, zone=BERLIN) for end in (False, True))
    assert ended - begun == timedelta(hours=25) - timedelta(seconds=1)


def test_a_moment_without_a_zone_is_in_that_of_the_answer() -> None:
    text = "2026-01-20T14:30"
    assert moments.parse_time(text, "--at", zone=BERLIN) == datetime(2026, 1, 20, 13, 30, tzinfo=UTC)
    assert moments.parse_time(f"{text}-05:00", "--at", zone=BERLIN) == datetime(2026, 1, 20, 19, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "tomorrow", "7x", "0d", "٧d", "99999999999h", "99999999min", "2026-02-30", "0001-01-01", "-7d", "d",
     (date.today() + timedelta(days=2)).isoformat()],  # noqa: DTZ011
)  # fmt: skip
def test_what_is_no_moment_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--since: "):
        moments.parse_time(text, "--since", end=False, zone=AUCKLAND if text == "0001-01-01" else UTC)
