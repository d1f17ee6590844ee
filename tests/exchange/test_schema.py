"""Every answer is valid by Microsoft's schema."""

import pytest
from lxml import etree

from safelist.junkrule import JunkRule
from tests.exchange import DistributionGroup, DlMember, Fault, Mailbox, Organisation, Trouble, client, schema
from tests.exchange.client import CONDITION, NAME, PROVIDER, envelope, find_item, get_item
from tests.exchange.operations import answer

A = "a@corp.example"
KINDS = ("Mailbox", "PublicDL", "PrivateDL", "Contact", "PublicFolder")
ALL_FIELDS = tuple(
    f'<t:FieldURI FieldURI="item:{name}"/>' for name in ("LastModifiedTime", "Subject", "ItemClass", "IsAssociated")
)
CONVERT_ID = (
    '<m:ConvertId DestinationFormat="EntryId"><m:SourceIds><t:AlternateId Format="EwsId" Id="x" Mailbox="x"/>'
    "</m:SourceIds></m:ConvertId>"
)
FOLDERS = (
    "<m:GetFolder><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape><m:FolderIds>"
    f"{client.folder(A, 'root')}{client.folder(A, 'msgfolderroot')}{client.folder(A)}{client.folder('x@y.example')}"
    "</m:FolderIds></m:GetFolder>"
)

ROOMS = "<m:GetRooms><m:RoomList><t:EmailAddress>{}</t:EmailAddress></m:RoomList></m:GetRooms>"


@pytest.fixture
def organisation() -> Organisation:
    members = tuple(DlMember(f"{kind.lower()}@corp.example", kind) for kind in KINDS)
    boxes = [Mailbox(A, JunkRule(safe_senders=("a@aol.com", "x" * 600))), Mailbox("ab@corp.example", b"")]
    made = Organisation.of(boxes, [DistributionGroup("all@corp.example", members)])
    made.room_lists = {"rooms@corp.example": ("room1@corp.example", "room2@corp.example")}
    return made


def ids(organisation: Organisation) -> list[str]:
    return client.item_ids(client.ask(organisation, find_item(A, restriction="")))


def check(organisation: Organisation, operation: str, version: str = "Exchange2013") -> str:
    asked = envelope(operation, version=version)
    schema.validate_envelope(asked)
    schema.validate_header(asked)
    _, answered = answer(organisation, asked)
    schema.validate_header(answered.body)
    return etree.QName(schema.validate_envelope(answered.body)).localname


@pytest.mark.parametrize("base", ["IdOnly", "Default", "AllProperties"])
def test_find_item_and_get_item(organisation: Organisation, base: str) -> None:
    wanted = (*ALL_FIELDS, CONDITION, PROVIDER, NAME)
    assert check(organisation, find_item(A, *wanted, base=base, page=(0, 3))) == "FindItemResponse"
    assert check(organisation, find_item(A, *wanted, base=base, restriction="")) == "FindItemResponse"
    found = [*ids(organisation), "malformed"]
    assert check(organisation, get_item(found, *wanted, base=base)) == "GetItemResponse"


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (FOLDERS, "GetFolderResponse"),
        (client.expand_dl("all@corp.example"), "ExpandDLResponse"),
        (client.expand_dl("none@corp.example"), "ExpandDLResponse"),
        (client.resolve_names("a"), "ResolveNamesResponse"),
        (client.resolve_names("ab"), "ResolveNamesResponse"),
        (client.resolve_names("none"), "ResolveNamesResponse"),
        ('<m:GetServerTimeZones ReturnFullTimeZoneData="false"/>', "GetServerTimeZonesResponse"),
        (CONVERT_ID, "ConvertIdResponse"),
        ("<m:GetRoomLists/>", "GetRoomListsResponse"),
        (ROOMS.format("rooms@corp.example"), "GetRoomsResponse"),
        (ROOMS.format("none@corp.example"), "Fault"),
        ("<m:DeleteItem DeleteType='HardDelete'><m:ItemIds><t:ItemId Id='x'/></m:ItemIds></m:DeleteItem>", "Fault"),
    ],
)
def test_other_operations(organisation: Organisation, operation: str, name: str) -> None:
    assert check(organisation, operation) == name


@pytest.mark.parametrize("trouble", [Trouble.MESSAGE_ERROR, Trouble.SERVER_BUSY_INNER, Trouble.EMPTY_BINARY])
def test_faults_in_response_messages(organisation: Organisation, trouble: Trouble) -> None:
    found = ids(organisation)
    organisation.faults.append(Fault(trouble, times=None, back_off_ms=99, code="ErrorMailboxMoveInProgress"))
    for operation in (find_item(A), get_item(found, CONDITION), FOLDERS, client.expand_dl("all@corp.example")):
        assert check(organisation, operation) != "Fault"


def test_the_schema_refuses_what_is_wrong(organisation: Organisation) -> None:
    _, answered = answer(organisation, envelope(find_item(A, base="Default"), version="Exchange2013"))
    broken = answered.body.replace(b"<t:Subject>", b"<t:Subjekt>").replace(b"</t:Subject>", b"</t:Subjekt>")
    with pytest.raises(etree.DocumentInvalid):
        schema.validate_envelope(broken)


def test_the_schema_refuses_a_header_that_is_wrong(organisation: Organisation) -> None:
    asked = envelope(find_item(A), version="Exchange2013")
    schema.validate_header(asked)
    with pytest.raises(etree.DocumentInvalid):
        schema.validate_header(asked.replace(b'Version="Exchange2013"', b'Version="Exchange1999"'))
    with pytest.raises(etree.DocumentInvalid):
        schema.validate_header(asked.replace(b"RequestServerVersion", b"RequestServerVersions"))
