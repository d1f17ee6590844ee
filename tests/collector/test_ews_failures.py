"""Every trouble of the wire and of Exchange has its reason, is survived where it can be, and betrays no secret."""

import base64
import socket
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from safelist.collector.failure import FailureReason, FetchError
from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.response_codes import RequestContext, explain
from safelist.collector.sources.ews.retry import RetryPolicy
from safelist.collector.sources.ews.secret import SecretMask
from tests.collector.ews_site import ALICE, BOB, exchange, operations, organisation, rule_of
from tests.exchange import DemoServer, Fault, Trouble

BOMB = 40 << 20


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(organisation(ALICE, BOB, "lost@corp.example")) as running:
        yield running


def failure_of(ews: ExchangeServer, address: str = ALICE) -> FetchError:
    with pytest.raises(FetchError) as caught:
        ews.fetch(address, None)
    return caught.value


def assert_no_secret(error: BaseException, *secrets: str) -> None:
    shown = str(error) + repr(error) + "".join(traceback.format_exception(error)) + repr(vars(error))
    for secret in secrets:
        assert secret not in shown


LASTING = [
    (Fault(Trouble.SERVER_BUSY, times=None), FailureReason.THROTTLED, "exchange.workers"),
    (Fault(Trouble.SERVER_BUSY, times=None, back_off_ms=5), FailureReason.THROTTLED, "exchange.workers"),
    (Fault(Trouble.SERVER_BUSY_INNER, times=None), FailureReason.THROTTLED, "exchange.workers"),
    (Fault(Trouble.HTTP_503, times=None), FailureReason.THROTTLED, "503"),
    (Fault(Trouble.CONNECTION_COUNT, times=None), FailureReason.THROTTLED, "exchange.workers"),
    (Fault(Trouble.CUT_BEFORE, times=None), FailureReason.UNREACHABLE, "closing the connection"),
    (Fault(Trouble.CUT_BODY, times=None), FailureReason.UNREACHABLE, "closing the connection"),
    (Fault(Trouble.SERVER_VERSION, times=None), FailureReason.SERVER_ERROR, "2013"),
    (Fault(Trouble.HTTP_401, times=None), FailureReason.CREDENTIALS, "exchange.username"),
    (Fault(Trouble.REDIRECT, times=None, location="https://evil.example/EWS"), FailureReason.REDIRECT, "not followed"),
    (Fault(Trouble.LOGIN_PAGE, times=None), FailureReason.UNREADABLE, "web page"),
    (Fault(Trouble.NOT_XML, times=None), FailureReason.UNREADABLE, "not XML"),
    (Fault(Trouble.OVERSIZED, times=None, size=BOMB), FailureReason.UNREADABLE, "longer than"),
    (Fault(Trouble.GZIP_BOMB, times=None, size=BOMB), FailureReason.UNREADABLE, "longer than"),
    (Fault(Trouble.ENTITY_BOMB, times=None), FailureReason.UNREADABLE, "document type"),
    (
        Fault(Trouble.EXTERNAL_ENTITY, times=None, location="file:///etc/hostname"),
        FailureReason.UNREADABLE,
        "document type",
    ),
    (
        Fault(Trouble.OTHER_MAILBOX, times=None, other=BOB, operation="GetItem"),
        FailureReason.WRONG_MAILBOX,
        "another item",
    ),
    (Fault(Trouble.EMPTY_BINARY, times=None), FailureReason.UNREADABLE, "empty"),
    (Fault(Trouble.MISSING_CONDITION, times=None), FailureReason.UNREADABLE, "no condition"),
    (Fault(Trouble.GARBAGE_BASE64, times=None), FailureReason.UNREADABLE, "base64"),
    (Fault(Trouble.SOAP_FAULT, times=None, code="ErrorNonExistentMailbox"), FailureReason.NOT_FOUND, "no such mailbox"),
    (Fault(Trouble.MESSAGE_ERROR, times=None, code="ErrorMailboxMoveInProgress"), FailureReason.UNAVAILABLE, "moved"),
    (
        Fault(Trouble.MESSAGE_ERROR, times=None, code="ErrorMailboxStoreUnavailable"),
        FailureReason.UNAVAILABLE,
        "again later",
    ),
    (
        Fault(Trouble.MESSAGE_ERROR, times=None, code="ErrorAccessDenied"),
        FailureReason.DENIED,
        "ApplicationImpersonation",
    ),
    (Fault(Trouble.SOAP_FAULT, times=None, code="ErrorImpersonateUserDenied"), FailureReason.DENIED, "ManagementRole"),
    (Fault(Trouble.SOAP_FAULT, times=None, code="ErrorCorruptData"), FailureReason.SERVER_ERROR, "ErrorCorruptData"),
    (Fault(Trouble.MESSAGE_ERROR, times=None, code="ErrorTimeoutExpired"), FailureReason.THROTTLED, "busy"),
]


