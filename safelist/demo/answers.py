"""A request's bytes in, an answer's bytes out: the operations that a reader of Junk E-mail Rules needs.

Authentication, sockets and the troubles of the wire are ``server``'s.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lxml import etree

from safelist.demo import soap
from safelist.demo.faults import Fault, Trouble
from safelist.demo.identifiers import folder_id, id_parts
from safelist.demo.items import read_shape, write_item
from safelist.demo.organisation import Item, Mailbox, Member, Organisation, find_by_id
from safelist.demo.restriction import matches
from safelist.demo.soap import Connecting, FaultError, M, MessageError, Request, T

_INNER_BUSY = "The server cannot service this request right now."


class Answer(NamedTuple):
    """An HTTP status, a body, and the fault that the wire has still to add."""

    status: int
    body: bytes
    fault: Fault | None = None


class Asked(NamedTuple):
    """For the log: the operation and the mailbox (or group, or name) that it is about; "" for none."""

    operation: str
    mailbox: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What an operation answers from: the organisation, who is impersonated, the fault that strikes."""

    organisation: Organisation
    impersonated: Mailbox | None
    fault: Fault | None

    def open(self, address: str | None) -> Mailbox:
        """The mailbox that a folder of the request lies in. Raises MessageError where it may not be read."""
        mailbox = self.impersonated if address is None else self.organisation.find(address)
        if mailbox is None and address is None:
            mailbox = self.organisation.find(self.organisation.account.principal)
        if mailbox is None:
            raise MessageError("ErrorNonExistentMailbox" if address else "ErrorMissingEmailAddress")
        return self.allow(mailbox)

    def allow(self, mailbox: Mailbox) -> Mailbox:
        """The mailbox that is really answered from. Raises MessageError where the caller has no right to it."""
        if self.fault and self.fault.trouble is Trouble.OTHER_MAILBOX:
            return self.organisation.find(self.fault.other) or mailbox
        allowed = mailbox.delegate if self.impersonated is None else mailbox.address == self.impersonated.address
        if not allowed:
            raise MessageError("ErrorAccessDenied")
        return mailbox


def answer(organisation: Organisation, body: bytes) -> tuple[Asked, Answer]:
    """Answer one authenticated request."""
    try:
        request = soap.read_request(body)
    except FaultError as error:
        return Asked("", ""), Answer(500, soap.fault(error))
    asked = Asked(request.operation, _subject(organisation, request))
    mailbox = organisation.find(asked.mailbox) if asked.mailbox else None
    fault = (mailbox.faults.take(asked.operation) if mailbox else None) or organisation.faults.take(asked.operation)
    try:
        return asked, Answer(200, _messages(organisation, request, fault), fault)
    except FaultError as error:
        return asked, Answer(500, soap.fault(error), fault)


def _messages(organisation: Organisation, request: Request, fault: Fault | None) -> bytes:
    _raise_fault(fault)
    single, operation = _SINGLE.get(request.operation), _OPERATIONS.get(request.operation)
    if single is not None:
        return soap.single(request.operation, single(organisation, request))
    if operation is None:
        raise FaultError("ErrorInvalidRequest", f"The request is invalid: {request.operation} is not served here.")
    scene = Scene(organisation, _impersonate(organisation, request.connecting), fault)
    try:
        if fault is not None and fault.trouble in (Trouble.MESSAGE_ERROR, Trouble.SERVER_BUSY_INNER):
            raise _message_error(fault)
        return soap.envelope(request.operation, "".join(operation(scene, request)))
    except MessageError as error:
        return soap.envelope(request.operation, soap.failure(request.operation, error))


def _raise_fault(fault: Fault | None) -> None:
    match fault and fault.trouble:
        case Trouble.SERVER_BUSY if fault:
            raise FaultError("ErrorServerBusy", values=_hint(fault))
        case Trouble.CONNECTION_COUNT:
            raise FaultError("ErrorExceededConnectionCount")
        case Trouble.SERVER_VERSION:
            raise FaultError("ErrorInvalidServerVersion")
        case Trouble.SOAP_FAULT if fault:
            raise FaultError(fault.code)


