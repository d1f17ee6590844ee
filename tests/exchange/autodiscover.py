"""SOAP autodiscover: GetUserSettings, with the endpoint's own URL."""

from lxml import etree

from safelist.demo.soap import SOAP, text_of
from tests.exchange.organisation import Organisation

_NAMESPACE = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMAS = "Exchange2007, Exchange2007_SP1, Exchange2010, Exchange2010_SP1, Exchange2010_SP2, Exchange2013"


def user_settings(organisation: Organisation, url: str, body: bytes) -> bytes:
    """Answer one GetUserSettings request: the settings that are known of those asked for."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        return _answer("InvalidRequest", "The request is invalid.", "")
    a = f"{{{_NAMESPACE}}}"
    names = [element.text or "" for element in root.iter(f"{a}Setting")]
    users = [element.text or "" for element in root.iter(f"{a}Mailbox")]
    return _answer("NoError", "", "".join(_user(organisation, url, user, names) for user in users))


def _user(organisation: Organisation, url: str, address: str, names: list[str]) -> str:
    mailbox = organisation.find(address)
    if mailbox is None and address.lower() != organisation.account.principal.lower():
        return f"<UserResponse>{_error('InvalidUser', f'Invalid user: {address}')}<UserSettings/></UserResponse>"
    known = {
        "AutoDiscoverSMTPAddress": mailbox.address if mailbox else address,
        "EwsSupportedSchemas": _SCHEMAS,
        "ExternalEwsUrl": url,
        "InternalEwsUrl": url,
        "UserDisplayName": address,
    }
    settings = "".join(
        f'<UserSetting i:type="StringSetting"><Name>{name}</Name><Value>{text_of(known[name])}</Value></UserSetting>'
        for name in names
        if name in known
    )
    inner = f"<UserSettingErrors/><UserSettings>{settings}</UserSettings>"
    return f"<UserResponse>{_error('NoError', '')}<RedirectTarget i:nil='true'/>{inner}</UserResponse>"


def _error(code: str, text: str) -> str:
    return f"<ErrorCode>{code}</ErrorCode><ErrorMessage>{text_of(text)}</ErrorMessage>"


def _answer(code: str, text: str, users: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}" '
        f'xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header><a:Action s:mustUnderstand="1">'
        f"{_NAMESPACE}/Autodiscover/GetUserSettingsResponse</a:Action>"
        f'<h:ServerVersionInfo xmlns:h="{_NAMESPACE}" xmlns:i="{_INSTANCE}"><h:MajorVersion>15</h:MajorVersion>'
        "<h:MinorVersion>1</h:MinorVersion><h:MajorBuildNumber>2507</h:MajorBuildNumber>"
        "<h:MinorBuildNumber>39</h:MinorBuildNumber><h:Version>Exchange2016</h:Version></h:ServerVersionInfo>"
        f'</s:Header><s:Body><GetUserSettingsResponseMessage xmlns="{_NAMESPACE}" xmlns:i="{_INSTANCE}">'
        f"<Response>{_error(code, text)}<UserResponses>{users}</UserResponses></Response>"
        "</GetUserSettingsResponseMessage></s:Body></s:Envelope>"
    ).encode()
