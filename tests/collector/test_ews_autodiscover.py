"""What autodiscover may answer instead of an address: each cause is told apart, and no answer sends us elsewhere."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from lxml import etree

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews import soap
from safelist.collector.sources.ews.autodiscover import discover
from safelist.collector.sources.ews.connection import tls_context
from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.session import credentials_of
from safelist.config import Exchange as Settings

NAMESPACE = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
FAULT = (
    f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault><faultcode xmlns:a="urn:a">a:ErrorServerBusy</faultcode>'
    "<faultstring>no</faultstring></s:Fault></s:Body></s:Envelope>"
).encode()


def answer(user: str, code: str = "NoError") -> bytes:
    return (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Body><GetUserSettingsResponseMessage xmlns="{NAMESPACE}"><Response>'
        f"<ErrorCode>{code}</ErrorCode><UserResponses><UserResponse>{user}</UserResponse></UserResponses></Response>"
        "</GetUserSettingsResponseMessage></s:Body></s:Envelope>"
    ).encode()


def settings_named(**named: str) -> bytes:
    one = "<UserSetting><Name>{}</Name><Value>{}</Value></UserSetting>"
    found = "".join(one.format(name, value) for name, value in named.items())
    return answer(f"<ErrorCode>NoError</ErrorCode><UserSettings>{found}</UserSettings>")


OUTSIDE, INSIDE = "https://mail.corp.example/EWS/Exchange.asmx", "https://in.corp.example/EWS/Exchange.asmx"
ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/outside": (200, {}, settings_named(InternalEwsUrl=INSIDE, ExternalEwsUrl=OUTSIDE)),
    "/inside": (200, {}, settings_named(InternalEwsUrl=INSIDE)),
    "/plain-outside": (200, {}, settings_named(InternalEwsUrl=INSIDE, ExternalEwsUrl="http://mail.corp.example/")),
    "/page": (200, {}, b"<html>Sign in</html>"),
    "/redirect": (302, {"Location": "https://elsewhere.example/"}, b""),
    "/again": (307, {"Location": "/page"}, b""),
    "/fault": (500, {}, FAULT),
    "/fault-200": (200, {}, FAULT),
    "/none": (404, {}, b"nothing here"),
    "/closed": (403, {}, b""),
    "/busy": (503, {}, b""),
    "/login": (401, {"WWW-Authenticate": "Basic realm=x"}, b""),
    "/unknown": (200, {}, answer("<ErrorCode>InvalidUser</ErrorCode>")),
    "/invalid": (200, {}, answer("<ErrorCode>NoError</ErrorCode>", "InvalidRequest")),
    "/moved": (200, {}, answer("<ErrorCode>RedirectAddress</ErrorCode><RedirectTarget>a@x.example</RedirectTarget>")),
    "/other": (200, {}, answer("<ErrorCode>RedirectUrl</ErrorCode><RedirectTarget>https://x.example</RedirectTarget>")),
    "/nameless": (200, {}, settings_named()),
    "/plain": (200, {}, settings_named(ExternalEwsUrl="http://mail.corp.example/EWS/Exchange.asmx")),
    "/empty": (200, {}, b""),
    "/another": (200, {}, f'<s:Envelope xmlns:s="{SOAP}"><s:Body/></s:Envelope>'.encode()),
    "/bodiless": (200, {}, f'<s:Envelope xmlns:s="{SOAP}"/>'.encode()),
}
CAUSES = {
    "/page": "web page",
    "/redirect": "redirects elsewhere",
    "/fault": "SOAP fault (a:ErrorServerBusy)",
    "/fault-200": "SOAP fault (a:ErrorServerBusy)",
    "/none": "HTTP 404",
    "/closed": "HTTP 403",
    "/busy": "HTTP 503",
    "/unknown": "InvalidUser",
    "/invalid": "InvalidRequest",
    "/moved": "sends on to a@x.example, which is not followed",
    "/other": "sends on to https://x.example, which is not followed",
    "/nameless": "names no address of EWS that begins with https",
    "/plain": "names no address of EWS that begins with https",
    "/empty": "the answer is empty",
    "/another": "not one of autodiscover",
    "/bodiless": "without a SOAP body",
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_xml = body.startswith(b"<")
        mailbox = etree.fromstring(body).findtext(f".//{{{NAMESPACE}}}Mailbox") if is_xml else "token"
        self.asked.append(f"{self.path} {mailbox}")
        status, headers, content = ANSWERS[self.path]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def place(authority: trustme.CA) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def made(authority: trustme.CA, tmp_path: Path) -> Settings:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    keys = {"authentication": "basic", "username": "svc", "autodiscover": "a&b@corp.example", "timeout": 10}
    return Settings.model_validate(keys | {"ca_file": str(tmp_path / "ca.pem"), "secret": "x"})


def found(made: Settings, *urls: str) -> str:
    return discover(made, credentials_of(made, "x"), tls_context(made.ca_file), urls)


def test_the_outer_address_comes_first_and_only_tls_counts(made: Settings, place: str) -> None:
    assert found(made, f"{place}/outside") == OUTSIDE
    assert found(made, f"{place}/inside") == INSIDE
    assert found(made, f"{place}/plain-outside") == INSIDE
    assert Handler.asked[-1] == "/plain-outside a&b@corp.example"


@pytest.mark.parametrize(("path", "cause"), CAUSES.items())
def test_each_cause_is_named_with_its_place(made: Settings, place: str, path: str, cause: str) -> None:
    Handler.asked.clear()
    with pytest.raises(FetchError) as caught:
        found(made, f"{place}{path}", "https://127.0.0.1:1/second")
    assert caught.value.reason is FailureReason.UNREACHABLE
    assert cause in caught.value.message
    assert f"{place}{path}" in caught.value.message
    assert "https://127.0.0.1:1/second cannot be reached: nothing listens there" in caught.value.message
    assert caught.value.message.endswith("correct exchange.autodiscover, or write exchange.endpoint instead")
    assert Handler.asked == [f"{path} a&b@corp.example"], "one question, and nothing is followed"


def test_one_place_that_fails_stops_nobody(made: Settings, place: str) -> None:
    assert found(made, f"{place}/login", f"{place}/outside") == OUTSIDE
    assert found(made, f"{place}/page", f"{place}/inside") == INSIDE


def test_a_rejected_log_in_is_said_as_such(made: Settings, place: str) -> None:
    with pytest.raises(FetchError, match=r"/login rejects svc") as caught:
        found(made, f"{place}/login", f"{place}/page")
    assert caught.value.reason is FailureReason.CREDENTIALS


def test_a_certificate_that_is_not_trusted(made: Settings, place: str) -> None:
    untrusting = made.model_copy(update={"ca_file": None})
    with pytest.raises(FetchError, match="certificate"):
        found(untrusting, f"{place}/outside")
    with pytest.raises(FetchError, match="certificate is for another name"):
        found(made, f"{place}/outside".replace("127.0.0.1", "localhost"))


def test_no_text_breaks_out_of_its_place() -> None:
    hostile = 'a&b<c>"d"]]>@x.example'
    body = etree.fromstring(soap.get_user_settings(hostile, f"https://{hostile}/"))
    assert body.findtext(f".//{{{NAMESPACE}}}Mailbox") == hostile
    assert body.findtext(".//{http://www.w3.org/2005/08/addressing}To") == f"https://{hostile}/"


@pytest.mark.parametrize("path", ["/redirect", "/again"])
def test_the_secret_of_a_token_is_not_sent_on_to_where_the_endpoint_points(
    made: Settings, place: str, path: str
) -> None:
    Handler.asked.clear()
    keys = {"authentication": "oauth", "client_id": "c", "tenant_id": "t", "token_url": f"{place}{path}"}
    oauth = Settings.model_validate(keys | {"endpoint": f"{place}/page", "ca_file": str(made.ca_file), "secret": "x"})
    with (
        ExchangeServer(oauth, "client-Pa55word") as ews,
        pytest.raises(FetchError, match="redirects elsewhere") as caught,
    ):
        ews.fetch("a@corp.example", None)
    assert caught.value.reason is FailureReason.REDIRECT
    assert Handler.asked == [f"{path} token"]
