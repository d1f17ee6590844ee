"""Log-in in each of its forms, TLS with a private CA, autodiscover."""

import importlib.util
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews import transport_errors
from safelist.collector.sources.ews.autodiscover import discover
from safelist.collector.sources.ews.connection import tls_context
from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.session import credentials_of
from safelist.config import Exchange as Settings
from safelist.errors import ConfigError
from tests.collector.ews_site import ALICE, QUICK, exchange, organisation, rule_of, settings
from tests.collector.test_ews_failures import assert_no_secret, failure_of
from tests.exchange import DemoServer, Fault, Trouble


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def tls_of(authority: trustme.CA, name: str = "127.0.0.1", not_after: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=not_after).configure_cert(context)
    return context


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[DemoServer]:
    with DemoServer(organisation(), tls=tls_of(authority), schemes=("ntlm", "basic", "bearer")) as running:
        yield running


@pytest.mark.parametrize("authentication", ["basic", "ntlm"])
@pytest.mark.parametrize("username", ["CORP\\svc-safelist", "svc-safelist@corp.example"])
def test_user_names_of_both_forms(secure: DemoServer, ca_file: str, authentication: str, username: str) -> None:
    with exchange(secure, ca_file=ca_file, authentication=authentication, username=username) as ews:
        for _ in range(3):
            assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
    assert secure.connections == 1, "NTLM authenticates the connection, once"


def test_ntlm_logs_in_again_on_a_new_connection(ca_file: str, authority: trustme.CA) -> None:
    with DemoServer(organisation(), tls=tls_of(authority), schemes=("ntlm",)) as server:
        with exchange(server, ca_file=ca_file, authentication="ntlm") as ews:
            ews.fetch(ALICE, None)
            server.organisation.faults.append(Fault(Trouble.CUT_BEFORE))
            assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
        assert server.connections == 2


def oauth(server: DemoServer, ca_file: str, secret: str | None = None) -> ExchangeServer:
    account = server.organisation.account
    keys = {"client_id": account.client_id, "tenant_id": "corp.example", "token_url": server.token_url}
    made = settings(server, authentication="oauth", username=None, ca_file=ca_file, **keys)
    return ExchangeServer(made, secret or account.client_secret, retry_policy=QUICK)


def test_oauth_client_credentials(secure: DemoServer, ca_file: str) -> None:
    with oauth(secure, ca_file) as ews:
        for _ in range(3):
            assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
    assert secure.connections <= 2, "one for the token, which Python 3.13 keeps, and at most one for EWS"


def test_an_ended_token_is_replaced_once(secure: DemoServer, ca_file: str) -> None:
    with oauth(secure, ca_file) as ews:
        ews.fetch(ALICE, None)
        secure.expire_tokens()
        assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()


def test_a_token_near_its_end_is_replaced_before(ca_file: str, authority: trustme.CA) -> None:
    site = DemoServer(organisation(), tls=tls_of(authority), schemes=("bearer",), token_lifetime=30)
    with site as server, oauth(server, ca_file) as ews:
        ews.fetch(ALICE, None)
        before = server.connections
        assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
        assert server.connections > before


def test_a_wrong_client_secret(secure: DemoServer, ca_file: str) -> None:
    with oauth(secure, ca_file, "wrong-client-Pa55word") as ews:
        error = failure_of(ews)
    assert error.reason is FailureReason.CREDENTIALS
    assert "invalid_client" in error.message
    assert_no_secret(error, "wrong-client-Pa55word")


def test_a_token_endpoint_that_is_not_there(secure: DemoServer, ca_file: str) -> None:
    account = secure.organisation.account
    keys = {"client_id": account.client_id, "tenant_id": "t", "token_url": "https://127.0.0.1:1/token"}
    made = settings(secure, authentication="oauth", username=None, ca_file=ca_file, **keys)
    with ExchangeServer(made, account.client_secret) as ews:
        error = failure_of(ews)
    assert (error.reason, "https://127.0.0.1:1/token" in error.message) == (FailureReason.UNREACHABLE, True)


def test_no_token_but_a_web_page(secure: DemoServer, ca_file: str) -> None:
    account = secure.organisation.account
    keys = {"client_id": account.client_id, "tenant_id": "t", "token_url": secure.url}
    made = settings(secure, authentication="oauth", username=None, ca_file=ca_file, **keys)
    with ExchangeServer(made, account.client_secret) as ews:
        assert failure_of(ews).reason is FailureReason.CREDENTIALS


def test_an_untrusted_certificate_is_refused(secure: DemoServer) -> None:
    with exchange(secure) as ews:
        error = failure_of(ews)
    assert (error.reason, "exchange.ca_file" in error.message) == (FailureReason.UNREACHABLE, True)
    assert secure.requests == []