def _hint(fault: Fault) -> dict[str, str | int]:
    return {"BackOffMilliseconds": fault.back_off_ms} if fault.back_off_ms else {}


def _message_error(fault: Fault) -> MessageError:
    if fault.trouble is Trouble.MESSAGE_ERROR:
        return MessageError(fault.code)
    inner = {"InnerErrorMessageText": _INNER_BUSY, "InnerErrorResponseCode": "ErrorServerBusy"}
    return MessageError("ErrorInternalServerError", values={**inner, **_hint(fault)})


def _impersonate(organisation: Organisation, connecting: Connecting | None) -> Mailbox | None:
    if connecting is None:
        return None
    mailbox = _connected(organisation, connecting)
    if mailbox is None:
        raise FaultError("ErrorNonExistentMailbox")
    if connecting.kind == "PrimarySmtpAddress" and connecting.value.lower() != mailbox.address.lower():
        raise FaultError("ErrorNonPrimarySmtpAddress", values={"Primary": mailbox.address})
    if not mailbox.impersonation:
        raise FaultError("ErrorImpersonateUserDenied")
    return mailbox


def _connected(organisation: Organisation, connecting: Connecting) -> Mailbox | None:
    if connecting.kind == "SID":
        return organisation.by_sid(connecting.value)
    return organisation.find(connecting.value)


def _subject(organisation: Organisation, request: Request) -> str:
    """Whose answer this request is after; an address that nobody has stays as it is."""
    if request.connecting is not None:
        mailbox = _connected(organisation, request.connecting)
        return mailbox.address if mailbox else request.connecting.value
    address = request.element.find(f".//{T}EmailAddress")
    if address is not None and address.text:
        return address.text
    found = request.element.find(f".//{T}ItemId")
    owner = find_by_id(organisation, found.get("Id", "")) if found is not None else None
    return owner[0].address if owner else ""


def _find_item(scene: Scene, request: Request) -> Iterator[str]:
    if request.version in soap.VERSIONS[:2] and request.element.get("Traversal") == "Associated":
        raise FaultError("ErrorSchemaValidation", "The request failed schema validation: Traversal 'Associated'.")
    for folder in request.element.iterfind(f"{M}ParentFolderIds/*"):
        try:
            yield soap.success("FindItem", _found(scene, request.element, folder))
        except MessageError as error:
            yield soap.failure("FindItem", error)


def _found(scene: Scene, element: etree._Element, folder: etree._Element) -> str:
    mailbox, name = _folder(scene, folder)
    restriction = element.find(f"{M}Restriction")
    here = mailbox.items if element.get("Traversal") == "Associated" and name == "inbox" else ()
    found = [item for item in here if restriction is None or matches(item, restriction)]
    shape = read_shape(element, limited=True)
    start, end = _page(element.find(f"{M}IndexedPageItemView"), len(found), scene.organisation.find_limit)
    items = "".join(write_item(mailbox, item, shape, scene.fault) for item in found[start:end])
    last = "true" if end >= len(found) else "false"
    return (
        f'<m:RootFolder IndexedPagingOffset="{end}" TotalItemsInView="{len(found)}" IncludesLastItemInRange="{last}">'
        f"<t:Items>{items}</t:Items></m:RootFolder>"
    )


def _page(view: etree._Element | None, total: int, limit: int) -> tuple[int, int]:
    if view is None:
        return 0, min(total, limit)
    try:
        size = min(int(view.get("MaxEntriesReturned", str(limit))), limit)
        offset = int(view.get("Offset", "0"))
    except ValueError as error:
        raise MessageError("ErrorInvalidIndexedPagingParameters") from error
    if size < 1 or offset < 0:
        raise MessageError("ErrorInvalidIndexedPagingParameters")
    if view.get("BasePoint") == "End":
        end = max(total - offset, 0)
        return max(end - size, 0), end
    return min(offset, total), min(offset + size, total)


