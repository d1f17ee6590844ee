"""The endpoint over HTTP: authentication, the log, limits, and the troubles of the wire."""

import base64
import gzip
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
import spnego
import trustme
from requests_ntlm import HttpNtlmAuth

from safelist.demo.server import REQUEST_LIMIT
from safelist.junkrule import JunkRule
from tests.exchange import Asked, DemoServer, Fault, Mailbox, Organisation, Trouble
from tests.exchange.client import CONDITION, Client, basic, codes, envelope, find_item, get_item, item_ids

ADDRESS = "a@corp.example"
FIND = find_item(ADDRESS)


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.of([Mailbox(ADDRESS, JunkRule(safe_senders=("a@aol.com",))), Mailbox("b@corp.example")])


@pytest.fixture
def server(organisation: Organisation) -> Iterator[DemoServer]:
    with DemoServer(organisation) as running:
        yield running


def strike(server: DemoServer, **fault: object) -> None:
    server.organisation.faults.append(Fault(**fault))  # type: ignore[arg-type]


class TestLog:
    def test_names_operation_and_mailbox_in_order(self, server: DemoServer) -> None:
        with Client(server) as client:
            found = client.ask(FIND, as_user=ADDRESS)
            client.ask(get_item(item_ids(found)))
            client.ask(find_item("x@corp.example"), as_user="x@corp.example")
        assert server.requests == [
            Asked("FindItem", ADDRESS),
            Asked("GetItem", ADDRESS),
            Asked("FindItem", "x@corp.example"),
        ]
        server.reset()
        assert server.requests == []

    def test_one_connection_serves_many_requests(self, server: DemoServer) -> None:
        with Client(server) as client:
            for _ in range(5):
                assert client.ask(FIND).status == 200
        assert server.connections == 1

    def test_threads_lose_no_request(self, server: DemoServer) -> None:
        def many() -> None:
            with Client(server) as client:
                for _ in range(20):
                    client.ask(FIND)

        threads = [threading.Thread(target=many) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.requests == [Asked("FindItem", ADDRESS)] * 160

    def test_bodies_can_be_recorded(self, organisation: Organisation) -> None:
        bodies: list[bytes] = []
        with DemoServer(organisation, on_request=bodies.append) as server, Client(server) as client:
            client.ask(FIND)
        assert bodies == [envelope(FIND, version="Exchange2013")]


class TestBasic:
    @pytest.mark.parametrize(
        "user", ["svc-safelist@corp.example", "CORP\\svc-safelist", "svc-safelist", "corp\\SVC-SAFELIST"]
    )
    def test_lets_the_service_account_in(self, server: DemoServer, user: str) -> None:
        with Client(server, basic(user, server.organisation.account.password)) as client:
            assert client.ask(FIND).status == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            basic("svc-safelist", "wrong"),
            basic("other", "demo-Pa55word"),
            {"Authorization": "Basic %%%"},
            {"Authorization": "Basic"},
            {"Authorization": "Bearer x"},
            {"Authorization": "NTLM %%%"},
            {"Authorization": "NTLM " + base64.b64encode(b"NTLMSSP\0\3\0\0\0").decode()},
            {"Authorization": "NTLM " + base64.b64encode(b"NTLMSSP\0\1\0\0\0").decode()},
        ],
    )
    def test_refuses_others_as_iis_does(self, server: DemoServer, headers: dict[str, str]) -> None:
        with Client(server, headers) as client:
            reply = client.ask(FIND)
        assert reply.status == 401
        assert reply.headers.get_all("WWW-Authenticate") == ["NTLM", 'Basic realm="127.0.0.1"']
        assert server.requests == []

    def test_a_scheme_that_is_not_offered_is_refused(self, organisation: Organisation) -> None:
        with DemoServer(organisation, schemes=["ntlm"]) as server, Client(server) as client:
            reply = client.ask(FIND)
        assert (reply.status, reply.headers.get_all("WWW-Authenticate")) == (401, ["NTLM"])


