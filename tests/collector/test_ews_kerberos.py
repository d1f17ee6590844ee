"""Kerberos against a real KDC on loopback; needs the extra ``kerberos`` and the package krb5-kdc."""

import base64
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.config import Exchange as Settings
from tests.collector.ews_site import ALICE, QUICK, organisation, rule_of
from tests.exchange.operations import answer

gssapi = pytest.importorskip("gssapi", reason="install the extra: safelist[kerberos]")
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
if not shutil.which("krb5kdc", path=SBIN):
    pytest.skip("install krb5-kdc and krb5-admin-server", allow_module_level=True)

KRB5_CONF = """
[libdefaults]
 default_realm = CORP.EXAMPLE
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 CORP.EXAMPLE = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = CORP.EXAMPLE
"""
KDC_CONF = """
[realms]
 CORP.EXAMPLE = {{
  database_name = {folder}/database
  key_stash_file = {folder}/stash
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
 }}
"""


def run(*command: str, given: str | None = None) -> None:
    environment = os.environ | {"PATH": SBIN}
    subprocess.run(command, check=True, capture_output=True, input=given, text=True, env=environment, timeout=60)


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("the KDC did not start")


@pytest.fixture
def realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A KDC with the account ``svc`` and the service HTTP/localhost; no ticket yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "krb5.conf").write_text(KRB5_CONF.format(port=port))
    (tmp_path / "kdc.conf").write_text(KDC_CONF.format(port=port, folder=tmp_path))
    for name, value in {"KRB5_CONFIG": "krb5.conf", "KRB5_KDC_PROFILE": "kdc.conf", "KRB5_KTNAME": "keytab"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/tickets")
    run("kdb5_util", "create", "-s", "-P", "master")
    for query in ("addprinc -pw demo svc", "addprinc -randkey HTTP/localhost", "ktadd HTTP/localhost"):
        run("kadmin.local", "-q", query)
    command = [shutil.which("krb5kdc", path=SBIN) or "krb5kdc", "-n"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as kdc:
        try:
            await_port(port, kdc)
            yield tmp_path
        finally:
            kdc.terminate()


class Negotiating(BaseHTTPRequestHandler):
    """EWS behind Negotiate, which authenticates the connection as IIS does."""

    protocol_version = "HTTP/1.1"
    server: "Server"
    client = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = (self.headers.get("Authorization") or "").partition("Negotiate ")[2]
        if token and not self.client:
            context = gssapi.SecurityContext(usage="accept", channel_bindings=self.server.bindings)
            context.step(base64.b64decode(token))
            self.client = str(context.initiator_name)
            self.server.log_ons.append(self.client)
        if not self.client:
            self.send(401, b"")
            return
        asked, answered = answer(self.server.organisation, body)
        self.server.asked.append(asked.operation)
        self.close_connection = self.server.hang_up
        self.send(answered.status, answered.body)

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("WWW-Authenticate", "Negotiate")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    organisation = organisation()
    hang_up = False
    bindings = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Negotiating)
        self.log_ons: list[str] = []
        self.asked: list[str] = []


@pytest.fixture
def server(realm: Path) -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def exchange(server: Server) -> ExchangeServer:
    endpoint = f"http://localhost:{server.server_address[1]}/EWS/Exchange.asmx"
    made = Settings.model_validate({"endpoint": endpoint, "authentication": "kerberos"})
    return ExchangeServer(made, None, retry_policy=QUICK)


def test_the_ticket_logs_in_once_a_connection(server: Server) -> None:
    run("kinit", "svc", given="demo\n")
    with exchange(server) as ews:
        for _ in range(2):
            assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
        assert server.log_ons == ["svc@CORP.EXAMPLE"]
        server.hang_up = True
        assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
    assert server.log_ons == ["svc@CORP.EXAMPLE"] * 2
    assert server.asked == ["FindItem", "GetItem"] * 3


def test_without_a_ticket(server: Server) -> None:
    with exchange(server) as ews, pytest.raises(FetchError) as caught:
        ews.fetch(ALICE, None)
    assert caught.value.reason is FailureReason.CREDENTIALS
    assert "kinit" in caught.value.message
    assert server.asked == []


def test_the_channel_is_bound_to_the_certificate(server: Server, tmp_path: Path) -> None:
    """MIT's acceptor refuses bindings other than its own, and lets in who sends none: so both are tried."""
    run("kinit", "svc", given="demo\n")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    endpoint = f"https://localhost:{server.server_address[1]}/EWS/Exchange.asmx"
    keys = {"endpoint": endpoint, "authentication": "kerberos", "ca_file": str(tmp_path / "ca.pem")}
    made = Settings.model_validate(keys)
    expected = b"tls-server-end-point:" + hashlib.sha256(der).digest()
    server.bindings = gssapi.raw.ChannelBindings(application_data=expected)
    with ExchangeServer(made, None, retry_policy=QUICK) as ews:
        assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
    assert server.log_ons == ["svc@CORP.EXAMPLE"]
    server.bindings = gssapi.raw.ChannelBindings(application_data=b"tls-server-end-point:another")
    with ExchangeServer(made, None, retry_policy=QUICK) as ews, pytest.raises(FetchError):
        ews.fetch(ALICE, None)
    assert server.log_ons == ["svc@CORP.EXAMPLE"]
