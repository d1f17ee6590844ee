"""The EWS calls, and autodiscover's one, as bytes: requests written, answers read; pure.

The forms are those of messages.xsd and types.xsd of EWS, and of MS-OXWSADISC.
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

PROVIDER = "junkemailrule"
"""PidTagRuleMessageProvider of the Junk E-mail Rule, folded (MS-OXCSPAM 3.1.4.1); capitals do not count."""

PAGE_ROWS = 100

_S = "{http://schemas.xmlsoap.org/soap/envelope/}"
_M = "{http://schemas.microsoft.com/exchange/services/2006/messages}"
_T = "{http://schemas.microsoft.com/exchange/services/2006/types}"

_A = "{http://schemas.microsoft.com/exchange/2010/Autodiscover}"

_PROVIDER_TAG = 0x65EB
_CONDITION_TAG = 0x0E9A
_STATE_TAG = 0x65E9
_INCLUDE_CONTACTS_TAG = 0x6100

_DOCTYPE = "the answer declares a document type, which EWS never does"
_CODE = re.compile(r"Error[A-Za-z0-9]{1,80}\Z")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(rb"&#(?:[xX]([0-9a-fA-F]+)|([0-9]+));")
_CONTROLS = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f]")
_REPLACEMENT = "\ufffd"


class UnreadableError(Exception):
    """The answer is not what EWS sends; the text says how."""


class AnsweredError(Exception):
    """Exchange answered with an error: its response code, and the seconds that it asks to wait for, if any."""

    def __init__(self, code: str, back_off: float | None) -> None:
        super().__init__(code)
        self.code = code
        self.back_off = back_off


class FoundRule(NamedTuple):
    """An associated item that FindItem listed."""

    item_id: str
    change_key: str
    provider: str
    modified: datetime


class Page(NamedTuple):
    """Part of FindItem's list; ``following`` is the offset of the next part, None at the end."""

    rows: list[FoundRule]
    following: int | None


class Rule(NamedTuple):
    """A Junk E-mail Rule as Exchange holds it.

    ``change_key`` identifies a version of it; ``condition`` is PidTagExtendedRuleMessageCondition, ``state``
    PidTagRuleMessageState (bit 0x01: enabled), ``include_contacts`` PidTagJunkIncludeContacts. ``duplicates`` further
    rules were found; the most recently modified one counts.
    """

    rule_id: str
    change_key: str
    condition: bytes
    state: int | None
    include_contacts: bool | None
    duplicates: int = 0


class MemberKind(StrEnum):
    """What a group's member is."""

    MAILBOX = "mailbox"
    GROUP = "group"
    OTHER = "other"


class GroupMember(NamedTuple):
    """One member of a group; ``address`` may be empty or no SMTP address when ``kind`` is other."""

    address: str
    kind: MemberKind


_KINDS = {
    "Mailbox": MemberKind.MAILBOX,
    "PublicDL": MemberKind.GROUP,
    "PrivateDL": MemberKind.GROUP,
    "GroupMailbox": MemberKind.GROUP,
}

_ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"'
    ' xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><s:Header>'
    '<t:RequestServerVersion Version="Exchange2013"/>%s</s:Header><s:Body>%s</s:Body></s:Envelope>'
)
_IMPERSONATION = (
    "<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>%s</t:PrimarySmtpAddress></t:ConnectingSID>"
    "</t:ExchangeImpersonation>"
)
_FIND = (
    '<m:FindItem Traversal="Associated"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>'
    '<t:FieldURI FieldURI="item:LastModifiedTime"/><t:ExtendedFieldURI PropertyTag="0x65EB" PropertyType="String"/>'
    "</t:AdditionalProperties></m:ItemShape>"
    f'<m:IndexedPageItemView MaxEntriesReturned="{PAGE_ROWS}" Offset="%d" BasePoint="Beginning"/>'
    '<m:Restriction><t:IsEqualTo><t:FieldURI FieldURI="item:ItemClass"/><t:FieldURIOrConstant>'
    '<t:Constant Value="IPM.ExtendedRule.Message"/></t:FieldURIOrConstant></t:IsEqualTo></m:Restriction>'
    '<m:ParentFolderIds><t:DistinguishedFolderId Id="inbox"><t:Mailbox><t:EmailAddress>%s</t:EmailAddress></t:Mailbox>'
    "</t:DistinguishedFolderId></m:ParentFolderIds></m:FindItem>"
)
_GET = (
    "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>"
    '<t:ExtendedFieldURI PropertyTag="0x0E9A" PropertyType="Binary"/>'
    '<t:ExtendedFieldURI PropertyTag="0x65E9" PropertyType="Integer"/>'
    '<t:ExtendedFieldURI PropertyTag="0x6100" PropertyType="Integer"/>'
    "</t:AdditionalProperties></m:ItemShape><m:ItemIds><t:ItemId Id=%s/></m:ItemIds></m:GetItem>"
)
_ROOMS = "<m:GetRooms><m:RoomList><t:EmailAddress>%s</t:EmailAddress></m:RoomList></m:GetRooms>"
_AUTODISCOVER = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
_USER_SETTINGS = (
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
    f' xmlns:w="http://www.w3.org/2005/08/addressing" xmlns:a="{_AUTODISCOVER}"><s:Header>'
    "<a:RequestedServerVersion>Exchange2013</a:RequestedServerVersion>"
    f"<w:Action>{_AUTODISCOVER}/Autodiscover/GetUserSettings</w:Action><w:To>%s</w:To></s:Header><s:Body>"
    "<a:GetUserSettingsRequestMessage><a:Request><a:Users><a:User><a:Mailbox>%s</a:Mailbox></a:User></a:Users>"
    "<a:RequestedSettings><a:Setting>ExternalEwsUrl</a:Setting><a:Setting>InternalEwsUrl</a:Setting>"
    "</a:RequestedSettings></a:Request></a:GetUserSettingsRequestMessage></s:Body></s:Envelope>"
)
_EXPAND = "<m:ExpandDL><m:Mailbox><t:EmailAddress>%s</t:EmailAddress></m:Mailbox></m:ExpandDL>"