class TestNtlm:
    @pytest.mark.parametrize("user", ["CORP\\svc-safelist", "svc-safelist@corp.example", "svc-safelist"])
    def test_a_handshake_authenticates_the_connection(self, server: DemoServer, user: str) -> None:
        body = envelope(FIND, version="Exchange2013")
        with requests.Session() as session:
            session.auth = HttpNtlmAuth(user, server.organisation.account.password)
            assert session.post(server.url, body, timeout=10).status_code == 200
            session.auth = None
            assert session.post(server.url, body, timeout=10).status_code == 200
        assert server.connections == 1
        with requests.Session() as another:
            assert another.post(server.url, body, timeout=10).status_code == 401

    def test_a_wrong_password_is_refused(self, server: DemoServer) -> None:
        with requests.Session() as session:
            session.auth = HttpNtlmAuth("CORP\\svc-safelist", "wrong")
            assert session.post(server.url, FIND, timeout=10).status_code == 401
        assert server.requests == []

    def test_the_challenge_comes_in_the_header(self, server: DemoServer) -> None:
        token = spnego.client("u", "p", protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm).step()
        assert token is not None
        with Client(server, {"Authorization": f"NTLM {base64.b64encode(token).decode()}"}) as client:
            reply = client.ask(FIND)
        assert reply.status == 401
        scheme, _, value = (reply.headers["WWW-Authenticate"] or "").partition(" ")
        assert (scheme, base64.b64decode(value)[:12]) == ("NTLM", b"NTLMSSP\0\2\0\0\0")

    def test_the_environment_stays_as_it_was(self, server: DemoServer) -> None:
        before = dict(os.environ)
        with requests.Session() as session:
            session.auth = HttpNtlmAuth("CORP\\svc-safelist", server.organisation.account.password)
            session.post(server.url, envelope(FIND, version="Exchange2013"), timeout=10)
        assert dict(os.environ) == before


