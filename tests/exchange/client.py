"""A plain EWS client for the tests: requests as text, answers as elements."""

import base64
import http.client
from typing import NamedTuple

from lxml import etree

from safelist.demo import DemoServer
from safelist.demo.soap import MESSAGES, SOAP, TYPES
from tests.exchange import Organisation
from tests.exchange.operations import answer

NS = {"s": SOAP, "m": MESSAGES, "t": TYPES}
RULES_ONLY = (
    '<t:IsEqualTo><t:FieldURI FieldURI="item:ItemClass"/><t:FieldURIOrConstant>'
    '<t:Constant Value="IPM.ExtendedRule.Message"/></t:FieldURIOrConstant></t:IsEqualTo>'
)
CONDITION = '<t:ExtendedFieldURI PropertyTag="0x0E9A" PropertyType="Binary"/>'
PROVIDER = '<t:ExtendedFieldURI PropertyTag="0x65EB" PropertyType="String"/>'
NAME = '<t:ExtendedFieldURI PropertyTag="0x65EC" PropertyType="String"/>'


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def xml(self) -> etree._Element:
        return etree.fromstring(self.body)


def envelope(operation: str, *, as_user: str | None = None, kind: str = "PrimarySmtpAddress", version: str) -> bytes:
    sid = f"<t:ConnectingSID><t:{kind}>{as_user}</t:{kind}></t:ConnectingSID>"
    header = f"<t:ExchangeImpersonation>{sid}</t:ExchangeImpersonation>" if as_user else ""
    return (
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><s:Header>'
        f'<t:RequestServerVersion Version="{version}"/>{header}</s:Header><s:Body>{operation}</s:Body></s:Envelope>'
    ).encode()


def shape(*properties: str, base: str = "IdOnly") -> str:
    more = f"<t:AdditionalProperties>{''.join(properties)}</t:AdditionalProperties>" if properties else ""
    return f"<m:ItemShape><t:BaseShape>{base}</t:BaseShape>{more}</m:ItemShape>"


def folder(mailbox: str | None, name: str = "inbox") -> str:
    inner = f"<t:Mailbox><t:EmailAddress>{mailbox}</t:EmailAddress></t:Mailbox>" if mailbox else ""
    return f'<t:DistinguishedFolderId Id="{name}">{inner}</t:DistinguishedFolderId>'


def find_item(
    mailbox: str | None,
    *properties: str,
    restriction: str = RULES_ONLY,
    page: tuple[object, object] | None = None,
    traversal: str = "Associated",
    base: str = "IdOnly",
    name: str = "inbox",
) -> str:
    view = ""
    if page:
        view = f'<m:IndexedPageItemView MaxEntriesReturned="{page[1]}" Offset="{page[0]}" BasePoint="Beginning"/>'
    where = f"<m:Restriction>{restriction}</m:Restriction>" if restriction else ""
    parent = f"<m:ParentFolderIds>{folder(mailbox, name)}</m:ParentFolderIds>"
    return f'<m:FindItem Traversal="{traversal}">{shape(*properties, base=base)}{view}{where}{parent}</m:FindItem>'


def get_item(ids: list[str], *properties: str, base: str = "IdOnly") -> str:
    items = "".join(f'<t:ItemId Id="{identifier}"/>' for identifier in ids)
    return f"<m:GetItem>{shape(*properties, base=base)}<m:ItemIds>{items}</m:ItemIds></m:GetItem>"


def expand_dl(address: str) -> str:
    return f"<m:ExpandDL><m:Mailbox><t:EmailAddress>{address}</t:EmailAddress></m:Mailbox></m:ExpandDL>"


def resolve_names(entry: str) -> str:
    return (
        f'<m:ResolveNames ReturnFullContactData="false"><m:UnresolvedEntry>{entry}</m:UnresolvedEntry></m:ResolveNames>'
    )


def ask(
    organisation: Organisation,
    operation: str,
    as_user: str | None = None,
    kind: str = "PrimarySmtpAddress",
    version: str = "Exchange2013",
) -> Reply:
    """Ask without HTTP."""
    asked = envelope(operation, as_user=as_user, kind=kind, version=version)
    _, answered = answer(organisation, asked)
    return Reply(answered.status, http.client.HTTPMessage(), answered.body)


def codes(reply: Reply) -> list[str | None]:
    """The response codes of an answer, those of a SOAP fault included."""
    return [element.text for element in reply.xml.iter("{*}ResponseCode")]


def item_ids(reply: Reply) -> list[str]:
    return [element.get("Id", "") for element in reply.xml.iter(f"{{{TYPES}}}ItemId")]


def change_keys(reply: Reply) -> list[str]:
    return [element.get("ChangeKey", "") for element in reply.xml.iter(f"{{{TYPES}}}ItemId")]


def values(reply: Reply, tag: int) -> list[str]:
    """The values of an extended property, item by item, where it is there."""
    named = (
        (element, element.find(f"{{{TYPES}}}ExtendedFieldURI")) for element in reply.xml.iter("{*}ExtendedProperty")
    )
    return [
        element.findtext(f"{{{TYPES}}}Value", "")
        for element, uri in named
        if uri is not None and int(uri.get("PropertyTag", ""), 0) == tag
    ]


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Client:
    """One HTTP connection to the endpoint."""

    def __init__(self, server: DemoServer, headers: dict[str, str] | None = None, timeout: float = 10.0) -> None:
        account = server.organisation.account
        self.headers = basic(account.principal, account.password) if headers is None else headers
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def post(self, body: bytes, path: str = "/EWS/Exchange.asmx", **headers: str) -> Reply:
        self.connection.request("POST", path, body, {"Content-Type": "text/xml", **self.headers, **headers})
        response = self.connection.getresponse()
        return Reply(response.status, response.headers, response.read())

    def ask(self, operation: str, as_user: str | None = None, version: str = "Exchange2013") -> Reply:
        return self.post(envelope(operation, as_user=as_user, version=version))