def is_writable(text: str) -> bool:
    """Whether XML can hold every character of ``text``."""
    return not _NOT_XML.search(text)


def find_rules(address: str, *, impersonate: bool, offset: int = 0) -> bytes:
    """FindItem for the extended rules among the associated items of the mailbox's Inbox."""
    text = escape(address)
    return _write(_FIND % (offset, text), text if impersonate else None)


def get_rule(address: str, item_id: str, *, impersonate: bool) -> bytes:
    """GetItem for the condition, state and contacts switch of one rule."""
    return _write(_GET % quoteattr(item_id), escape(address) if impersonate else None)


def expand_group(address: str) -> bytes:
    """ExpandDL for one level of a distribution group."""
    return _write(_EXPAND % escape(address), None)


def get_room_lists() -> bytes:
    """GetRoomLists: the lists of rooms that the administrators keep."""
    return _write("<m:GetRoomLists/>", None)


def get_rooms(room_list: str) -> bytes:
    """GetRooms for the rooms in one such list."""
    return _write(_ROOMS % escape(room_list), None)


def get_user_settings(address: str, url: str) -> bytes:
    """Autodiscover's GetUserSettings for the addresses of EWS, to be sent to ``url`` (MS-OXWSADISC 3.1.4.3)."""
    return (_USER_SETTINGS % (escape(url), escape(address))).encode()


def _write(body: str, impersonated: str | None) -> bytes:
    header = _IMPERSONATION % impersonated if impersonated is not None else ""
    return (_ENVELOPE % (header, body)).encode()


def read_page(answer: bytes) -> Page:
    """The rows of FindItem's answer. Raises UnreadableError, AnsweredError."""
    folder = _message(answer, "FindItem").find(f"{_M}RootFolder")
    if folder is None:
        raise UnreadableError("FindItem's answer has no folder")
    rows = [_row(item) for items in folder.iterfind(f"{_T}Items") for item in items]
    if folder.get("IncludesLastItemInRange", "true").strip() in ("true", "1"):
        return Page(rows, None)
    following = _integer(folder.get("IndexedPagingOffset"))
    if following is None:
        raise UnreadableError("FindItem's answer is a part of the list and does not say where the next part begins")
    return Page(rows, following)


def _row(item: etree._Element) -> FoundRule:
    item_id, change_key = _identity(item)
    values = _properties(item)
    return FoundRule(item_id, change_key, values.get(_PROVIDER_TAG, ""), _time(item.findtext(f"{_T}LastModifiedTime")))


def read_item(answer: bytes) -> Rule:
    """The rule in GetItem's answer. Raises UnreadableError, AnsweredError."""
    items = _message(answer, "GetItem").find(f"{_M}Items")
    if items is None or len(items) != 1:
        raise UnreadableError("GetItem's answer does not hold exactly one item")
    item = items[0]
    values = _properties(item)
    state, contacts = _integer(values.get(_STATE_TAG)), _integer(values.get(_INCLUDE_CONTACTS_TAG))
    item_id, change_key = _identity(item)
    return Rule(
        rule_id=item_id,
        change_key=change_key,
        condition=_binary(values.get(_CONDITION_TAG)),
        state=state,
        include_contacts=None if contacts is None else contacts != 0,
    )