def _get_item(scene: Scene, request: Request) -> Iterator[str]:
    shape = read_shape(request.element, limited=False)
    for element in request.element.iterfind(f"{M}ItemIds/*"):
        try:
            mailbox, item = _item(scene, element.get("Id", ""))
            written = write_item(mailbox, item, shape, scene.fault)
            yield soap.success("GetItem", f"<m:Items>{written}</m:Items>")
        except MessageError as error:
            yield soap.failure("GetItem", error)


def _item(scene: Scene, text: str) -> tuple[Mailbox, Item]:
    if id_parts(text) is None:
        raise MessageError("ErrorInvalidIdMalformed")
    found = find_by_id(scene.organisation, text)
    if found is None:
        raise MessageError("ErrorItemNotFound")
    owner = scene.allow(found[0])
    if owner is not found[0]:
        return owner, _same_kind(owner, found[1])
    if found[1] is None:
        raise MessageError("ErrorItemNotFound")
    return owner, found[1]


def _same_kind(owner: Mailbox, wanted: Item | None) -> Item:
    """The other mailbox's item of the same provider, for an answer that is about the wrong mailbox."""
    item = next((item for item in owner.items if wanted and item.provider == wanted.provider), None)
    if item is None:
        raise MessageError("ErrorItemNotFound")
    return item


_FOLDERS = {"root": "", "msgfolderroot": "Top of Information Store", "inbox": "Inbox"}


def _folder(scene: Scene, element: etree._Element) -> tuple[Mailbox, str]:
    """The mailbox and distinguished name of a t:DistinguishedFolderId or t:FolderId."""
    if element.tag == f"{T}DistinguishedFolderId":
        name = element.get("Id", "")
        if name not in _FOLDERS:
            raise MessageError("ErrorFolderNotFound", "The specified folder could not be found in the store.")
        return scene.open(element.findtext(f"{T}Mailbox/{T}EmailAddress")), name
    identifier = element.get("Id", "")
    parts = id_parts(identifier)
    if parts is None:
        raise MessageError("ErrorInvalidIdMalformed")
    mailbox = scene.organisation.by_guid(parts[0])
    name = next((name for name in _FOLDERS if mailbox and folder_id(mailbox.guid, name) == identifier), "")
    if mailbox is None or not name:
        raise MessageError("ErrorFolderNotFound", "The specified folder could not be found in the store.")
    return scene.allow(mailbox), name


def _get_folder(scene: Scene, request: Request) -> Iterator[str]:
    for element in request.element.iterfind(f"{M}FolderIds/*"):
        try:
            mailbox, name = _folder(scene, element)
            yield soap.success("GetFolder", f"<m:Folders>{_write_folder(mailbox, name)}</m:Folders>")
        except MessageError as error:
            yield soap.failure("GetFolder", error)


def _write_folder(mailbox: Mailbox, name: str) -> str:
    parent = "msgfolderroot" if name == "inbox" else "root"
    kind = "<t:FolderClass>IPF.Note</t:FolderClass>" if name == "inbox" else ""
    return (
        f'<t:Folder><t:FolderId Id="{folder_id(mailbox.guid, name)}" ChangeKey="AQAAAA=="/>'
        f'<t:ParentFolderId Id="{folder_id(mailbox.guid, parent)}" ChangeKey="AQAAAA=="/>{kind}'
        f"<t:DisplayName>{_FOLDERS[name]}</t:DisplayName><t:TotalCount>0</t:TotalCount>"
        f"<t:ChildFolderCount>{int(name != 'inbox')}</t:ChildFolderCount><t:UnreadCount>0</t:UnreadCount></t:Folder>"
    )


_ALL_SHOWN = 'TotalItemsInView="{0}" IncludesLastItemInRange="true"'
_CANDIDATES = 100


