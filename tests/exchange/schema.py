"""Microsoft's schema of Exchange Web Services, for requests and answers; the test skips where it is not there."""

import functools

from lxml import etree

from tests.conftest import shared_data

SOAP_BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"
_FAULT = "{http://schemas.xmlsoap.org/soap/envelope/}Fault"


def validate(element: etree._Element) -> None:
    """Raise ``etree.DocumentInvalid`` unless this element of a SOAP body is valid by messages.xsd."""
    alone = etree.fromstring(etree.tostring(element, with_tail=False))
    _messages(str(shared_data("ews-xsd"))).assertValid(alone)


def validate_envelope(envelope: bytes) -> etree._Element:
    """Validate what the body of this SOAP envelope holds, a fault excepted, and return it."""
    body = etree.fromstring(envelope).find(SOAP_BODY)
    assert body is not None
    assert len(body) == 1
    if body[0].tag != _FAULT:
        validate(body[0])
    return body[0]


def validate_header(envelope: bytes) -> None:
    """Validate each element of the SOAP header by types.xsd, which messages.xsd imports."""
    for element in etree.fromstring(envelope).iterfind("{http://schemas.xmlsoap.org/soap/envelope/}Header/*"):
        validate(element)


@functools.cache
def _messages(folder: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(f"{folder}/messages.xsd"))
