"""The demo's own endpoint over HTTP: what the collector asks, and what it says to all else."""

import base64
import socket
from collections.abc import Iterator

import pytest

from safelist.demo import DemoServer, DistributionGroup, DlMember, Mailbox, Organisation, mailbox_guid
from safelist.demo.identifiers import item_id
from safelist.junkrule import JunkRule, decode, encode
from tests.exchange.client import (
    CONDITION,
    PROVIDER,
    Client,
    basic,
    change_keys,
    codes,
    expand_dl,
    find_item,
    get_item,
    item_ids,
    values,
)

ADDRESS = "a@corp.example"
RULE = JunkRule(safe_senders=tuple(f"sender{number}@partner.example" for number in range(100)))
STATE = '<t:ExtendedFieldURI PropertyTag="0x65E9" PropertyType="Integer"/>'
MODIFIED = '<t:FieldURI FieldURI="item:LastModifiedTime"/>'
FOLDER_BY_ID = (
    '<m:FindItem Traversal="Associated"><m:ParentFolderIds><t:FolderId Id="x"/></m:ParentFolderIds></m:FindItem>'
)


@pytest.fixture
def server() -> Iterator[DemoServer]:
    group = DistributionGroup("all@corp.example", (DlMember(ADDRESS), DlMember("b@corp.example")))
    denied = Mailbox("b@corp.example", RULE, impersonation=False, delegate=False)
    with DemoServer(
        Organisation.of([Mailbox(ADDRESS, RULE, aliases=("Other@corp.example",)), denied], [group])
    ) as running:
        yield running


@pytest.fixture
def client(server: DemoServer) -> Iterator[Client]:
    with Client(server) as connected:
        yield connected


def test_a_rule_is_found_and_brought(client: Client) -> None:
    found = client.ask(find_item(ADDRESS, PROVIDER, CONDITION, MODIFIED, page=(0, 100)), ADDRESS)
    assert values(found, 0x65EB) == ["RuleOrganizer", "JunkEmailRule"]
    assert base64.b64decode(values(found, 0x0E9A)[1]) == encode(RULE)[:512]
    assert len(list(found.xml.iter("{*}LastModifiedTime"))) == 2
    brought = client.ask(get_item(item_ids(found), CONDITION, STATE), ADDRESS)
    assert decode(base64.b64decode(values(brought, 0x0E9A)[1])) == RULE
    assert values(brought, 0x65E9) == ["49", "49"]
    assert change_keys(brought) == change_keys(found)


def test_pages(client: Client) -> None:
    parts = [client.ask(find_item(ADDRESS, page=(offset, 1)), ADDRESS) for offset in range(3)]
    assert [len(item_ids(part)) for part in parts] == [1, 1, 0]
    assert b'IncludesLastItemInRange="false"' in parts[0].body
    assert b'IncludesLastItemInRange="true"' in parts[1].body


def test_all_items_without_a_restriction(client: Client) -> None:
    assert len(item_ids(client.ask(find_item(ADDRESS, restriction=""), ADDRESS))) == 5


def test_a_group_is_expanded(client: Client) -> None:
    reply = client.ask(expand_dl("All@corp.example"))
    assert [element.text for element in reply.xml.iter("{*}EmailAddress")] == [ADDRESS, "b@corp.example"]
    assert codes(client.ask(expand_dl(ADDRESS))) == ["ErrorNameResolutionNoResults"]


@pytest.mark.parametrize(
    ("operation", "as_user", "status", "code"),
    [
        (find_item("b@corp.example"), "b@corp.example", 500, "ErrorImpersonateUserDenied"),
        (find_item("b@corp.example"), None, 200, "ErrorAccessDenied"),
        (find_item("x@corp.example"), "x@corp.example", 500, "ErrorNonExistentMailbox"),
        (find_item(ADDRESS), "other@corp.example", 500, "ErrorNonPrimarySmtpAddress"),
        (find_item(None), None, 200, "ErrorMissingEmailAddress"),
        (find_item(ADDRESS, name="junkemail"), ADDRESS, 200, "ErrorFolderNotFound"),
        (FOLDER_BY_ID, ADDRESS, 200, "ErrorFolderNotFound"),
        (find_item(ADDRESS, restriction="<t:Exists/>"), ADDRESS, 200, "ErrorUnsupportedQueryFilter"),
        (find_item(ADDRESS, page=("x", 1)), ADDRESS, 200, "ErrorInvalidIndexedPagingParameters"),
        (get_item(["x"]), ADDRESS, 200, "ErrorInvalidIdMalformed"),
        (get_item([item_id(mailbox_guid("x@corp.example"), 1)]), ADDRESS, 200, "ErrorItemNotFound"),
        (get_item([item_id(mailbox_guid(ADDRESS), 99)]), ADDRESS, 200, "ErrorItemNotFound"),
        ("<m:GetRoomLists/>", None, 500, "ErrorInvalidRequest"),
    ],
)
def test_what_goes_wrong_has_exchanges_code(
    client: Client, operation: str, as_user: str | None, status: int, code: str
) -> None:
    reply = client.ask(operation, as_user)
    assert (reply.status, codes(reply)) == (status, [code])


@pytest.mark.parametrize("headers", [{}, basic("svc-safelist@corp.example", "wrong"), {"Authorization": "Bearer x"}])
def test_only_the_account_is_let_in(server: DemoServer, headers: dict[str, str]) -> None:
    with Client(server, headers) as stranger:
        reply = stranger.ask(find_item(ADDRESS))
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Basic realm="127.0.0.1"')


def test_another_path_is_not_found_on_the_same_connection(client: Client) -> None:
    assert client.post(b"", "/nowhere").status == 404
    assert client.ask(find_item(ADDRESS), ADDRESS).status == 200


def test_it_listens_on_loopback_until_it_ends() -> None:
    with DemoServer(Organisation()) as server:
        assert server.server_name == "127.0.0.1", "its name would be a question to a nameserver"
        assert server.url == f"http://127.0.0.1:{server.port}/EWS/Exchange.asmx"
        socket.create_connection(("127.0.0.1", server.port), timeout=10).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=10)