def _resolve_names(scene: Scene, request: Request) -> Iterator[str]:
    entry = request.element.findtext(f"{M}UnresolvedEntry", "").strip().lower()
    address = entry.removeprefix("smtp:")
    found = [Member(box.address) for key, box in scene.organisation.mailboxes.items() if key.startswith(address)]
    found += [Member(g.address, "PublicDL") for key, g in scene.organisation.groups.items() if key.startswith(address)]
    if entry != address:
        found = [member for member in found if member.address.lower() == address]
    if not found:
        yield soap.failure("ResolveNames", MessageError("ErrorNameResolutionNoResults"))
        return
    shown = "".join(f"<t:Resolution>{_write_member(member)}</t:Resolution>" for member in found[:_CANDIDATES])
    last = "true" if len(found) <= _CANDIDATES else "false"
    paging = f'TotalItemsInView="{min(len(found), _CANDIDATES)}" IncludesLastItemInRange="{last}"'
    content = f"<m:ResolutionSet {paging}>{shown}</m:ResolutionSet>"
    if len(found) == 1:
        yield soap.success("ResolveNames", content)
    else:
        error = MessageError("ErrorNameResolutionMultipleResults")
        yield soap.failure("ResolveNames", error, kind="Warning", content=content)


def _expand_dl(scene: Scene, request: Request) -> Iterator[str]:
    address = request.element.findtext(f"{M}Mailbox/{T}EmailAddress", "")
    group = scene.organisation.groups.get(address.lower())
    if group is None:
        yield soap.failure("ExpandDL", MessageError("ErrorNameResolutionNoResults"))
        return
    members = "".join(_write_member(member) for member in group.members)
    paging = _ALL_SHOWN.format(len(group.members))
    yield soap.success("ExpandDL", f"<m:DLExpansion {paging}>{members}</m:DLExpansion>")


def _write_member(member: Member) -> str:
    address = soap.text_of(member.address)
    return (
        f"<t:Mailbox><t:Name>{address}</t:Name><t:EmailAddress>{address}</t:EmailAddress>"
        f"<t:RoutingType>SMTP</t:RoutingType><t:MailboxType>{member.kind}</t:MailboxType></t:Mailbox>"
    )


def _time_zones(scene: Scene, request: Request) -> Iterator[str]:
    zone = '<t:TimeZoneDefinition Id="UTC" Name="(UTC) Coordinated Universal Time"/>'
    yield soap.success("GetServerTimeZones", f"<m:TimeZoneDefinitions>{zone}</m:TimeZoneDefinitions>")


def _convert_id(scene: Scene, request: Request) -> Iterator[str]:
    for _ in request.element.iterfind(f"{M}SourceIds/*"):
        yield soap.failure("ConvertId", MessageError("ErrorInvalidIdMalformed"))


def _get_room_lists(organisation: Organisation, request: Request) -> str:
    return f"<m:RoomLists>{''.join(_write_address('Address', name) for name in organisation.room_lists)}</m:RoomLists>"


def _get_rooms(organisation: Organisation, request: Request) -> str:
    rooms = organisation.room_lists.get(request.element.findtext(f"{M}RoomList/{T}EmailAddress", ""))
    if rooms is None:
        raise FaultError("ErrorNameResolutionNoResults")
    written = "".join(f"<t:Room>{_write_address('Id', room)}</t:Room>" for room in rooms)
    return f"<m:Rooms>{written}</m:Rooms>"


def _write_address(tag: str, address: str) -> str:
    text = soap.text_of(address)
    return f"<t:{tag}><t:Name>{text}</t:Name><t:EmailAddress>{text}</t:EmailAddress></t:{tag}>"


_SINGLE: Mapping[str, Callable[[Organisation, Request], str]] = {
    "GetRoomLists": _get_room_lists,
    "GetRooms": _get_rooms,
}
_OPERATIONS: Mapping[str, Callable[[Scene, Request], Iterator[str]]] = {
    "FindItem": _find_item,
    "GetItem": _get_item,
    "GetFolder": _get_folder,
    "ResolveNames": _resolve_names,
    "ExpandDL": _expand_dl,
    "GetServerTimeZones": _time_zones,
    "ConvertId": _convert_id,
}
