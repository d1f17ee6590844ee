"""EWS requests as bytes, EWS answers as values."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from safelist.collector.sources.ews import soap
from safelist.collector.sources.ews.soap import AnsweredError, GroupMember, MemberKind, Rule, UnreadableError
from tests.conftest import shared_data

NS = {
    "s": "http://schemas.xmlsoap.org/soap/envelope/",
    "m": "http://schemas.microsoft.com/exchange/services/2006/messages",
    "t": "http://schemas.microsoft.com/exchange/services/2006/types",
}
HOSTILE = 'a&b<c>"d"\'e]]>--\t\n@x.example'
XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


def envelope(body: str) -> bytes:
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
    return f"<s:Envelope {names}><s:Header/><s:Body>{body}</s:Body></s:Envelope>".encode()


def success(operation: str, content: str) -> bytes:
    return envelope(
        f"<m:{operation}Response><m:ResponseMessages>"
        f'<m:{operation}ResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
        f"{content}</m:{operation}ResponseMessage></m:ResponseMessages></m:{operation}Response>"
    )


def extended(tag: str, value: str, kind: str = "String") -> str:
    return (
        f'<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="{tag}" PropertyType="{kind}"/>'
        f"<t:Value>{value}</t:Value></t:ExtendedProperty>"
    )


def row(name: str, modified: str = "2026-01-05T08:00:00Z", provider: str = "JunkEmailRule") -> str:
    return (
        f'<t:Message><t:ItemId Id="{name}" ChangeKey="ck-{name}"/>'
        f"<t:LastModifiedTime>{modified}</t:LastModifiedTime>{extended('0x65eb', provider)}</t:Message>"
    )


def found(rows: str, paging: str = 'IncludesLastItemInRange="true"') -> bytes:
    return success("FindItem", f"<m:RootFolder {paging}><t:Items>{rows}</t:Items></m:RootFolder>")


def item(properties: str) -> bytes:
    content = f'<m:Items><t:Message><t:ItemId Id="i" ChangeKey="c"/>{properties}</t:Message></m:Items>'
    return success("GetItem", content)


CONDITION = extended("0x0E9A", base64.b64encode(b"\x00condition").decode(), "Binary")

REQUESTS: list[bytes] = [
    soap.find_rules(HOSTILE, impersonate=True, offset=200),
    soap.find_rules("plain@x.example", impersonate=False),
    soap.get_rule(HOSTILE, HOSTILE, impersonate=True),
    soap.get_rule("plain@x.example", "AAMk=", impersonate=False),
    soap.expand_group(HOSTILE),
    soap.get_room_lists(),
    soap.get_rooms(HOSTILE),
]


@pytest.mark.parametrize("request_body", REQUESTS)
def test_requests_obey_microsofts_schema(request_body: bytes) -> None:
    schema = etree.XMLSchema(etree.parse(str(shared_data("ews-xsd") / "messages.xsd")))
    body = etree.fromstring(request_body).find("s:Body", NS)
    assert body is not None
    schema.assertValid(body[0])


@given(XML_TEXT, XML_TEXT)
def test_no_text_breaks_out_of_its_place(address: str, item_id: str) -> None:
    find = etree.fromstring(soap.find_rules(address, impersonate=True))
    assert find.findtext(".//t:DistinguishedFolderId/t:Mailbox/t:EmailAddress", namespaces=NS) == address
    assert find.findtext(".//t:ConnectingSID/t:PrimarySmtpAddress", namespaces=NS) == address
    get = etree.fromstring(soap.get_rule(address, item_id, impersonate=False))
    assert [e.get("Id") for e in get.iterfind(".//t:ItemId", NS)] == [item_id]
    assert get.find(".//t:ExchangeImpersonation", NS) is None
    expand = etree.fromstring(soap.expand_group(address))
    assert expand.findtext(".//t:EmailAddress", namespaces=NS) == address


def test_rows() -> None:
    page = soap.read_page(found(row("a") + row("b", modified="2026-01-05T08:00:00.1234567Z", provider="Other")))
    assert [(r.item_id, r.change_key, r.provider) for r in page.rows] == [
        ("a", "ck-a", "JunkEmailRule"),
        ("b", "ck-b", "Other"),
    ]
    assert page.rows[1].modified > page.rows[0].modified
    assert page.following is None


def test_odd_timestamps_are_the_oldest() -> None:
    rows = soap.read_page(found(row("a", modified="yesterday") + row("b", modified="2026-01-05T08:00:00"))).rows
    assert rows[0].modified < rows[1].modified


def test_a_part_of_the_list() -> None:
    page = soap.read_page(found(row("a"), 'IncludesLastItemInRange="false" IndexedPagingOffset="7"'))
    assert page.following == 7
    with pytest.raises(UnreadableError, match="next part"):
        soap.read_page(found(row("a"), 'IncludesLastItemInRange="false"'))


def test_rule() -> None:
    properties = CONDITION + extended("0x65e9", "49", "Integer") + extended("0x6100", "1", "Integer")
    assert soap.read_item(item(properties)) == Rule("i", "c", b"\x00condition", 49, include_contacts=True)
    huge = extended("0x65e9", "9999999999", "Integer")
    assert soap.read_item(item(CONDITION + huge)).state is None, "no number of 32 bits, which a database may refuse"
    assert soap.read_item(item(CONDITION)) == Rule("i", "c", b"\x00condition", None, include_contacts=None)


def test_white_space_around_base64_is_allowed() -> None:
    assert soap.read_item(item(extended("0x0e9a", "\n AGNv\n bg== ", "Binary"))).condition == b"\x00con"


@pytest.mark.parametrize(
    ("value", "what"),
    [("", "empty"), ("  ", "empty"), ("AAA", "base64"), ("AA==AA==", "base64"), ("é", "base64"), ("A-_=", "base64")],
)
def test_bad_conditions(value: str, what: str) -> None:
    with pytest.raises(UnreadableError, match=what):
        soap.read_item(item(extended("0x0E9A", value, "Binary")))


def test_missing_condition() -> None:
    with pytest.raises(UnreadableError, match="no condition"):
        soap.read_item(item(extended("0x65e9", "49", "Integer")))


def test_members() -> None:
    def mailbox(address: str, kind: str, routing: str = "SMTP") -> str:
        return (
            f"<t:Mailbox><t:Name>n</t:Name><t:EmailAddress>{address}</t:EmailAddress>"
            f"<t:RoutingType>{routing}</t:RoutingType><t:MailboxType>{kind}</t:MailboxType></t:Mailbox>"
        )

    inside = mailbox("a@x", "Mailbox") + mailbox("g@x", "PublicDL") + mailbox("c@x", "Contact")
    inside += mailbox("/o=corp/cn=a", "Mailbox", routing="EX")
    expansion = f'<m:DLExpansion TotalItemsInView="4" IncludesLastItemInRange="true">{inside}</m:DLExpansion>'
    assert soap.read_members(success("ExpandDL", expansion)) == [
        GroupMember("a@x", MemberKind.MAILBOX),
        GroupMember("g@x", MemberKind.GROUP),
        GroupMember("c@x", MemberKind.OTHER),
        GroupMember("/o=corp/cn=a", MemberKind.OTHER),
    ]


def fault(code: str, values: str = "") -> bytes:
    return envelope(
        "<s:Fault><faultcode>a:ErrorOuter</faultcode><faultstring>no</faultstring><detail>"
        f'<e:ResponseCode xmlns:e="urn:e">{code}</e:ResponseCode><t:MessageXml>{values}</t:MessageXml>'
        "</detail></s:Fault>"
    )


@pytest.mark.parametrize(
    ("answer", "code", "back_off"),
    [
        (fault("ErrorServerBusy", '<t:Value Name="BackOffMilliseconds">2500</t:Value>'), "ErrorServerBusy", 2.5),
        (fault("ErrorServerBusy", '<t:Value Name="BackOffMilliseconds">-9</t:Value>'), "ErrorServerBusy", -0.009),
        (fault("ErrorServerBusy", '<t:Value Name="BackOffMilliseconds">9e99</t:Value>'), "ErrorServerBusy", None),
        (
            fault("ErrorServerBusy", f'<t:Value Name="BackOffMilliseconds">{"9" * 5000}</t:Value>'),
            "ErrorServerBusy",
            None,
        ),
        (
            fault("ErrorInternalServerError", '<t:Value Name="InnerErrorResponseCode">ErrorServerBusy</t:Value>'),
            "ErrorServerBusy",
            None,
        ),
        (fault("\x1b[2Jhostile".replace("\x1b", "")), "ErrorOuter", None),
        (envelope("<s:Fault><faultcode>s:Client</faultcode></s:Fault>"), "a fault without a code", None),
    ],
)
def test_faults(answer: bytes, code: str, back_off: float | None) -> None:
    for read in READERS:
        with pytest.raises(AnsweredError) as caught:
            read(answer)
        assert (caught.value.code, caught.value.back_off) == (code, back_off)


READERS: list[Callable[[bytes], object]] = [soap.read_page, soap.read_item, soap.read_members]
BOMB = b'<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"   ",
        b"busy",
        b"\xff\xfe\x00",
        b"<html><body>Sign in</body></html>",
        b"<!DOCTYPE html><html><body><br></body></html>",
        b"<xml/>",
        BOMB + envelope("&b;"),
        b'<!DOCTYPE s SYSTEM "file:///etc/passwd">' + envelope(""),
        envelope(""),
        envelope("<m:Other/>"),
        envelope("<a>" * 5000 + "</a>" * 5000),
        success("FindItem", ""),
        success("GetItem", "<m:Items/>"),
        success("ExpandDL", '<m:DLExpansion IncludesLastItemInRange="false"/>'),
        success("UpdateItem", ""),
        found("<t:Message/>"),
        found('<t:Message><t:ItemId Id="x"/></t:Message>'),
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_what_is_not_ews_is_refused(answer: bytes, read: Callable[[bytes], object]) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(answer)
    assert str(caught.value)


@given(st.integers(0, 700), st.binary(max_size=20))
def test_a_cut_or_soiled_answer_never_passes_for_another_rule(cut: int, dirt: bytes) -> None:
    whole = item(CONDITION)
    soiled = whole[:cut] + dirt
    try:
        read = soap.read_item(soiled)
    except (UnreadableError, AnsweredError):
        return
    assert read == soap.read_item(whole)


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_named_error(data: bytes) -> None:
    for read in READERS:
        with pytest.raises(UnreadableError):
            read(data)


@pytest.mark.parametrize(
    "odd",
    [
        "&#x1;",
        "&#x1F;",
        "&#11;",
        "&#xFFFE;",
        "&#xD83D;&#xDE00;",
        "&#x110000;",
        "&#x0;",
        "\x01\x1b",
    ],
)
def test_what_xml_cannot_hold_in_a_neighbour_costs_nothing(odd: str) -> None:
    page = soap.read_page(found(row("a", provider=f"Re{odd}minder") + row("b")))
    assert [(r.item_id, r.provider) for r in page.rows][1] == ("b", "JunkEmailRule")
    assert page.rows[0].provider.startswith("Re\ufffd")
    assert page.rows[0].provider.endswith("minder")


def test_only_what_xml_cannot_hold_is_replaced() -> None:
    page = soap.read_page(found(row("a", provider="&#x1;&#x9;&#65;&#xE9;&#x1F600;&amp;<![CDATA[&#x41;]]>")))
    assert page.rows[0].provider == "\ufffd\tA\xe9\U0001f600&&#x41;"


@pytest.mark.parametrize(
    "damaged",
    [
        found(row("a&#x1;")),
        item(extended("0x0E9A", "AGNv&#x1;bmQ=", "Binary")),
        item(extended("0x0E9A", "&#x1;", "Binary")),
        item(CONDITION)[:-30] + b"&#x1;",
        b"\x01\x02",
        item(CONDITION).decode().encode("utf-16") + b"\x01",
    ],
)
def test_what_counts_is_never_taken_from_a_damaged_place(damaged: bytes) -> None:
    with pytest.raises(UnreadableError):
        (soap.read_page if b"FindItem" in damaged else soap.read_item)(damaged)


def test_a_member_whose_name_xml_cannot_hold() -> None:
    mailbox = "<t:Name>Desk&#x2;</t:Name><t:EmailAddress>a@x.example</t:EmailAddress>"
    answer = success("ExpandDL", f"<m:DLExpansion><t:Mailbox>{mailbox}</t:Mailbox></m:DLExpansion>")
    assert soap.read_members(answer) == [GroupMember("a@x.example", MemberKind.MAILBOX)]


def room_answer(name: str, content: str, kind: str = "Success", code: str = "NoError") -> bytes:
    head = f'<m:{name}Response ResponseClass="{kind}"><m:ResponseCode>{code}</m:ResponseCode>'
    return envelope(f"{head}{content}</m:{name}Response>")


def test_rooms() -> None:
    address = "<t:Name>R</t:Name><t:EmailAddress>r@x.example</t:EmailAddress>"
    lists = room_answer("GetRoomLists", f"<m:RoomLists><t:Address>{address}</t:Address></m:RoomLists>")
    rooms = room_answer("GetRooms", f"<m:Rooms><t:Room><t:Id>{address}</t:Id></t:Room></m:Rooms>")
    assert soap.read_rooms(lists) == soap.read_rooms(rooms) == ["r@x.example"]
    assert soap.read_rooms(room_answer("GetRooms", "")) == []
    with pytest.raises(AnsweredError, match="ErrorNameResolutionNoResults"):
        soap.read_rooms(room_answer("GetRooms", "", "Error", "ErrorNameResolutionNoResults"))
    for odd in (success("FindItem", ""), room_answer("GetRooms", "", "Error", "odd"), envelope("")):
        with pytest.raises(UnreadableError):
            soap.read_rooms(odd)
