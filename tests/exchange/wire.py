"""The troubles of the wire: how each spoils an answer that is ready to be sent."""

import gzip
import threading
from collections.abc import Callable, Mapping

from safelist.demo.server import HTML, XML, EwsHandler
from tests.exchange.faults import Fault, Trouble
from tests.exchange.operations import Answer

_PIECES = 20
_LOGIN = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Outlook</form></body></html>"
_ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))

Spoil = Callable[[EwsHandler, Answer, Fault, threading.Event], None]
"""Called with the connection, the right answer, the fault, the server's end."""


def _unavailable(connection: EwsHandler, *_: object) -> None:
    connection.send(503, b"The service is unavailable.", HTML)


def _redirect(connection: EwsHandler, _: Answer, struck: Fault, __: threading.Event) -> None:
    connection.send(302, b"", HTML, [("Location", struck.location or "/owa/auth/logon.aspx")])


def _slow(connection: EwsHandler, answered: Answer, struck: Fault, stop: threading.Event) -> None:
    stop.wait(struck.seconds)
    connection.send(answered.status, answered.body, XML)


def _drip(connection: EwsHandler, answered: Answer, struck: Fault, stop: threading.Event) -> None:
    connection.begin(answered.status, len(answered.body), XML)
    step = max(len(answered.body) // _PIECES, 1)
    for start in range(0, len(answered.body), step):
        connection.wfile.write(answered.body[start : start + step])
        connection.wfile.flush()
        stop.wait(struck.seconds / _PIECES)


def _endless_header(connection: EwsHandler, _: Answer, __: Fault, stop: threading.Event) -> None:
    connection.close_connection = True
    connection.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    try:
        while not stop.wait(0.02):
            connection.wfile.write(b"x")
            connection.wfile.flush()
    except OSError:  # the client hung up
        return


def _cut_before(connection: EwsHandler, *_: object) -> None:
    connection.close_connection = True


def _cut_body(connection: EwsHandler, answered: Answer, *_: object) -> None:
    connection.begin(answered.status, len(answered.body), XML)
    connection.wfile.write(answered.body[: len(answered.body) // 2])
    connection.close_connection = True


def _login_page(connection: EwsHandler, *_: object) -> None:
    connection.send(200, _LOGIN, HTML)


def _not_xml(connection: EwsHandler, *_: object) -> None:
    connection.send(200, b"\x00\xff this is not XML <<<", XML)


def _oversized(connection: EwsHandler, answered: Answer, struck: Fault, stop: threading.Event) -> None:
    connection.begin(answered.status, len(answered.body) + struck.size, XML)
    connection.wfile.write(answered.body)
    blank = b" " * 65536
    for start in range(0, struck.size, len(blank)):
        connection.wfile.write(blank[: struck.size - start])


def _gzip_bomb(connection: EwsHandler, answered: Answer, struck: Fault, stop: threading.Event) -> None:
    packed = gzip.compress(answered.body + b" " * struck.size, 9)
    connection.send(answered.status, packed, XML, [("Content-Encoding", "gzip")])


def _entity_bomb(connection: EwsHandler, answered: Answer, *_: object) -> None:
    _send_document(connection, answered, f'<!ENTITY e0 "lol">{_ENTITIES}', "&e9;")


def _external_entity(connection: EwsHandler, answered: Answer, struck: Fault, stop: threading.Event) -> None:
    where = struck.location or "file:///etc/hostname"
    _send_document(connection, answered, f'<!ENTITY file SYSTEM "{where}">', "&file;")


def _send_document(connection: EwsHandler, answered: Answer, entities: str, use: str) -> None:
    """The right answer with a document type in front and an entity in every value."""
    text = answered.body.decode()
    head, _, rest = text.partition("<s:Envelope")
    changed = f"{head}<!DOCTYPE s [{entities}]><s:Envelope{rest}".replace("</t:Value>", f"{use}</t:Value>")
    connection.send(answered.status, changed.encode(), XML)


SPOILS: Mapping[Trouble, Spoil] = {
    Trouble.HTTP_503: _unavailable,
    Trouble.REDIRECT: _redirect,
    Trouble.SLOW: _slow,
    Trouble.DRIP: _drip,
    Trouble.ENDLESS_HEADER: _endless_header,
    Trouble.CUT_BEFORE: _cut_before,
    Trouble.CUT_BODY: _cut_body,
    Trouble.LOGIN_PAGE: _login_page,
    Trouble.NOT_XML: _not_xml,
    Trouble.OVERSIZED: _oversized,
    Trouble.GZIP_BOMB: _gzip_bomb,
    Trouble.ENTITY_BOMB: _entity_bomb,
    Trouble.EXTERNAL_ENTITY: _external_entity,
}
