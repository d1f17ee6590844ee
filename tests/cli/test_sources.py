"""``safelist sync`` where the configuration has several sources: each its own run, lock and outcome."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from safelist import errors, store
from safelist.cli.sync import SyncReport
from safelist.collector.collect import Summary
from safelist.collector.source import Selection
from safelist.config import toml
from safelist.entry import ALL_LISTS
from safelist.junkrule import JunkRule
from safelist.runs import json_form
from safelist.runs.sync import SourceRun, SyncOptions
from tests.cli.command import Command
from tests.exchange import DemoServer, Mailbox, Organisation

AOL = "accounts.desk@aol.com"
DESK, SHOP = "desk@corp.example", "shop@sub.example"


@pytest.fixture
def subsidiary() -> Iterator[DemoServer]:
    with DemoServer(Organisation.of([Mailbox(SHOP, JunkRule(safe_senders=(AOL,)))])) as running:
        yield running


@pytest.fixture
def corporation() -> Iterator[DemoServer]:
    with DemoServer(Organisation.of([Mailbox(DESK, JunkRule(safe_senders=(AOL,)))])) as running:
        yield running


def add_source(command: Command, server: DemoServer, name: str, *addresses: str, secret: str = "") -> None:
    account = server.organisation.account
    with command.config.open("a") as file:
        file.write(
            f'\n[[sources]]\nkind = "ews"\nname = "{name}"\n[sources.exchange]\nendpoint = {toml(server.url)}\n'
            f'authentication = "basic"\nusername = {toml(account.principal)}\n'
            f"secret = {toml(secret or account.password)}\n[sources.mailboxes]\naddresses = {toml(list(addresses))}\n"
        )


@pytest.fixture
def safelist(tmp_path: Path, corporation: DemoServer, subsidiary: DemoServer) -> Command:
    command = Command(tmp_path)
    command.configure(corporation, [DESK])
    add_source(command, subsidiary, "subsidiary", SHOP)
    assert command("db", "upgrade").code == 0
    return command


def sources_of(command: Command) -> dict[str, str]:
    with store.open_store(f"sqlite:///{command.database}") as opened:
        return {state.address: state.source for state in opened.mailboxes()}


def test_all_are_collected_one_after_the_other(safelist: Command) -> None:
    done = safelist("sync", "--publish", "--json")
    assert (done.code, done.err) == (0, "")
    assert [source["source"] for source in done.json["sources"]] == ["exchange", "subsidiary"]
    assert [source["summary"]["collected"] for source in done.json["sources"]] == [1, 1]
    assert [row["mailbox"] for source in done.json["sources"] for row in source["mailboxes"]] == [DESK, SHOP]
    assert AOL in safelist.map.read_text()
    assert sources_of(safelist) == {DESK: "exchange", SHOP: "subsidiary"}


def test_one_is_chosen_by_its_name(safelist: Command, corporation: DemoServer) -> None:
    done = safelist("sync", "--source", "subsidiary", "--json")
    assert [source["source"] for source in done.json["sources"]] == ["subsidiary"]
    assert (sources_of(safelist), list(corporation.requests)) == ({SHOP: "subsidiary"}, [])
    wrong = safelist("sync", "--source", "subsidary")
    assert (wrong.code, "there are: exchange, subsidiary" in wrong.err) == (errors.EX_USAGE, True)


def test_one_that_fails_keeps_no_other_from_its_turn(
    safelist: Command, corporation: DemoServer, subsidiary: DemoServer
) -> None:
    safelist.configure(corporation, [DESK], exchange={"secret": "wrong"})
    add_source(safelist, subsidiary, "subsidiary", SHOP)
    done = safelist("sync", "--json")
    assert done.code == errors.EX_NOPERM
    assert done.err.startswith("safelist: exchange: http://")
    assert [bool(source["problem"]) for source in done.json["sources"]] == [True, False]
    assert sources_of(safelist) == {SHOP: "subsidiary"}


def test_the_history_says_of_which_source_a_run_failed(safelist: Command, subsidiary: DemoServer) -> None:
    text = safelist.config.read_text()
    safelist.config.write_text(text.replace(toml(subsidiary.organisation.account.password), '"wrong"'))
    assert safelist("sync", "--source", "subsidiary").code == errors.EX_NOPERM
    (failed,) = safelist("audit", "history", "--what", "run-failed", "--json").json
    assert failed["detail"].startswith("sync subsidiary: http://")


def test_one_that_cannot_even_begin_is_a_problem_of_its_own(safelist: Command, subsidiary: DemoServer) -> None:
    text = safelist.config.read_text()
    safelist.config.write_text(text.replace(f'addresses = ["{SHOP}"]', 'file = "/nowhere/at/all"'))
    done = safelist("sync", "--json")
    assert (done.code, sources_of(safelist)) == (errors.EX_CONFIG, {DESK: "exchange"})
    assert done.err.startswith("safelist: subsidiary: mailboxes.file: /nowhere/at/all cannot be read")
    assert [source["summary"]["collected"] for source in done.json["sources"]] == [1, 0]


def test_a_mailbox_is_asked_of_the_source_that_it_belongs_to(safelist: Command, corporation: DemoServer) -> None:
    never = safelist("sync", "--mailbox", SHOP)
    assert (never.code, "say with --source which has it" in never.err) == (errors.EX_USAGE, True)
    assert safelist("sync", "--mailbox", SHOP, "--source", "subsidiary").code == 0
    assert sources_of(safelist) == {SHOP: "subsidiary"}
    assert safelist("sync", "--mailbox", SHOP).code == 0
    assert list(corporation.requests) == []


def test_a_mailbox_in_two_sources_is_told_with_what_to_do(safelist: Command, subsidiary: DemoServer) -> None:
    assert safelist("sync").code == 0
    add_source(safelist, subsidiary, "third", SHOP)
    done = safelist("sync")
    assert done.code == errors.EX_TEMPFAIL
    assert f"{SHOP}: it is recorded from the source subsidiary" in done.err
    assert f"safelist forget {SHOP}" in done.err
    assert safelist("forget", SHOP).code == 0
    assert safelist("sync", "--source", "third").code == 0
    assert sources_of(safelist) == {DESK: "exchange", SHOP: "third"}


def test_leavers_are_told_of_each_source_alone(safelist: Command, subsidiary: DemoServer) -> None:
    assert safelist("sync").code == 0
    added = Mailbox("till@sub.example", JunkRule(safe_senders=(AOL,)))
    subsidiary.organisation.add(added)
    text = safelist.config.read_text()
    safelist.config.write_text(text.replace(f'addresses = ["{SHOP}"]', f'addresses = ["{added.address}"]'))
    found = safelist("sync", "--json").json["sources"]
    assert [source["not_named"] for source in found] == [[], [SHOP]]
    told = safelist("sync", "--source", "subsidiary").err
    assert "1 collected mailbox no longer named by their source still count" in told
    safelist.config.write_text(text.partition("[[sources]]")[0])
    assert safelist("sync", "--json").json["not_named"] == [SHOP, added.address], "of a source that is no more"


def test_leavers_of_a_source_that_is_no_more_are_told_whatever_the_others_do(
    safelist: Command, corporation: DemoServer, subsidiary: DemoServer
) -> None:
    assert safelist("sync").code == 0
    safelist.configure(corporation, [DESK])
    add_source(safelist, subsidiary, "third", "till@sub.example", secret="wrong")
    for arguments in ((), ("--source", "third"), ("--source", "exchange")):
        *_, last = safelist("sync", "--json", *arguments).json["sources"]
        assert last["not_named"] == [SHOP], arguments
    text = safelist.config.read_text()
    safelist.config.write_text(text.replace("[sources.mailboxes]\naddresses", "[sources.mailboxes]\nexclude"))
    done = safelist("sync", "--json")
    assert (done.code, [source["not_named"] for source in done.json["sources"]]) == (errors.EX_CONFIG, [[], [SHOP]])


def test_a_mailbox_of_a_source_that_is_no_more_is_no_leaver_where_another_names_it(
    safelist: Command, corporation: DemoServer, subsidiary: DemoServer
) -> None:
    assert safelist("sync").code == 0
    safelist.configure(corporation, [DESK])
    add_source(safelist, subsidiary, "third", SHOP)
    done = safelist("sync", "--json").json["sources"]
    assert [source["not_named"] for source in done] == [[], []]
    assert [row["reason"] for row in done[1]["mailboxes"]] == ["other-source"]


def test_what_is_wrong_with_a_part_of_a_source_is_said_by_its_name(
    safelist: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.open_store(f"sqlite:///{safelist.database}") as opened:
        report = SyncReport(opened, SyncOptions(ALL_LISTS), json=True)
        selection = Selection([], [(f"list{n}", "it is empty") for n in range(6)], is_whole=False, part="folder")
        with report.collecting("files", selection):
            pass
        report.end(SourceRun("files", Summary(), selection))
    assert capsys.readouterr().err == (
        "safelist: folder list0, list1, list2, list3, list4 and 1 more folders (--json names them all): it is empty\n"
    )
    told = json_form.sync(report.of_sources, is_only=True)
    assert told["left_out"] == [f"folder list{n}: it is empty" for n in range(6)]


def test_another_run_on_the_same_source_waits_for_none(safelist: Command) -> None:
    url = f"sqlite:///{safelist.database}"
    with store.hold(url, "sync", datetime(2026, 11, 23, 12, 0, tzinfo=UTC), "exchange"):
        done = safelist("sync", "--json")
    assert done.code == errors.EX_TEMPFAIL
    assert "another safelist is at work: sync by" in done.json["sources"][0]["problem"]
    assert done.json["sources"][1]["summary"]["collected"] == 1
    assert sources_of(safelist) == {SHOP: "subsidiary"}


def test_init_leaves_a_configuration_with_several_sources_as_it_is(safelist: Command) -> None:
    before = safelist.config.read_text()
    done = safelist("init", "--json")
    assert (done.code, done.json["config_written"]) == (0, False)
    assert safelist.config.read_text() == before