def read_members(answer: bytes) -> list[GroupMember]:
    """The members in ExpandDL's answer. Raises UnreadableError, AnsweredError."""
    expansion = _message(answer, "ExpandDL").find(f"{_M}DLExpansion")
    if expansion is None:
        raise UnreadableError("ExpandDL's answer has no members element")
    if expansion.get("IncludesLastItemInRange", "true").strip() not in ("true", "1"):
        raise UnreadableError("ExpandDL's answer holds only a part of the members")
    return [_member(mailbox) for mailbox in expansion.iterfind(f"{_T}Mailbox")]


def read_rooms(answer: bytes) -> list[str]:
    """The addresses in the answer to GetRoomLists or GetRooms. Raises UnreadableError, AnsweredError."""
    body = _parse(answer).find(f"{_S}Body")
    message = (
        None
        if body is None
        else next((m for m in body if m.tag in [f"{_M}{name}Response" for name in _ROOM_CALLS]), None)
    )
    if body is None or message is None:
        raise (_error_in(body) if body is not None else None) or UnreadableError("the answer is not one about rooms")
    if message.get("ResponseClass") != "Success":
        raise _error_in(message) or UnreadableError("the answer reports an error without a response code")
    return [text for text in _texts(message.iter(f"{_T}EmailAddress")) if text]


_ROOM_CALLS = ("GetRoomLists", "GetRooms")


def read_user_settings(answer: bytes) -> str | None:
    """The address of EWS in GetUserSettings' answer, the external one first; None where it names none with TLS.

    Raises UnreadableError, also for the answers that send on to another address or place.
    """
    body = _parse(answer).find(f"{_S}Body")
    if body is None:
        raise UnreadableError("the answer is XML without a SOAP body")
    if (fault := body.find(f"{_S}Fault")) is not None:
        raise UnreadableError(f"it answers with a SOAP fault ({_short(fault.findtext('faultcode'))})")
    code = next((c for c in _texts(body.iter(f"{_A}ErrorCode")) if c != "NoError"), None)
    target = next((t for t in _texts(body.iter(f"{_A}RedirectTarget")) if t), None)
    if target is not None:
        raise UnreadableError(f"it sends on to {_short(target)}, which is not followed")
    if code is not None or body.find(f"{_A}GetUserSettingsResponseMessage") is None:
        raise UnreadableError(f"it answers {_short(code)}" if code else "the answer is not one of autodiscover")
    found = {s.findtext(f"{_A}Name"): (s.findtext(f"{_A}Value") or "").strip() for s in body.iter(f"{_A}UserSetting")}
    named = (found.get("ExternalEwsUrl"), found.get("InternalEwsUrl"))
    return next((url for url in named if url and url.lower().startswith("https://")), None)


def _short(text: str | None) -> str:
    """A word of the server for a message: one line, bounded."""
    return "".join(c for c in text or "" if c.isprintable())[:200] or "without a code"


def _member(mailbox: etree._Element) -> GroupMember:
    address = (mailbox.findtext(f"{_T}EmailAddress") or "").strip()
    kind = _KINDS.get((mailbox.findtext(f"{_T}MailboxType") or "Mailbox").strip(), MemberKind.OTHER)
    is_smtp = (mailbox.findtext(f"{_T}RoutingType") or "SMTP").strip().upper() == "SMTP" and "@" in address
    return GroupMember(address, kind if is_smtp else MemberKind.OTHER)


def _message(answer: bytes, operation: str) -> etree._Element:
    """The one response message of a successful answer."""
    body = _parse(answer).find(f"{_S}Body")
    if body is None:
        raise UnreadableError("the answer is XML without a SOAP body")
    messages = body.find(f"{_M}{operation}Response/{_M}ResponseMessages")
    if messages is None or len(messages) == 0:
        raise _error_in(body) or UnreadableError(f"the answer is not one to {operation}")
    if len(messages) > 1 or messages[0].tag != f"{_M}{operation}ResponseMessage":
        raise UnreadableError(f"the answer is not one to a single {operation}")
    message = messages[0]
    code = message.findtext(f"{_M}ResponseCode")
    if message.get("ResponseClass") != "Success" or code != "NoError":
        raise _error_in(message) or UnreadableError("the answer reports an error without a response code")
    return message


def _parse(answer: bytes) -> etree._Element:
    """The envelope; one pass over the bytes, no entity is ever resolved, nothing fetched."""
    try:
        root = _root_of(answer)
    except (etree.XMLSyntaxError, ValueError, LookupError):
        root = _root_of_mended(answer)
    if root.tag != f"{_S}Envelope":
        raise UnreadableError(_what_it_is(answer))
    doctype: object = root.getroottree().docinfo.internalDTD
    if doctype is not None:
        raise UnreadableError(_DOCTYPE)
    return root


