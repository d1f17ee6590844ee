"""`safelist notify`: the mail about a unit that has failed, as a real mail server gets it."""

import email
import email.policy
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.postfix.servers import mailboxes, missing, refusing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def test_root_learns_which_unit_failed_how_and_where_to_look(tmp_path: Path) -> None:
    with mailboxes(lmtp=False) as inboxes:
        done = Command(tmp_path)(
            "notify", "safelist@branch.service", "--server", f"127.0.0.1:{inboxes.port}",
            MONITOR_SERVICE_RESULT="exit-code", MONITOR_EXIT_STATUS="75",
        )  # fmt: skip
        assert (done.code, done.out, done.err) == (0, "", "")
        mail = email.message_from_string(inboxes.mail("safelist@branch.service"), policy=email.policy.default)
    assert str(mail["Subject"]).startswith("safelist@branch.service failed on ")
    assert (mail["To"], mail["Auto-Submitted"]) == ("root", "auto-generated")
    text = mail.get_content()
    assert " has failed (exit-code, exit code 75). " in text
    assert "journalctl -u safelist@branch.service\n" in text


def test_a_server_that_takes_no_mail_is_named(tmp_path: Path) -> None:
    with refusing("rcpt", "554 5.7.1 not you") as port:
        done = Command(tmp_path)("notify", "safelist.service", "--server", f"127.0.0.1:{port}", "--to", "ops@a.example")
    assert (done.code, f"127.0.0.1:{port} takes no mail" in done.err) == (69, True)
    assert "not you" in done.err


@pytest.mark.parametrize(
    "arguments", [["x.service", "--server", "localhost"], ["x.service", "--server", "a:99999"], ["x\nBcc: y@z.example"]]
)
def test_what_cannot_be_is_told(tmp_path: Path, arguments: list[str]) -> None:
    done = Command(tmp_path)("notify", *arguments)
    assert (done.code, done.out) == (64, "")
