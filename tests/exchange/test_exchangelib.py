"""A real client library accepts the endpoint, the natural way and by the version and URL that it finds itself."""

from collections.abc import Iterator

import pytest
from exchangelib import DELEGATE, IMPERSONATION, Account, Configuration, Credentials, ExtendedProperty, Message
from exchangelib.autodiscover.protocol import AutodiscoverProtocol
from exchangelib.errors import (
    ErrorAccessDenied,
    ErrorImpersonateUserDenied,
    ErrorNameResolutionNoResults,
    ErrorNonExistentMailbox,
    ErrorServerBusy,
    UnauthorizedError,
)
from exchangelib.items import ASSOCIATED
from exchangelib.properties import DLMailbox
from exchangelib.protocol import CachingProtocol, Protocol
from exchangelib.version import EXCHANGE_2016, Version

from safelist import demo
from safelist.junkrule import JunkRule, decode
from tests.exchange import Asked, DemoServer, Fault, Mailbox, Organisation, Trouble, schema

ADDRESS = "a@corp.example"
RULE = JunkRule(safe_senders=tuple(f"sender{number}@partner.example" for number in range(100)))


class Condition(ExtendedProperty):
    property_tag = 0x0E9A
    property_type = "Binary"


class Provider(ExtendedProperty):
    property_tag = 0x65EB
    property_type = "String"


@pytest.fixture(autouse=True)
def properties() -> Iterator[None]:
    Message.register("demo_condition", Condition)
    Message.register("demo_provider", Provider)
    yield
    Message.deregister("demo_condition")
    Message.deregister("demo_provider")
    CachingProtocol.clear_cache()


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.of([Mailbox(ADDRESS, RULE), Mailbox("b@corp.example", impersonation=False, delegate=False)])


@pytest.fixture
def bodies() -> list[bytes]:
    return []


@pytest.fixture
def server(organisation: Organisation, bodies: list[bytes]) -> Iterator[DemoServer]:
    with DemoServer(organisation, on_request=bodies.append) as running:
        yield running


def configuration(server: DemoServer, auth_type: str = "basic", version: Version | None = None) -> Configuration:
    account = server.organisation.account
    credentials = Credentials(account.principal, account.password)
    return Configuration(service_endpoint=server.url, credentials=credentials, auth_type=auth_type, version=version)


def account(server: DemoServer, address: str = ADDRESS, access: str = IMPERSONATION, **how: object) -> Account:
    known = {"version": Version(EXCHANGE_2016), **how}
    return Account(address, config=configuration(server, **known), access_type=access, autodiscover=False)


def rules(of: Account) -> list[Message]:
    query = of.inbox.filter(item_class="IPM.ExtendedRule.Message").only("demo_condition", "demo_provider", "subject")
    return [item for item in query.depth(ASSOCIATED) if item.demo_provider == "JunkEmailRule"]


@pytest.mark.parametrize("access", [IMPERSONATION, DELEGATE])
@pytest.mark.parametrize("auth_type", ["basic", "NTLM"])
def test_the_natural_way_brings_the_rule_in_four_requests(server: DemoServer, access: str, auth_type: str) -> None:
    found = rules(account(server, access=access, auth_type=auth_type))
    assert [decode(rule.demo_condition) for rule in found] == [RULE]
    operations = [asked.operation for asked in server.requests]
    assert operations == ["GetFolder", "GetFolder", "FindItem", "GetItem"]


def test_its_requests_are_valid(server: DemoServer, bodies: list[bytes]) -> None:
    assert rules(account(server))
    list(Protocol(config=configuration(server)).get_timezones())
    assert len(bodies) >= 5
    for body in bodies:
        schema.validate_envelope(body)
        schema.validate_header(body)


def test_it_finds_out_version_and_authentication_itself(server: DemoServer) -> None:
    found = rules(account(server, version=None, auth_type=None))
    assert len(found) == 1
    assert server.requests[0] == Asked("ConvertId", "")


def test_errors_arrive_as_its_own(server: DemoServer) -> None:
    with pytest.raises(ErrorImpersonateUserDenied):
        rules(account(server, "b@corp.example"))
    with pytest.raises(ErrorAccessDenied):
        rules(account(server, "b@corp.example", DELEGATE))
    with pytest.raises(ErrorNonExistentMailbox):
        rules(account(server, "nobody@corp.example"))


def test_throttling_arrives_with_its_hint(server: DemoServer) -> None:
    server.organisation.faults.append(Fault(Trouble.SERVER_BUSY, back_off_ms=2500))
    with pytest.raises(ErrorServerBusy) as busy:
        rules(account(server))
    assert busy.value.back_off == 2.5
    server.organisation.faults.append(Fault(Trouble.SERVER_BUSY_INNER))
    with pytest.raises(ErrorServerBusy):
        rules(account(server))


def test_a_wrong_password(server: DemoServer) -> None:
    wrong = Configuration(service_endpoint=server.url, credentials=Credentials("svc", "x"), auth_type="basic")
    with pytest.raises(UnauthorizedError):
        list(Protocol(config=wrong).get_timezones())


def test_groups_and_names() -> None:
    shown = demo.sample()
    organisation = Organisation.of(map(Mailbox, shown.mailboxes), shown.groups.values())
    with DemoServer(organisation) as server:
        protocol = Protocol(config=configuration(server, version=Version(EXCHANGE_2016)))
        members = protocol.expand_dl(DLMailbox(email_address="everyone@corp.example", mailbox_type="PublicDL"))
        assert [m.email_address for m in members if m.mailbox_type == "PublicDL"] == [
            "office@corp.example",
            "trade@corp.example",
        ]
        assert len([m for m in members if m.mailbox_type == "Mailbox"]) == 7
        assert len(protocol.resolve_names(["sales"])) == 8
        with pytest.raises(ErrorNameResolutionNoResults):
            protocol.expand_dl("nobody@corp.example")


def test_autodiscover_names_the_endpoint(server: DemoServer) -> None:
    credentials = configuration(server).credentials
    service = Configuration(service_endpoint=server.autodiscover_url, credentials=credentials, auth_type="basic")
    protocol = AutodiscoverProtocol(config=service)
    settings = protocol.get_user_settings(user=ADDRESS)
    protocol.close()
    assert settings.ews_url == server.url
    assert settings.autodiscover_smtp_address == ADDRESS
    assert settings.version.build >= Version.all_versions()[-1].build
    unknown = protocol.get_user_settings(user="nobody@corp.example")
    protocol.close()
    with pytest.raises(ErrorNonExistentMailbox):
        unknown.raise_errors()