@pytest.mark.parametrize(("fault", "reason", "word"), LASTING, ids=lambda v: getattr(v, "trouble", None))
def test_a_lasting_trouble_has_its_reason(server: DemoServer, fault: Fault, reason: FailureReason, word: str) -> None:
    server.organisation.mailboxes[ALICE].faults.append(fault)
    with exchange(server) as ews:
        error = failure_of(ews)
        assert error.reason is reason
        assert word in error.message
        assert "\n" not in error.message
        assert_no_secret(error, server.organisation.account.password)
        assert rule_of(ews.fetch(BOB, None)).condition == BOB.encode()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Trouble.SERVER_BUSY, times=3),
        Fault(Trouble.SERVER_BUSY, times=3, back_off_ms=5),
        Fault(Trouble.SERVER_BUSY, times=3, back_off_ms=10**9),
        Fault(Trouble.SERVER_BUSY, times=3, back_off_ms=-5000),
        Fault(Trouble.SERVER_BUSY_INNER, times=3, back_off_ms=5),
        Fault(Trouble.HTTP_503, times=3),
        Fault(Trouble.CONNECTION_COUNT, times=3),
        Fault(Trouble.CUT_BEFORE, times=3),
        Fault(Trouble.CUT_BODY, times=3),
        Fault(Trouble.MESSAGE_ERROR, times=3, code="ErrorInternalServerTransientError"),
    ],
    ids=lambda fault: f"{fault.trouble}-{fault.back_off_ms}",
)
@pytest.mark.parametrize("operation", ["FindItem", "GetItem"])
def test_a_passing_trouble_is_survived(server: DemoServer, fault: Fault, operation: str) -> None:
    for _ in range(fault.times or 0):
        server.organisation.mailboxes[ALICE].faults.append(Fault(fault.trouble, operation=operation, code=fault.code))
    with exchange(server) as ews:
        rule = rule_of(ews.fetch(ALICE, None))
    assert (rule.condition, rule.duplicates) == (ALICE.encode(), 0)
    assert operations(server).count(operation) == 4
    assert len(operations(server)) == 5


def test_tries_are_bounded(server: DemoServer) -> None:
    server.organisation.faults.append(Fault(Trouble.HTTP_503, times=None))
    with exchange(server, retry_policy=RetryPolicy(attempts=3, first=0.001)) as ews:
        failure_of(ews)
    assert operations(server) == ["FindItem"] * 3


def test_the_time_of_one_request_is_bounded(server: DemoServer) -> None:
    server.organisation.faults.append(Fault(Trouble.SERVER_BUSY, times=None, back_off_ms=60_000))
    with exchange(server, retry_policy=RetryPolicy(total=30)) as ews:
        assert failure_of(ews).reason is FailureReason.THROTTLED
    assert operations(server) == ["FindItem"]


def test_a_missing_right_is_named_for_the_access_in_use(server: DemoServer) -> None:
    box = server.organisation.mailboxes[ALICE]
    box.impersonation = box.delegate = False
    with exchange(server) as ews:
        error = failure_of(ews)
    assert (error.reason, "ApplicationImpersonation" in error.message) == (FailureReason.DENIED, True)
    with exchange(server, access="delegate") as ews:
        error = failure_of(ews)
    assert (error.reason, "Add-MailboxPermission alice@corp.example" in error.message) == (FailureReason.DENIED, True)


