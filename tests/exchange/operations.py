"""The operations of Exchange Server 2016 that other clients use too, its log, and the faults in its answers."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, NamedTuple

from lxml import etree

from safelist import demo
from safelist.demo import soap
from safelist.demo.identifiers import guid_of
from safelist.demo.operations import EwsCall, write_member
from safelist.demo.organisation import CONDITION, AssociatedItem, DlMember
from safelist.demo.soap import EwsRequest, FaultError, M, MessageError, T
from tests.exchange import items
from tests.exchange.faults import Fault, Trouble
from tests.exchange.identifiers import folder_id
from tests.exchange.organisation import Mailbox, Organisation
from tests.exchange.restriction import matches

VERSIONS = (
    "Exchange2007",
    "Exchange2007_SP1",
    "Exchange2010",
    "Exchange2010_SP1",
    "Exchange2010_SP2",
    "Exchange2013",
    "Exchange2013_SP1",
    "Exchange2015",
    "Exchange2016",
)
"""The request versions that an Exchange Server 2016 knows, oldest first."""

TEXTS = {
    "ErrorExceededConnectionCount": "You have exceeded the available concurrent connections for your account.  "
    "Try again once your other requests have completed.",
    "ErrorInternalServerError": "An internal server error occurred. The operation failed.",
    "ErrorInvalidServerVersion": "The specified server version is invalid.",
    "ErrorMailboxMoveInProgress": "The mailbox is being moved. Try again later.",
    "ErrorMailboxStoreUnavailable": "The mailbox database is temporarily unavailable.",
    "ErrorServerBusy": "The server cannot service this request right now. Try again later.",
}
_INNER_BUSY = "The server cannot service this request right now."
_GARBAGE = "%%% no base64 \u2603 %%%"
_FOLDERS = {"root": "", "msgfolderroot": "Top of Information Store", "inbox": "Inbox"}
_NO_FOLDER = "The specified folder could not be found in the store."
_CANDIDATES = 100


class Asked(NamedTuple):
    """For the log: the operation and the mailbox (or group, or name) that it is about; "" for none."""

    operation: str
    mailbox: str


class Answer(NamedTuple):
    """An HTTP status, a body, and the fault that the wire has still to add."""

    status: int
    body: bytes
    fault: Fault | None = None


def answer(organisation: Organisation, body: bytes) -> tuple[Asked, Answer]:
    """Answer one authenticated request."""
    try:
        request = soap.read_request(body)
        _check_version(request)
    except FaultError as error:
        return Asked("", ""), Answer(500, soap.fault(error))
    call = FaultyCall(organisation, request)
    asked = Asked(request.operation, call.subject())
    mailbox = organisation.find(asked.mailbox) if asked.mailbox else None
    call.fault = (mailbox.faults.take(asked.operation) if mailbox else None) or organisation.faults.take(
        asked.operation
    )
    try:
        return asked, Answer(200, call.answer(), call.fault)
    except FaultError as error:
        return asked, Answer(500, soap.fault(error), call.fault)


def _check_version(request: EwsRequest) -> None:
    if _version(request) not in VERSIONS:
        raise _fault("ErrorInvalidServerVersion")


def _version(request: EwsRequest) -> str:
    element = None if request.header is None else request.header.find(f"{T}RequestServerVersion")
    return VERSIONS[0] if element is None else element.get("Version", "")


def _fault(code: str, values: Mapping[str, str | int] | None = None) -> FaultError:
    return FaultError(code, TEXTS.get(code), values or {})


def connection_count() -> bytes:
    """The SOAP fault to one request more than may be answered at a time."""
    return soap.fault(_fault("ErrorExceededConnectionCount"))


class FaultyCall(EwsCall):
    """A request to Exchange Server 2016, with the fault that strikes it."""

    empty: ClassVar[Mapping[str, str]] = {
        **EwsCall.empty,
        "GetFolder": "<m:Folders/>",
        "GetServerTimeZones": "<m:TimeZoneDefinitions/>",
    }
    organisation: Organisation

    def __init__(self, organisation: Organisation, request: EwsRequest) -> None:
        super().__init__(organisation, request)
        self.fault: Fault | None = None

    def subject(self) -> str:
        """Whose answer this request is after; an address that nobody has stays as it is."""
        if self.request.connecting is not None:
            mailbox = self.connected()
            return mailbox.address if mailbox else self.request.connecting.value
        address = self.request.element.find(f".//{T}EmailAddress")
        if address is not None and address.text:
            return address.text
        found = self.request.element.find(f".//{T}ItemId")
        guid = guid_of(found.get("Id", "")) if found is not None else None
        owner = self.organisation.by_guid(guid) if guid else None
        return owner.address if owner else ""

    def connected(self) -> Mailbox | None:
        connecting = self.request.connecting
        if connecting is None:
            return None
        if connecting.kind == "SID":
            return self.organisation.by_sid(connecting.value)
        return self.organisation.find(connecting.value)

    def answer(self) -> bytes:
        self.raise_fault()
        match self.request.operation:
            case "GetRoomLists":
                return self._single(self.room_lists())
            case "GetRooms":
                return self._single(self.rooms())
        return super().answer()

    def messages(self) -> Iterator[str]:
        if self.fault is not None and self.fault.trouble in (Trouble.MESSAGE_ERROR, Trouble.SERVER_BUSY_INNER):
            raise _message_error(self.fault)
        match self.request.operation:
            case "GetFolder":
                return self.get_folder()
            case "ResolveNames":
                return self.resolve_names()
            case "GetServerTimeZones":
                return self.time_zones()
            case "ConvertId":
                return self.convert_id()
        return super().messages()

    # -- faults

    def raise_fault(self) -> None:
        """Raise the FaultError of a fault that is one of SOAP."""
        match self.fault and self.fault.trouble:
            case Trouble.SERVER_BUSY if self.fault:
                raise _fault("ErrorServerBusy", _hint(self.fault))
            case Trouble.CONNECTION_COUNT:
                raise _fault("ErrorExceededConnectionCount")
            case Trouble.SERVER_VERSION:
                raise _fault("ErrorInvalidServerVersion")
            case Trouble.SOAP_FAULT if self.fault:
                raise _fault(self.fault.code)

    def allow(self, mailbox: demo.Mailbox) -> demo.Mailbox:
        if self.fault and self.fault.trouble is Trouble.OTHER_MAILBOX:
            return self.organisation.find(self.fault.other) or mailbox
        return super().allow(mailbox)

    def items(self, mailbox: demo.Mailbox) -> tuple[AssociatedItem, ...]:
        return tuple(_spoiled(item, self.fault) if self.fault else item for item in mailbox.items)

    def item(self, identifier: str) -> tuple[demo.Mailbox, AssociatedItem]:
        mailbox, wanted = super().item(identifier)
        if mailbox.guid == guid_of(identifier):
            return mailbox, wanted
        item = next((item for item in self.items(mailbox) if item.provider == wanted.provider), None)
        if item is None:
            raise MessageError("ErrorItemNotFound")
        return mailbox, item

    # -- FindItem and GetItem

    def find_item(self) -> Iterator[str]:
        if _version(self.request) in VERSIONS[:2] and self.request.element.get("Traversal") == "Associated":
            raise FaultError("ErrorSchemaValidation", "The request failed schema validation: Traversal 'Associated'.")
        return super().find_item()

    def folder(self, element: etree._Element) -> tuple[demo.Mailbox, str]:
        if element.tag == f"{T}DistinguishedFolderId":
            name = element.get("Id", "")
            if name not in _FOLDERS:
                raise MessageError("ErrorFolderNotFound", _NO_FOLDER)
            return self.open(element.findtext(f"{T}Mailbox/{T}EmailAddress")), name
        identifier = element.get("Id", "")
        guid = guid_of(identifier)
        if guid is None:
            raise MessageError("ErrorInvalidIdMalformed")
        mailbox = self.organisation.by_guid(guid)
        name = next((name for name in _FOLDERS if mailbox and folder_id(guid, name) == identifier), "")
        if mailbox is None or not name:
            raise MessageError("ErrorFolderNotFound", _NO_FOLDER)
        return self.allow(mailbox), name

    def matches(self, item: AssociatedItem, restriction: etree._Element) -> bool:
        return matches(item, restriction)

    def page(self, view: etree._Element | None, total: int) -> tuple[int, int]:
        limit = self.organisation.find_limit
        if view is None:
            return 0, min(total, limit)
        try:
            size, offset = min(int(view.get("MaxEntriesReturned", limit)), limit), int(view.get("Offset", "0"))
        except ValueError as error:
            raise MessageError("ErrorInvalidIndexedPagingParameters") from error
        if size < 1 or offset < 0:
            raise MessageError("ErrorInvalidIndexedPagingParameters")
        if view.get("BasePoint") == "End":
            end = max(total - offset, 0)
            return max(end - size, 0), end
        return min(offset, total), min(offset + size, total)

    def write_items(self, mailbox: demo.Mailbox, found: list[AssociatedItem], *, limited: bool) -> Iterator[str]:
        shape = items.read_shape(self.request.element, limited=limited)
        return (items.write_item(mailbox, item, shape) for item in found)

    # -- the other operations

    def get_folder(self) -> Iterator[str]:
        for element in self.request.element.iterfind(f"{M}FolderIds/*"):
            try:
                mailbox, name = self.folder(element)
                yield self.success(f"<m:Folders>{_write_folder(mailbox, name)}</m:Folders>")
            except MessageError as error:
                yield self.failure(error)

    def resolve_names(self) -> Iterator[str]:
        entry = self.request.element.findtext(f"{M}UnresolvedEntry", "").strip().lower()
        found = self._named(entry)
        if not found:
            yield self.failure(MessageError("ErrorNameResolutionNoResults"))
            return
        shown = "".join(f"<t:Resolution>{write_member(member)}</t:Resolution>" for member in found[:_CANDIDATES])
        last = "true" if len(found) <= _CANDIDATES else "false"
        paging = f'TotalItemsInView="{min(len(found), _CANDIDATES)}" IncludesLastItemInRange="{last}"'
        content = f"<m:ResolutionSet {paging}>{shown}</m:ResolutionSet>"
        yield self.success(content) if len(found) == 1 else _several(content)

    def _named(self, entry: str) -> list[DlMember]:
        address = entry.removeprefix("smtp:")
        boxes, groups = self.organisation.mailboxes, self.organisation.groups
        found = [DlMember(box.address) for key, box in boxes.items() if key.startswith(address)]
        found += [DlMember(group.address, "PublicDL") for key, group in groups.items() if key.startswith(address)]
        return found if entry == address else [member for member in found if member.address.lower() == address]

    def time_zones(self) -> Iterator[str]:
        zone = '<t:TimeZoneDefinition Id="UTC" Name="(UTC) Coordinated Universal Time"/>'
        yield self.success(f"<m:TimeZoneDefinitions>{zone}</m:TimeZoneDefinitions>")

    def convert_id(self) -> Iterator[str]:
        for _ in self.request.element.iterfind(f"{M}SourceIds/*"):
            yield self.failure(MessageError("ErrorInvalidIdMalformed"))

    # -- operations whose response is itself the one message

    def room_lists(self) -> str:
        lists = (_write_address("Address", name) for name in self.organisation.room_lists)
        return f"<m:RoomLists>{''.join(lists)}</m:RoomLists>"

    def rooms(self) -> str:
        rooms = self.organisation.room_lists.get(self.request.element.findtext(f"{M}RoomList/{T}EmailAddress", ""))
        if rooms is None:
            raise FaultError("ErrorNameResolutionNoResults")
        written = "".join(f"<t:Room>{_write_address('Id', room)}</t:Room>" for room in rooms)
        return f"<m:Rooms>{written}</m:Rooms>"

    def _single(self, content: str) -> bytes:
        name = f"m:{self.request.operation}Response"
        head = f'<{name} xmlns:m="{soap.MESSAGES}" xmlns:t="{soap.TYPES}" ResponseClass="Success">'
        inner = f"{head}<m:ResponseCode>NoError</m:ResponseCode>{content}</{name}>"
        return f"{soap.ENVELOPE_HEAD}{inner}{soap.ENVELOPE_TAIL}".encode()


def _hint(fault: Fault) -> dict[str, str | int]:
    return {"BackOffMilliseconds": fault.back_off_ms} if fault.back_off_ms else {}


def _message_error(fault: Fault) -> MessageError:
    if fault.trouble is Trouble.MESSAGE_ERROR:
        return MessageError(fault.code, TEXTS.get(fault.code))
    inner = {"InnerErrorMessageText": _INNER_BUSY, "InnerErrorResponseCode": "ErrorServerBusy"}
    return MessageError("ErrorInternalServerError", TEXTS["ErrorInternalServerError"], values={**inner, **_hint(fault)})


def _spoiled(item: AssociatedItem, fault: Fault) -> AssociatedItem:
    """The item as this fault shows it."""
    condition = item.properties.get(CONDITION)
    if fault.trouble is Trouble.STALE_CHANGE_KEY:
        return replace(item, revision=item.revision - 1)
    if not isinstance(condition, bytes):
        return item
    rest = {key: value for key, value in item.properties.items() if key != CONDITION}
    match fault.trouble:
        case Trouble.EMPTY_BINARY:
            return replace(item, properties={**rest, CONDITION: b""})
        case Trouble.MISSING_CONDITION:
            return replace(item, properties=rest)
        case Trouble.GARBAGE_BASE64:
            return replace(item, properties={**rest, CONDITION: _GARBAGE})
        case Trouble.TRUNCATED:
            return replace(item, properties={**rest, CONDITION: condition[: fault.size]})
    return item


def _several(content: str) -> str:
    """A response message of class Warning: more than one name was found."""
    name = "m:ResolveNamesResponseMessage"
    return (
        f'<{name} ResponseClass="Warning"><m:MessageText>Multiple results were found.</m:MessageText>'
        "<m:ResponseCode>ErrorNameResolutionMultipleResults</m:ResponseCode>"
        f"<m:DescriptiveLinkKey>0</m:DescriptiveLinkKey>{content}</{name}>"
    )


def _write_folder(mailbox: demo.Mailbox, name: str) -> str:
    parent = "msgfolderroot" if name == "inbox" else "root"
    kind = "<t:FolderClass>IPF.Note</t:FolderClass>" if name == "inbox" else ""
    return (
        f'<t:Folder><t:FolderId Id="{folder_id(mailbox.guid, name)}" ChangeKey="AQAAAA=="/>'
        f'<t:ParentFolderId Id="{folder_id(mailbox.guid, parent)}" ChangeKey="AQAAAA=="/>{kind}'
        f"<t:DisplayName>{_FOLDERS[name]}</t:DisplayName><t:TotalCount>0</t:TotalCount>"
        f"<t:ChildFolderCount>{int(name != 'inbox')}</t:ChildFolderCount><t:UnreadCount>0</t:UnreadCount></t:Folder>"
    )


def _write_address(tag: str, address: str) -> str:
    text = soap.text_of(address)
    return f"<t:{tag}><t:Name>{text}</t:Name><t:EmailAddress>{text}</t:EmailAddress></t:{tag}>"