def signed(
    name: str, key: ec.EllipticCurvePrivateKey, ca_key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
) -> bytes:
    """A certificate in PEM form without key identifiers, its one extension not critical."""
    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, "A CA of one's own"))
    built = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    dated = built.not_valid_before(datetime(2025, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2125, 1, 1, tzinfo=UTC))
    return dated.add_extension(extension, critical=False).sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_certificate_that_strict_checks_refuse_says_why(tmp_path: Path) -> None:
    """X509_VERIFY_STRICT is on from Python 3.13; a CA of one's own often lacks key identifiers."""
    pem, chain = tmp_path / "ca.pem", tmp_path / "server.pem"
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = signed("A CA of one's own", ca_key, ca_key, x509.BasicConstraints(ca=True, path_length=None))
    own = signed("server", key, ca_key, x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]))
    pem.write_bytes(ca)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(secret + own)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    context = tls_context(pem)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with DemoServer(organisation(), tls=tls) as server:
        address = server.url.split("/")[2].split(":")
        with (
            socket.create_connection((address[0], int(address[1])), timeout=60) as plain,
            pytest.raises(ssl.SSLCertVerificationError) as caught,
        ):
            context.wrap_socket(plain, server_hostname="127.0.0.1")
    failure = transport_errors.of_connection(caught.value, "https://127.0.0.1", 60, answered_before=False)
    assert isinstance(failure, FetchError)
    assert failure.reason is FailureReason.UNREACHABLE
    assert f"not trusted ({caught.value.verify_message}); issue it" in failure.message
    assert "Python 3.13" in failure.message


def test_the_environment_cannot_loosen_or_change_trust(
    secure: DemoServer, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
    monkeypatch.setenv("CURL_CA_BUNDLE", "")
    with exchange(secure) as ews:
        assert failure_of(ews).reason is FailureReason.UNREACHABLE


@pytest.mark.parametrize(
    ("name", "not_after", "word"),
    [
        ("mail.corp.example", None, "another name"),
        ("127.0.0.1", datetime(2021, 1, 1, tzinfo=UTC), "expired"),
    ],
)
def test_a_wrong_certificate_is_refused(
    authority: trustme.CA, ca_file: str, name: str, not_after: datetime | None, word: str
) -> None:
    with DemoServer(organisation(), tls=tls_of(authority, name, not_after)) as server:
        with exchange(server, ca_file=ca_file) as ews:
            error = failure_of(ews)
        assert (error.reason, word in error.message) == (FailureReason.UNREACHABLE, True)
        assert server.requests == []


def test_a_port_without_tls() -> None:
    with DemoServer(organisation()) as server, exchange(server, endpoint=server.url.replace("http:", "https:")) as ews:
        error = failure_of(ews)
    assert (error.reason, "TLS" in error.message) == (FailureReason.UNREACHABLE, True)


def test_a_bad_ca_file_is_a_fault_of_the_configuration(secure: DemoServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"exchange\.ca_file.*cannot be read"):
        ExchangeServer(settings(secure, ca_file=str(tmp_path / "none.pem")), "x")
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"exchange\.ca_file.*no certificate in PEM"):
        ExchangeServer(settings(secure, ca_file=str(tmp_path / "text.pem")), "x")


def test_kerberos_needs_its_extra(secure: DemoServer) -> None:
    made = Settings.model_validate({"endpoint": secure.url, "authentication": "kerberos"})
    if importlib.util.find_spec("requests_gssapi"):
        ExchangeServer(made, None).close()
        return
    with pytest.raises(ConfigError, match=r"pip install '\.\[kerberos\]'"):
        ExchangeServer(made, None)


def test_an_empty_secret_is_refused(secure: DemoServer) -> None:
    with pytest.raises(ConfigError, match="secret"):
        ExchangeServer(settings(secure), "")


def discovering(server: DemoServer, ca_file: str, **changes: str) -> Settings:
    keys = {"authentication": "ntlm", "ca_file": ca_file, "autodiscover": ALICE} | changes
    return settings(server, endpoint=None, **keys)


def test_autodiscover_names_the_endpoint(secure: DemoServer, ca_file: str) -> None:
    made = discovering(secure, ca_file)
    account = secure.organisation.account
    nowhere = "https://127.0.0.1:1/autodiscover/autodiscover.svc"
    context = tls_context(made.ca_file)
    found = discover(made, credentials_of(made, account.password), context, (nowhere, secure.autodiscover_url))
    assert found == secure.url


def test_autodiscover_with_a_wrong_password(secure: DemoServer, ca_file: str) -> None:
    made = discovering(secure, ca_file)
    context, wrong = tls_context(made.ca_file), "wrong-Pa55word"
    with pytest.raises(FetchError) as caught:
        discover(made, credentials_of(made, wrong), context, (secure.autodiscover_url,))
    assert caught.value.reason is FailureReason.CREDENTIALS
    assert_no_secret(caught.value, wrong)


def test_autodiscover_finds_nothing(secure: DemoServer, ca_file: str) -> None:
    made = discovering(secure, ca_file, autodiscover="alice@corp.invalid")
    with ExchangeServer(made, "x") as ews:
        error = failure_of(ews)
    assert error.reason is FailureReason.UNREACHABLE
    assert "https://autodiscover.corp.invalid/" in error.message
    assert "exchange.endpoint" in error.message