class TestOAuth:
    @pytest.fixture
    def server(self, organisation: Organisation) -> Iterator[DemoServer]:
        with DemoServer(organisation, schemes=["bearer"]) as running:
            yield running

    @staticmethod
    def form(server: DemoServer, **changes: str) -> bytes:
        account = server.organisation.account
        fields = {
            "grant_type": "client_credentials",
            "client_id": account.client_id,
            "client_secret": account.client_secret,
            "scope": "https://outlook.office365.com/.default",
        }
        return urlencode({**fields, **changes}).encode()

    def token(self, server: DemoServer) -> str:
        with Client(server, {}) as client:
            reply = client.post(self.form(server), "/tenant/oauth2/v2.0/token")
        assert reply.status == 200
        granted = json.loads(reply.body)
        assert granted["token_type"] == "Bearer"
        return str(granted["access_token"])

    def test_a_token_opens_the_endpoint_until_it_expires(self, server: DemoServer) -> None:
        with Client(server, {"Authorization": f"Bearer {self.token(server)}"}) as client:
            assert client.ask(FIND).status == 200
            server.expire_tokens()
            reply = client.ask(FIND)
        assert reply.status == 401
        assert 'error="invalid_token"' in (reply.headers["WWW-Authenticate"] or "")

    def test_a_token_of_no_lifetime_is_refused(self, organisation: Organisation) -> None:
        with DemoServer(organisation, schemes=["bearer"], token_lifetime=0.0) as server:
            token = self.token(server)
            with Client(server, {"Authorization": f"Bearer {token}"}) as client:
                assert client.ask(FIND).status == 401

    def test_the_client_may_identify_itself_by_basic(self, server: DemoServer) -> None:
        account = server.organisation.account
        form = self.form(server, client_id="", client_secret="")
        with Client(server, basic(account.client_id, account.client_secret)) as client:
            assert client.post(form, "/oauth2/v2.0/token").status == 200

    @pytest.mark.parametrize(
        ("changes", "status", "error"),
        [
            ({"client_secret": "wrong"}, 401, "invalid_client"),
            ({"client_id": "wrong"}, 400, "unauthorized_client"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
            ({"scope": "https://graph.microsoft.com/.default"}, 400, "invalid_scope"),
            ({"scope": ""}, 400, "invalid_scope"),
        ],
    )
    def test_refuses_what_is_wrong(self, server: DemoServer, changes: dict[str, str], status: int, error: str) -> None:
        with Client(server, {}) as client:
            reply = client.post(self.form(server, **changes), "/oauth2/v2.0/token")
        assert (reply.status, json.loads(reply.body)["error"]) == (status, error)


class TestWire:
    def test_503(self, server: DemoServer) -> None:
        strike(server, trouble=Trouble.HTTP_503)
        with Client(server) as client:
            assert client.ask(FIND).status == 503
            assert client.ask(FIND).status == 200

    def test_401_now_and_then(self, server: DemoServer) -> None:
        strike(server, trouble=Trouble.HTTP_401)
        with Client(server) as client:
            assert [client.ask(FIND).status for _ in range(2)] == [401, 200]

    def test_a_redirect(self, server: DemoServer) -> None:
        strike(server, trouble=Trouble.REDIRECT, location="https://elsewhere.example/EWS/Exchange.asmx")
        with Client(server) as client:
            reply = client.ask(FIND)
        assert (reply.status, reply.headers["Location"]) == (302, "https://elsewhere.example/EWS/Exchange.asmx")

    @pytest.mark.parametrize("trouble", [Trouble.LOGIN_PAGE, Trouble.NOT_XML])
    def test_200_without_soap(self, server: DemoServer, trouble: Trouble) -> None:
        strike(server, trouble=trouble)
        with Client(server) as client:
            reply = client.ask(FIND)
        assert reply.status == 200
        assert b"Envelope" not in reply.body

    def test_cut_before_the_headers(self, server: DemoServer) -> None:
        strike(server, trouble=Trouble.CUT_BEFORE)
        with Client(server) as client, pytest.raises(http.client.RemoteDisconnected):
            client.ask(FIND)

    def test_cut_in_the_body(self, server: DemoServer) -> None:
        strike(server, trouble=Trouble.CUT_BODY)
        with Client(server) as client, pytest.raises(http.client.IncompleteRead) as cut:
            client.ask(FIND)
        assert cut.value.partial.startswith(b"<?xml")

    def test_a_slow_answer_comes_after_a_clients_patience(self, server: DemoServer) -> None:
        strike(server, trouble=Trouble.SLOW, seconds=60.0)
        with Client(server, timeout=0.05) as client, pytest.raises(TimeoutError):
            client.ask(FIND)

    def test_a_dripping_answer_is_whole(self, server: DemoServer) -> None:
        with Client(server) as client:
            right = client.ask(FIND)
            strike(server, trouble=Trouble.DRIP, seconds=0.02)
            assert client.ask(FIND).body == right.body

    def test_an_oversized_answer(self, server: DemoServer) -> None:
        strike(server, trouble=Trouble.OVERSIZED, size=3_000_001)
        with Client(server) as client:
            right = client.ask(FIND).body
            assert len(right) > 3_000_001
            assert codes(client.ask(FIND)) == ["NoError"]

    def test_a_gzip_bomb_is_small_until_it_is_unpacked(self, server: DemoServer) -> None:
        strike(server, trouble=Trouble.GZIP_BOMB, size=5_000_000)
        with Client(server) as client:
            reply = client.ask(FIND)
        assert reply.headers["Content-Encoding"] == "gzip"
        assert len(reply.body) < 20_000
        assert len(gzip.decompress(reply.body)) > 5_000_000

    @pytest.mark.parametrize(
        ("trouble", "entity"),
        [(Trouble.ENTITY_BOMB, b"&e9;</t:Value>"), (Trouble.EXTERNAL_ENTITY, b"&file;</t:Value>")],
    )
    def test_entities_in_every_value(self, server: DemoServer, trouble: Trouble, entity: bytes) -> None:
        with Client(server) as client:
            ids = item_ids(client.ask(FIND))
            strike(server, trouble=trouble, location="file:///nowhere")
            reply = client.ask(get_item(ids, CONDITION))
        assert b"<!DOCTYPE" in reply.body
        assert reply.body.count(entity) == 2

    def test_a_mailboxs_fault_strikes_no_other(self, server: DemoServer) -> None:
        server.organisation.mailboxes[ADDRESS].faults.append(Fault(Trouble.HTTP_503, times=None))
        with Client(server) as client:
            assert client.ask(find_item("b@corp.example")).status == 200
            assert client.ask(FIND).status == 503

    def test_a_fault_strikes_a_refused_request_too(self, server: DemoServer) -> None:
        strike(server, trouble=Trouble.HTTP_503)
        with Client(server) as client:
            assert client.ask(FIND, as_user="nobody@corp.example").status == 503


class TestLimits:
    def test_more_requests_at_a_time_than_allowed(self, organisation: Organisation) -> None:
        organisation.mailboxes[ADDRESS].faults.append(Fault(Trouble.SLOW, seconds=60.0))
        seen = threading.Event()
        with (
            DemoServer(organisation, concurrency=1, on_request=lambda _: seen.set()) as server,
            Client(server) as first,
            Client(server) as second,
        ):
            asking = threading.Thread(target=first.ask, args=(FIND,))
            asking.start()
            seen.wait(10)
            while not server.requests:
                server.stopping.wait(0.01)
            refused = second.ask(find_item("b@corp.example"))
            server.stopping.set()
            asking.join()
            later = second.ask(find_item("b@corp.example"))
        assert (refused.status, codes(refused)) == (500, ["ErrorExceededConnectionCount"])
        assert later.status == 200

    def test_compressed_where_the_client_can_read_it(self, organisation: Organisation) -> None:
        with DemoServer(organisation, compress=True) as server, Client(server) as client:
            plain = client.ask(FIND)
            packed = client.post(envelope(FIND, version="Exchange2013"), **{"Accept-Encoding": "gzip, deflate"})
        assert plain.headers["Content-Encoding"] is None
        assert gzip.decompress(packed.body) == plain.body

    def send(self, server: DemoServer, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
            raw.sendall(request)
            return raw.recv(65536).partition(b"\r\n")[0]

    @pytest.mark.parametrize(
        ("request_head", "status"),
        [
            (b"POST /EWS/Exchange.asmx HTTP/1.1\r\n\r\n", b"411"),
            (b"POST /EWS/Exchange.asmx HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
            (b"POST /EWS/Exchange.asmx HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (REQUEST_LIMIT + 1), b"413"),
            (b"POST /EWS/Exchange.asmx HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", b"431"),
            (b"\x16\x03\x01\x00\x01 no http\r\n", b"400"),
            (b"GET /nowhere HTTP/1.1\r\n\r\n", b"404"),
            (b"GET /EWS/Exchange.asmx HTTP/1.1\r\n\r\n", b"401"),
            (b"POST /EWS/Exchange.asmx HTTP/1.0\r\nContent-Length: 0\r\n\r\n", b"401"),
        ],
    )
    def test_odd_requests_are_refused(self, server: DemoServer, request_head: bytes, status: bytes) -> None:
        assert self.send(server, request_head).split()[1] == status

    def test_a_get_with_credentials_is_not_allowed(self, server: DemoServer) -> None:
        with Client(server) as client:
            client.connection.request("GET", "/EWS/Exchange.asmx", headers=client.headers)
            assert client.connection.getresponse().status == 405

    def test_stopping_ends_open_connections(self, organisation: Organisation) -> None:
        with DemoServer(organisation) as server:
            idle = Client(server)
            idle.ask(FIND)
        with idle:
            assert idle.connection.sock.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=10)


def test_tls_with_a_private_authority(organisation: Organisation) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    body = envelope(FIND, version="Exchange2013")
    account = organisation.account
    with DemoServer(organisation, tls=context) as server, authority.cert_pem.tempfile() as file:
        assert server.url.startswith("https://127.0.0.1:")
        for auth in ((account.principal, account.password), HttpNtlmAuth(account.principal, account.password)):
            with requests.Session() as session:
                session.auth = auth
                assert session.post(server.url, body, verify=file, timeout=10).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.post(server.url, body, timeout=10)


def test_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.exchange", "--mailboxes", "1000", "--senders", "3", "--trouble", "http-503"]
    with subprocess.Popen(
        [*command, "--share", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = re.fullmatch(r"http://127\.0\.0\.1:\d+/EWS/Exchange\.asmx", process.stdout.readline().strip())
        assert found
        headers = basic("svc-safelist@corp.example", "demo-Pa55word")
        body = envelope(find_item("user000999@corp.example"), version="Exchange2013")
        assert requests.post(found[0], body, headers=headers, timeout=10).status_code == 503
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "1 requests\n")
