"""A request's bytes in, an answer's bytes out: the EWS operations that a reader of Junk E-mail Rules needs."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from lxml import etree

from safelist.demo import soap
from safelist.demo.identifiers import guid_of, item_id
from safelist.demo.items import read_shape, write_item
from safelist.demo.organisation import AssociatedItem, DlMember, Mailbox, Organisation
from safelist.demo.soap import EwsRequest, FaultError, M, MessageError, T


class EwsAnswer(NamedTuple):
    """An HTTP status and a body."""

    status: int
    body: bytes


def answer(organisation: Organisation, body: bytes) -> EwsAnswer:
    """Answer one authenticated request."""
    try:
        return EwsAnswer(200, EwsCall(organisation, soap.read_request(body)).answer())
    except FaultError as error:
        return EwsAnswer(500, soap.fault(error))


class EwsCall:
    """One request to an organisation, on its way to an answer."""

    empty: ClassVar[Mapping[str, str]] = {"GetItem": "<m:Items/>"}
    """What a response message of class Error holds in an operation's answer, where the schema asks for it."""

    def __init__(self, organisation: Organisation, request: EwsRequest) -> None:
        self.organisation = organisation
        self.request = request
        self.impersonated: Mailbox | None = None

    def answer(self) -> bytes:
        """Answer the request by response messages. Raises FaultError for what a SOAP fault answers."""
        self.impersonated = self.impersonate()
        try:
            messages = "".join(self.messages())
        except MessageError as error:
            messages = self.failure(error)
        return soap.envelope(self.request.operation, messages)

    def messages(self) -> Iterator[str]:
        """Answer by the operation that the request names. Raises FaultError for one that is not served."""
        match self.request.operation:
            case "FindItem":
                return self.find_item()
            case "GetItem":
                return self.get_item()
            case "ExpandDL":
                return self.expand_group()
            case other:
                raise FaultError("ErrorInvalidRequest", f"The request is invalid: {other} is not served here.")

    def success(self, content: str) -> str:
        """One response message without an error."""
        return soap.success(self.request.operation, content)

    def failure(self, error: MessageError) -> str:
        """One response message of class Error."""
        return soap.failure(self.request.operation, error, self.empty.get(self.request.operation, ""))

    # -- who asks, and what may be read

    def impersonate(self) -> Mailbox | None:
        """The mailbox that the caller impersonates. Raises FaultError where it may not."""
        connecting = self.request.connecting
        if connecting is None:
            return None
        mailbox = self.connected()
        if mailbox is None:
            raise FaultError("ErrorNonExistentMailbox")
        if connecting.kind == "PrimarySmtpAddress" and connecting.value.lower() != mailbox.address.lower():
            raise FaultError("ErrorNonPrimarySmtpAddress", values={"Primary": mailbox.address})
        if not mailbox.impersonation:
            raise FaultError("ErrorImpersonateUserDenied")
        return mailbox

    def connected(self) -> Mailbox | None:
        """The mailbox that the impersonation header names."""
        return self.organisation.find(self.request.connecting.value) if self.request.connecting else None

    def open(self, address: str | None) -> Mailbox:
        """The mailbox that a folder of the request lies in. Raises MessageError where it may not be read."""
        mailbox = self.impersonated if address is None else self.organisation.find(address)
        if mailbox is None and address is None:
            mailbox = self.organisation.find(self.organisation.account.principal)
        if mailbox is None:
            raise MessageError("ErrorNonExistentMailbox" if address else "ErrorMissingEmailAddress")
        return self.allow(mailbox)

    def allow(self, mailbox: Mailbox) -> Mailbox:
        """The mailbox that is read where the request names this one. Raises MessageError without a right to it."""
        allowed = mailbox.delegate if self.impersonated is None else mailbox.address == self.impersonated.address
        if not allowed:
            raise MessageError("ErrorAccessDenied")
        return mailbox

    def items(self, mailbox: Mailbox) -> tuple[AssociatedItem, ...]:
        """The associated items of the Inbox."""
        return mailbox.items

    # -- FindItem

    def find_item(self) -> Iterator[str]:
        """Answer FindItem folder by folder."""
        for folder in self.request.element.iterfind(f"{M}ParentFolderIds/*"):
            try:
                yield self.success(self._found(folder))
            except MessageError as error:
                yield self.failure(error)

    def _found(self, folder: etree._Element) -> str:
        element = self.request.element
        mailbox, name = self.folder(folder)
        restriction = element.find(f"{M}Restriction")
        here = self.items(mailbox) if element.get("Traversal") == "Associated" and name == "inbox" else ()
        found = [item for item in here if restriction is None or self.matches(item, restriction)]
        start, end = self.page(element.find(f"{M}IndexedPageItemView"), len(found))
        items = "".join(self.write_items(mailbox, found[start:end], limited=True))
        last = "true" if end >= len(found) else "false"
        return (
            f'<m:RootFolder IndexedPagingOffset="{end}" TotalItemsInView="{len(found)}" '
            f'IncludesLastItemInRange="{last}"><t:Items>{items}</t:Items></m:RootFolder>'
        )

    def folder(self, element: etree._Element) -> tuple[Mailbox, str]:
        """The mailbox and the distinguished name of a folder of the request: here the Inbox only."""
        if element.tag != f"{T}DistinguishedFolderId" or element.get("Id") != "inbox":
            raise MessageError("ErrorFolderNotFound", "The specified folder could not be found in the store.")
        return self.open(element.findtext(f"{T}Mailbox/{T}EmailAddress")), "inbox"

    def matches(self, item: AssociatedItem, restriction: etree._Element) -> bool:
        """Whether an item is one that is looked for: here by its class only."""
        field = restriction.find(f"{T}IsEqualTo/{T}FieldURI")
        constant = restriction.find(f"{T}IsEqualTo/{T}FieldURIOrConstant/{T}Constant")
        if field is None or constant is None or field.get("FieldURI") != "item:ItemClass":
            raise MessageError("ErrorUnsupportedQueryFilter", "Only the class of an item can be searched for.")
        return item.item_class.lower() == constant.get("Value", "").lower()

    def page(self, view: etree._Element | None, total: int) -> tuple[int, int]:
        """The part of ``total`` items to return: from, to."""
        if view is None:
            return 0, total
        try:
            offset, size = int(view.get("Offset", "0")), int(view.get("MaxEntriesReturned", str(total)))
        except ValueError as error:
            raise MessageError("ErrorInvalidIndexedPagingParameters") from error
        return min(offset, total), min(offset + size, total)

    def write_items(self, mailbox: Mailbox, items: list[AssociatedItem], *, limited: bool) -> Iterator[str]:
        """The items as XML, in the request's shape; ``limited``: long values cut as FindItem does."""
        shape = read_shape(self.request.element, limited=limited)
        return (write_item(mailbox, item, shape) for item in items)

    # -- GetItem

    def get_item(self) -> Iterator[str]:
        """Answer GetItem id by id."""
        for element in self.request.element.iterfind(f"{M}ItemIds/*"):
            try:
                mailbox, item = self.item(element.get("Id", ""))
                written = "".join(self.write_items(mailbox, [item], limited=False))
                yield self.success(f"<m:Items>{written}</m:Items>")
            except MessageError as error:
                yield self.failure(error)

    def item(self, identifier: str) -> tuple[Mailbox, AssociatedItem]:
        """The item of this id and its mailbox. Raises MessageError."""
        guid = guid_of(identifier)
        if guid is None:
            raise MessageError("ErrorInvalidIdMalformed")
        mailbox = self.organisation.by_guid(guid)
        if mailbox is None:
            raise MessageError("ErrorItemNotFound")
        owner = self.allow(mailbox)
        item = next((item for item in self.items(mailbox) if item_id(guid, item.number) == identifier), None)
        if item is None:
            raise MessageError("ErrorItemNotFound")
        return owner, item

    # -- ExpandDL

    def expand_group(self) -> Iterator[str]:
        """Answer ExpandDL: the members of a group, one level deep."""
        address = self.request.element.findtext(f"{M}Mailbox/{T}EmailAddress", "")
        group = self.organisation.groups.get(address.lower())
        if group is None:
            yield self.failure(MessageError("ErrorNameResolutionNoResults"))
            return
        members = "".join(write_member(member) for member in group.members)
        shown = f'TotalItemsInView="{len(group.members)}" IncludesLastItemInRange="true"'
        yield self.success(f"<m:DLExpansion {shown}>{members}</m:DLExpansion>")


def write_member(member: DlMember) -> str:
    """A t:Mailbox."""
    address = soap.text_of(member.address)
    return (
        f"<t:Mailbox><t:Name>{address}</t:Name><t:EmailAddress>{address}</t:EmailAddress>"
        f"<t:RoutingType>SMTP</t:RoutingType><t:MailboxType>{member.kind}</t:MailboxType></t:Mailbox>"
    )