def test_a_disabled_account_is_the_mailboxs_and_not_the_service_accounts(server: DemoServer) -> None:
    server.organisation.mailboxes[ALICE].faults.append(
        Fault(Trouble.SOAP_FAULT, times=None, code="ErrorAccountDisabled")
    )
    with exchange(server) as ews:
        error = failure_of(ews)
    assert (error.reason, error.code) == (FailureReason.DENIED, "ErrorAccountDisabled")
    assert "safelist forget alice@corp.example" in error.message
    assert "mailboxes.exclude" in error.message


def test_a_disabled_account_is_the_service_accounts_where_nobody_is_impersonated() -> None:
    error = explain("ErrorAccountDisabled", RequestContext("all@corp.example", "impersonation", "svc", is_group=True))
    assert error.reason is FailureReason.CREDENTIALS


def test_every_failure_that_exchange_names_carries_its_code() -> None:
    for code in ("ErrorAccessDenied", "ErrorServerBusy", "ErrorMailboxNotFound", "ErrorPasswordExpired", "ErrorOdd"):
        assert explain(code, RequestContext(ALICE, "impersonation", "svc")).code == code


def test_an_unknown_mailbox_is_corrected_where_it_is_named(server: DemoServer) -> None:
    with exchange(server) as ews:
        message = failure_of(ews, "nobody@corp.example").message
    assert "correct its address in [mailboxes]" in message
    assert "where it is a member of a group, name it in mailboxes.exclude" in message


@pytest.mark.parametrize("access", ["impersonation", "delegate"])
def test_unknown_and_secondary_addresses(server: DemoServer, access: str) -> None:
    with exchange(server, access=access) as ews:
        assert failure_of(ews, "nobody@corp.example").reason is FailureReason.NOT_FOUND


@pytest.mark.parametrize("trouble", [Trouble.SLOW, Trouble.DRIP, Trouble.ENDLESS_HEADER])
def test_an_answer_that_takes_too_long_is_given_up(server: DemoServer, trouble: Trouble) -> None:
    server.organisation.mailboxes[ALICE].faults.append(Fault(trouble, times=None, seconds=4))
    with exchange(server, timeout=1) as ews:
        error = failure_of(ews)
    assert error.reason is FailureReason.TIMEOUT
    assert "1 seconds" in error.message
    assert operations(server) == ["FindItem"]


@pytest.mark.parametrize("authentication", ["basic", "ntlm"])
def test_a_wrong_password_is_tried_once(server: DemoServer, authentication: str) -> None:
    with exchange(server, secret="not-the-Pa55word", authentication=authentication) as ews:
        error = failure_of(ews)
    assert error.reason is FailureReason.CREDENTIALS
    assert "NTLM, Basic" in error.message
    assert_no_secret(error, "not-the-Pa55word")
    assert server.connections == 1


@pytest.mark.parametrize("authentication", ["basic", "ntlm"])
def test_a_passing_401_in_the_middle_of_a_run_is_survived(server: DemoServer, authentication: str) -> None:
    with exchange(server, authentication=authentication) as ews:
        ews.fetch(BOB, None)
        server.organisation.mailboxes[ALICE].faults.append(Fault(Trouble.HTTP_401))
        assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()
        server.organisation.mailboxes[ALICE].faults.append(Fault(Trouble.HTTP_401, times=None))
        server.reset()
        assert failure_of(ews).reason is FailureReason.CREDENTIALS
    assert len(server.requests) <= 4


def test_nobody_listens() -> None:
    with DemoServer(organisation()) as server:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            endpoint = f"http://127.0.0.1:{free.getsockname()[1]}/EWS/Exchange.asmx"
            with exchange(server, endpoint=endpoint) as ews:
                error = failure_of(ews)
        assert (error.reason, "firewall" in error.message, endpoint in error.message) == (
            FailureReason.UNREACHABLE,
            True,
            True,
        )


