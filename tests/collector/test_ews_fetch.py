"""One mailbox at a time over real HTTP: what is brought, and with how many requests."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.source import Unchanged
from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.item_id import owner
from safelist.collector.sources.ews.soap import GroupMember, MemberKind
from tests.collector.ews_site import ALICE, BOB, exchange, operations, organisation, rule_of
from tests.exchange import DemoServer, DistributionGroup, DlMember, Fault, Mailbox, MapiProperty, Organisation, Trouble
from tests.exchange.schema import validate_envelope, validate_header

STATE, INCLUDE_CONTACTS = MapiProperty(0x65E9, "Integer"), MapiProperty(0x6100, "Integer")


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(organisation()) as running:
        yield running


@pytest.fixture
def ews(server: DemoServer) -> Iterator[ExchangeServer]:
    with exchange(server) as opened:
        yield opened


def test_first_contact_costs_two_requests(server: DemoServer, ews: ExchangeServer) -> None:
    rule = rule_of(ews.fetch(ALICE, None))
    assert (rule.condition, rule.state, rule.include_contacts, rule.duplicates) == (ALICE.encode(), 49, False, 0)
    assert operations(server) == ["FindItem", "GetItem"]
    assert owner(rule.rule_id) == server.organisation.mailboxes[ALICE].guid


def test_an_unchanged_rule_costs_one_request(server: DemoServer, ews: ExchangeServer) -> None:
    key = rule_of(ews.fetch(ALICE, None)).change_key
    server.reset()
    assert ews.fetch(ALICE, key) == Unchanged()
    assert operations(server) == ["FindItem"]


def test_a_changed_rule_costs_two_requests(server: DemoServer, ews: ExchangeServer) -> None:
    before = rule_of(ews.fetch(ALICE, None))
    server.organisation.mailboxes[ALICE].set_rule(b"changed")
    server.reset()
    after = rule_of(ews.fetch(ALICE, before.change_key))
    assert after.condition == b"changed"
    assert after.rule_id == before.rule_id
    assert after.change_key != before.change_key
    assert operations(server) == ["FindItem", "GetItem"]


def test_no_rule_costs_one_request(server: DemoServer, ews: ExchangeServer) -> None:
    server.organisation.mailboxes[ALICE].remove_rule()
    assert ews.fetch(ALICE, None) is None
    assert operations(server) == ["FindItem"]


def test_other_programs_rules_are_not_the_rule(server: DemoServer, ews: ExchangeServer) -> None:
    box = server.organisation.mailboxes[ALICE]
    box.remove_rule()
    box.add_rule(b"other", provider="RuleOrganizer")
    assert ews.fetch(ALICE, None) is None


@pytest.mark.parametrize("spelling", ["JUNKEMAILRULE", "junkemailrule", "JunkEMailRule"])
def test_capitals_of_the_provider_do_not_count(server: DemoServer, ews: ExchangeServer, spelling: str) -> None:
    box = server.organisation.mailboxes[ALICE]
    box.remove_rule()
    box.add_rule(b"found", provider=spelling)
    assert rule_of(ews.fetch(ALICE, None)).condition == b"found"


def test_the_youngest_of_several_rules_counts(server: DemoServer, ews: ExchangeServer) -> None:
    box = server.organisation.mailboxes[ALICE]
    box.add_rule(b"young", modified=datetime(2030, 1, 1, tzinfo=UTC))
    box.add_rule(b"old", modified=datetime(2001, 1, 1, tzinfo=UTC))
    rule = rule_of(ews.fetch(ALICE, None))
    assert (rule.condition, rule.duplicates) == (b"young", 2)
    box.add_rule(b"older", modified=datetime(2000, 1, 1, tzinfo=UTC))
    again = rule_of(ews.fetch(ALICE, rule.change_key))
    assert (again.condition, again.duplicates) == (b"young", 3)


def test_every_part_of_a_long_list_is_read(server: DemoServer, ews: ExchangeServer) -> None:
    server.organisation.find_limit = 1
    box = server.organisation.mailboxes[ALICE]
    for number in range(3):
        box.add_rule(b"other", provider=f"Other{number}")
    box.add_rule(b"last", modified=datetime(2030, 1, 1, tzinfo=UTC))
    rule = rule_of(ews.fetch(ALICE, None))
    assert (rule.condition, rule.duplicates) == (b"last", 1)
    assert operations(server).count("GetItem") == 1


def test_a_condition_is_never_cut(server: DemoServer, ews: ExchangeServer) -> None:
    whole = bytes(range(256)) * 2040
    server.organisation.mailboxes[ALICE].set_rule(whole)
    assert rule_of(ews.fetch(ALICE, None)).condition == whole


def test_state_and_contacts_may_be_missing_or_off(server: DemoServer, ews: ExchangeServer) -> None:
    box = server.organisation.mailboxes[ALICE]
    box.set_rule(b"x", enabled=False, include_contacts=True)
    rule = rule_of(ews.fetch(ALICE, None))
    assert (rule.state, rule.include_contacts) == (0x30, True)
    box.change_property(STATE, None)
    box.change_property(INCLUDE_CONTACTS, None)
    rule = rule_of(ews.fetch(ALICE, None))
    assert (rule.state, rule.include_contacts) == (None, None)


def test_a_rule_replaced_between_the_requests_is_looked_for_once_more(server: DemoServer, ews: ExchangeServer) -> None:
    gone = Fault(Trouble.MESSAGE_ERROR, code="ErrorItemNotFound", operation="GetItem")
    server.organisation.mailboxes[ALICE].faults.append(gone)
    assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
    assert operations(server) == ["FindItem", "GetItem"] * 2


def test_a_rule_that_is_replaced_all_the_time_fails(server: DemoServer, ews: ExchangeServer) -> None:
    gone = Fault(Trouble.MESSAGE_ERROR, code="ErrorItemNotFound", operation="GetItem", times=None)
    server.organisation.mailboxes[ALICE].faults.append(gone)
    with pytest.raises(FetchError) as caught:
        ews.fetch(ALICE, None)
    assert caught.value.reason is FailureReason.UNAVAILABLE
    assert operations(server) == ["FindItem", "GetItem"] * 2


def test_delegate_access_impersonates_nobody() -> None:
    bodies: list[bytes] = []
    with DemoServer(organisation(), on_request=bodies.append) as server, exchange(server, access="delegate") as ews:
        server.organisation.mailboxes[ALICE].impersonation = False
        assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
    assert len(bodies) == 2
    assert not any(b"Impersonation" in body for body in bodies)


@pytest.mark.parametrize("access", ["impersonation", "delegate"])
def test_requests_obey_microsofts_schema_and_name_the_mailbox(access: str) -> None:
    bodies: list[bytes] = []
    odd = "o'hara&sons+<x>@corp.example"
    crew = DistributionGroup("crew&co@corp.example", ())
    site = Organisation.of([Mailbox(odd, b"odd")], [crew])
    with DemoServer(site, on_request=bodies.append) as server, exchange(server, access=access) as ews:
        assert rule_of(ews.fetch(odd, None)).condition == b"odd"
        assert ews.expand(crew.address) == []
        assert [asked.mailbox for asked in server.requests] == [odd, odd, crew.address]
    for body in bodies:
        validate_envelope(body)
        validate_header(body)


def test_a_group_is_expanded_one_level() -> None:
    members = (DlMember(ALICE), DlMember("inner@corp.example", "PublicDL"), DlMember("c@x.example", "Contact"))
    site = organisation()
    site.groups = {"all@corp.example": DistributionGroup("all@corp.example", members)}
    with DemoServer(site) as server, exchange(server) as ews:
        assert ews.expand("all@corp.example") == [
            GroupMember(ALICE, MemberKind.MAILBOX),
            GroupMember("inner@corp.example", MemberKind.GROUP),
            GroupMember("c@x.example", MemberKind.OTHER),
        ]
        assert operations(server) == ["ExpandDL"]
        with pytest.raises(FetchError) as caught:
            ews.expand("nobody@corp.example")
    assert caught.value.reason is FailureReason.NOT_FOUND
    assert "group" in caught.value.message


@pytest.mark.parametrize("address", ["a\r\nX-Evil: 1@corp.example", "a\x00@corp.example", "\ud800@corp.example"])
def test_an_address_that_no_request_can_hold_is_not_sent(server: DemoServer, ews: ExchangeServer, address: str) -> None:
    for ask in (lambda: ews.fetch(address, None), lambda: ews.expand(address)):
        with pytest.raises(FetchError) as caught:
            ask()
        assert caught.value.reason is FailureReason.NOT_FOUND
    assert server.requests == []


def test_an_address_beyond_ascii_is_asked_for(server: DemoServer, ews: ExchangeServer) -> None:
    with pytest.raises(FetchError) as caught:
        ews.fetch("jürgen.愛@bücher.example", None)
    assert caught.value.reason is FailureReason.NOT_FOUND
    assert [asked.mailbox for asked in server.requests] == ["jürgen.愛@bücher.example"]


def test_one_connection_serves_many_mailboxes(server: DemoServer, ews: ExchangeServer) -> None:
    for address in (ALICE, BOB) * 5:
        assert rule_of(ews.fetch(address, None)).condition == address.encode()
    assert server.connections == 1


def test_after_close_nothing_is_asked(server: DemoServer, ews: ExchangeServer) -> None:
    ews.close()
    with pytest.raises(FetchError):
        ews.fetch(ALICE, None)
    assert server.requests == []