def _root_of(answer: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    return etree.fromstring(answer, parser)


def _root_of_mended(answer: bytes) -> etree._Element:
    """The envelope of an answer with characters that XML 1.0 cannot hold: Exchange writes what its items hold.

    They may stand in any item of the folder, not only in the rule. Each counts as U+FFFD, which no id, change key,
    number or base64 has, so that nothing we take can be made of it.
    """
    try:
        return _root_of(_mended(answer))
    except (etree.XMLSyntaxError, ValueError, LookupError):
        raise UnreadableError(_what_it_is(answer)) from None


def _mended(answer: bytes) -> bytes:
    """``answer`` (an encoding that keeps ASCII, as UTF-8 does) with a replacement for what is no XML character."""
    if b"\0" in answer:  # UTF-16 or binary, whose bytes mean something else
        return answer
    return _CONTROLS.sub(b"&#xFFFD;", _REFERENCE.sub(_mended_reference, answer))


def _mended_reference(found: re.Match[bytes]) -> bytes:
    digits, base = (found[1], 16) if found[1] else (found[2], 10)
    number = int(digits, base) if len(digits) <= _MAX_DIGITS else -1
    is_character = 0 <= number <= 0x10FFFF and not _NOT_XML.match(chr(number))
    return found[0] if is_character else b"&#xFFFD;"


_MAX_DIGITS = 100
"""Of a character reference; more are no character, however many zeros lead."""


def _what_it_is(answer: bytes) -> str:
    start = answer[:2000].lower()
    if not answer.strip():
        return "the answer is empty"
    if b"<html" in start or b"<!doctype html" in start:
        return "the answer is a web page, perhaps a login form in front of EWS"
    if b"<!doctype" in start:
        return _DOCTYPE
    return "the answer is not well-formed XML" if start.lstrip().startswith(b"<") else "the answer is not XML"


def _error_in(place: etree._Element) -> AnsweredError | None:
    """The response code in a fault or a response message; an inner "busy" counts more than the outer code."""
    codes = [text for name in ("ResponseCode", "faultcode") for text in _texts(place.iter(f"{{*}}{name}"))]
    values = {(e.get("Name") or ""): (e.text or "").strip() for e in place.iter(f"{_T}Value")}
    codes.insert(0, values.get("InnerErrorResponseCode", ""))
    known = [code for code in (text.rpartition(":")[2] for text in codes) if _CODE.match(code)]
    back_off = _integer(values.get("BackOffMilliseconds"))
    if not known and place.find(f"{_S}Fault") is None and back_off is None:
        return None
    return AnsweredError(known[0] if known else "a fault without a code", None if back_off is None else back_off / 1000)


def _texts(elements: Iterable[etree._Element]) -> Iterator[str]:
    return ((e.text or "").strip() for e in elements)


def _identity(item: etree._Element) -> tuple[str, str]:
    found = item.find(f"{_T}ItemId")
    item_id, change_key = (found.get("Id"), found.get("ChangeKey")) if found is not None else (None, None)
    if not item_id or not change_key:
        raise UnreadableError("an item in the answer has no id or no change key")
    if _REPLACEMENT in item_id or _REPLACEMENT in change_key:
        raise UnreadableError("an item's id or change key in the answer is damaged")
    return item_id, change_key


def _properties(item: etree._Element) -> dict[int, str]:
    """Extended properties by tag; those that the item lacks are missing."""
    values: dict[int, str] = {}
    for extended in item.iterfind(f"{_T}ExtendedProperty"):
        uri, value = extended.find(f"{_T}ExtendedFieldURI"), extended.find(f"{_T}Value")
        tag = _tag(uri.get("PropertyTag")) if uri is not None else None
        if tag is not None and value is not None:
            values[tag] = (value.text or "").strip()
    return values


def _tag(text: str | None) -> int | None:
    """PropertyTag as Exchange writes it: hexadecimal in any case, or decimal."""
    try:
        return int(text or "", 0)
    except ValueError:
        return None


def _binary(text: str | None) -> bytes:
    if text is None:
        raise UnreadableError("the rule has no condition property")
    if not text:
        raise UnreadableError("the rule's condition is empty")
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError:
        raise UnreadableError("the rule's condition is not base64") from None


def _integer(text: str | None) -> int | None:
    """A number of 32 bits, as PtypInteger32 has; anything else counts as absent."""
    digits = (text or "").strip()
    number = int(digits) if re.fullmatch(r"-?[0-9]{1,10}", digits) else None
    return number if number is not None and -(1 << 31) <= number < 1 << 31 else None


def _time(text: str | None) -> datetime:
    """A timestamp; one that is missing or odd counts as the oldest of all."""
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