def test_a_host_that_takes_no_connection(server: DemoServer) -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(deaf.getsockname())
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}/EWS/Exchange.asmx"
        with exchange(server, endpoint=endpoint, timeout=1) as ews:
            error = failure_of(ews)
    assert (error.reason, "firewall" in error.message) == (FailureReason.UNREACHABLE, True)


def test_a_name_that_does_not_exist(server: DemoServer) -> None:
    with exchange(server, endpoint="https://mail.invalid/EWS/Exchange.asmx") as ews:
        error = failure_of(ews)
    assert error.reason is FailureReason.UNREACHABLE
    assert "DNS" in error.message


def test_no_ews_at_that_path(server: DemoServer) -> None:
    with exchange(server, endpoint=server.url.replace("Exchange.asmx", "Other.asmx")) as ews:
        error = failure_of(ews)
    assert (error.reason, "404" in error.message) == (FailureReason.UNREACHABLE, True)


def test_the_proxy_of_the_environment_is_used(server: DemoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url.partition("/EWS")[0].replace("//", "//me:proxy-Pa55@"))
    with exchange(server, endpoint="http://localhost:1/EWS/Exchange.asmx") as ews:
        error = failure_of(ews)
    assert "404" in error.message, "the demo, as the proxy, knows no such address"
    assert_no_secret(error, "proxy-Pa55")
    monkeypatch.setenv("http_proxy", "http://me:proxy-Pa55@127.0.0.1:1")
    with exchange(server) as ews:
        error = failure_of(ews)
    assert (error.reason, "proxy" in error.message) == (FailureReason.UNREACHABLE, True)
    assert_no_secret(error, "proxy-Pa55")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with exchange(server) as ews:
        assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()


def test_netrc_is_not_read(server: DemoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("default login other password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with exchange(server) as ews:
        assert rule_of(ews.fetch(ALICE, None)).condition == ALICE.encode()


def test_hostile_codes_do_not_reach_the_terminal(server: DemoServer) -> None:
    fault = Fault(Trouble.SOAP_FAULT, times=None, code="Error&#x9b;2J&#10;root: rm -rf")
    server.organisation.mailboxes[ALICE].faults.append(fault)
    with exchange(server) as ews:
        assert failure_of(ews).message.isprintable()


@pytest.mark.parametrize("is_group", [True, False])
@pytest.mark.parametrize("access", ["impersonation", "delegate"])
@pytest.mark.parametrize(
    "code", ["ErrorAccessDenied", "ErrorServerBusy", "ErrorNonPrimarySmtpAddress", "ErrorPasswordExpired", "ErrorX", ""]
)
def test_each_message_is_one_sentence_with_advice(code: str, access: str, is_group: bool) -> None:
    error = explain(code, RequestContext("a@x.example", access, "CORP\\svc", is_group))
    assert error.message.isprintable()
    assert ";" in error.message
    assert not error.message.endswith(".")


def test_a_secret_that_the_server_sends_back_is_not_repeated() -> None:
    secret = "ErrorPa55word7"
    site = organisation()
    site.account = replace(site.account, password=secret)
    site.mailboxes[ALICE].faults.append(Fault(Trouble.SOAP_FAULT, times=None, code=f"{secret}x"))
    with DemoServer(site) as server, exchange(server) as ews:
        error = failure_of(ews)
    assert "Exchange answered ***x" in error.message
    assert_no_secret(error, secret)


def test_a_secret_is_hidden_in_each_form_in_which_it_is_sent() -> None:
    mask = SecretMask("Pa55 w&rd", "svc")
    sent = "Pa55 w&rd Pa55%20w%26rd Pa55+w%26rd " + base64.b64encode(b"svc:Pa55 w&rd").decode() + " token"
    assert mask.in_text(sent, "token") == "*** *** *** *** ***"
    assert SecretMask("x", "svc").in_text("exchange.endpoint") == "exchange.endpoint"
