"""SOAP as Exchange speaks it: a request read from bytes; envelopes, response messages and faults written."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"
M = f"{{{MESSAGES}}}"
T = f"{{{TYPES}}}"
_S = f"{{{SOAP}}}"

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)

ENVELOPE_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>'
    f'<s:Envelope xmlns:s="{SOAP}"><s:Header>'
    '<h:ServerVersionInfo MajorVersion="15" MinorVersion="1" MajorBuildNumber="2507" MinorBuildNumber="39" '
    f'Version="V2017_07_11" xmlns:h="{TYPES}"/></s:Header><s:Body>'
)
ENVELOPE_TAIL = "</s:Body></s:Envelope>"

Values = Mapping[str, str | int]

TEXTS = {
    "ErrorAccessDenied": "Access is denied. Check credentials and try again.",
    "ErrorImpersonateUserDenied": "The account does not have permission to impersonate the requested user.",
    "ErrorInvalidIdMalformed": "Id is malformed.",
    "ErrorItemNotFound": "The specified object was not found in the store.",
    "ErrorMissingEmailAddress": "When making a request as an account that does not have a mailbox, you must specify "
    "the mailbox primary SMTP address for any distinguished folder Ids.",
    "ErrorNameResolutionNoResults": "No results were found.",
    "ErrorNonExistentMailbox": "The SMTP address has no mailbox associated with it.",
    "ErrorNonPrimarySmtpAddress": "The primary SMTP address must be specified when referencing a mailbox.",
}
"""What Exchange says with a response code, where no other text is given."""


class FaultError(Exception):
    """The whole request is refused by a SOAP fault. ``values`` go into its MessageXml."""

    def __init__(self, code: str, text: str | None = None, values: Values = MappingProxyType({})) -> None:
        super().__init__(text or TEXTS.get(code, code))
        self.code = code
        self.values = values


class MessageError(Exception):
    """One response message is an error. ``values`` go into its MessageXml."""

    def __init__(self, code: str, text: str | None = None, values: Values = MappingProxyType({})) -> None:
        super().__init__(text or TEXTS.get(code, code))
        self.code = code
        self.values = values


class ConnectingSid(NamedTuple):
    """Whom the caller impersonates: ``kind`` is PrimarySmtpAddress, SmtpAddress, PrincipalName or SID."""

    kind: str
    value: str


class EwsRequest(NamedTuple):
    """A SOAP request: the operation's name and element, the header, whom it impersonates."""

    operation: str
    element: etree._Element
    header: etree._Element | None
    connecting: ConnectingSid | None


def read_request(body: bytes) -> EwsRequest:
    """Read one request. Raises FaultError for what is no SOAP request."""
    try:
        root = etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError as error:
        raise FaultError("ErrorSchemaValidation", f"The request failed schema validation: {error}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise FaultError("ErrorSchemaValidation", "The request failed schema validation: a DTD is prohibited.")
    found = root.find(f"{_S}Body/*")
    if found is None or root.tag != f"{_S}Envelope":
        raise FaultError("ErrorInvalidRequest", "The request is invalid: no SOAP body with an operation.")
    header = root.find(f"{_S}Header")
    return EwsRequest(etree.QName(found).localname, found, header, _connecting(header))


def _connecting(header: etree._Element | None) -> ConnectingSid | None:
    found = None if header is None else header.find(f"{T}ExchangeImpersonation")
    if found is None:
        return None
    sid = found.find(f"{T}ConnectingSID/*")
    if sid is None or not (sid.text or "").strip():
        raise FaultError("ErrorInvalidExchangeImpersonationHeaderData", "The impersonation header is not valid.")
    return ConnectingSid(etree.QName(sid).localname, (sid.text or "").strip())


def text_of(value: str) -> str:
    """Text as XML character data. As Exchange does, what XML 1.0 cannot hold is written as a reference to it."""
    if value.isascii() and value.isprintable():
        return escape(value)
    return "".join(escape(character) if _allowed(character) else f"&#x{ord(character):X};" for character in value)


def _allowed(character: str) -> bool:
    code = ord(character)
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def envelope(operation: str, messages: str) -> bytes:
    """The answer to an operation: response messages in an envelope."""
    inner = f'<m:{operation}Response xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><m:ResponseMessages>'
    return f"{ENVELOPE_HEAD}{inner}{messages}</m:ResponseMessages></m:{operation}Response>{ENVELOPE_TAIL}".encode()


def success(operation: str, content: str) -> str:
    """One response message without an error."""
    name = f"m:{operation}ResponseMessage"
    return f'<{name} ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>{content}</{name}>'


def failure(operation: str, error: MessageError, content: str = "") -> str:
    """One response message of class Error; ``content`` is what the schema asks for all the same."""
    name = f"m:{operation}ResponseMessage"
    values = _write_values(error.values)
    return (
        f'<{name} ResponseClass="Error"><m:MessageText>{text_of(str(error))}</m:MessageText>'
        f"<m:ResponseCode>{error.code}</m:ResponseCode><m:DescriptiveLinkKey>0</m:DescriptiveLinkKey>"
        f"{f'<m:MessageXml>{values}</m:MessageXml>' if values else ''}{content}</{name}>"
    )


def _write_values(values: Values) -> str:
    return "".join(f"<t:Value Name={quoteattr(name)}>{text_of(str(value))}</t:Value>" for name, value in values.items())


def fault(error: FaultError) -> bytes:
    """A SOAP fault as Exchange writes it; it goes with HTTP 500."""
    values = _write_values(error.values)
    details = f'<t:MessageXml xmlns:t="{TYPES}">{values}</t:MessageXml>' if values else ""
    text = text_of(str(error))
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault>'
        f'<faultcode xmlns:a="{TYPES}">a:{error.code}</faultcode><faultstring xml:lang="en-US">{text}</faultstring>'
        f'<detail><e:ResponseCode xmlns:e="{ERRORS}">{error.code}</e:ResponseCode>'
        f'<e:Message xmlns:e="{ERRORS}">{text}</e:Message>{details}</detail>'
        "</s:Fault></s:Body></s:Envelope>"
    ).encode()
