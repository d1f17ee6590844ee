"""What is printed to be typed explains the mail as it was judged, and does nothing else in a shell."""

import shlex
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from safelist.rejections.collected import RefusedMail
from safelist.rejections.rejection import LogPlace, Rejection, RejectionKind
from safelist.rejections.why_command import WhyCommand
from safelist.sender import Form, Pattern, envelope, typed, unquoted

NOW = datetime(2026, 11, 26, 15, tzinfo=UTC)
FIRST = datetime(2026, 11, 20, 4, 0, 7, tzinfo=UTC)


def mail(day: str, sender: str = "bob@aol.com", recipient: str = "desk@corp.example") -> RefusedMail:
    rejection = Rejection(NOW, RejectionKind.REJECTED, LogPlace("x", 1), "", sender=sender, recipient=recipient)
    return RefusedMail(1, day, 1, "lifted", "quorum", None, rejection)


@pytest.mark.parametrize(
    ("day", "zone", "at"),
    [
        ("2026-11-24", "UTC", " --at 2026-11-24"),
        ("2026-11-24", "Europe/Berlin", " --at 2026-11-24T22:59:59Z"),
        ("2026-11-20", "UTC", " --at 2026-11-20"),
        ("2026-11-19", "UTC", " --at 2026-11-20T04:00:07Z"),
        ("2026-11-26", "UTC", ""),
        ("2026-11-27", "Pacific/Auckland", ""),
        ("9999-12-31", "America/New_York", ""),
    ],
)
def test_it_asks_as_of_when_the_mail_was_judged(day: str, zone: str, at: str) -> None:
    command = WhyCommand(ZoneInfo(zone), FIRST, NOW, "").of(mail(day))
    assert command == f"safelist audit why bob@aol.com --recipient desk@corp.example{at}"


def test_lists_that_were_never_collected_are_asked_as_of_the_day() -> None:
    command = WhyCommand(UTC, None, NOW + timedelta(days=1), "")
    assert command.of(mail("2026-11-19")).endswith(" --at 2026-11-19")


def test_the_recipient_is_the_mailbox() -> None:
    command = WhyCommand(UTC, FIRST, NOW, "+").of(mail("2026-11-26", recipient="desk+news@corp.example"))
    assert command == "safelist audit why bob@aol.com --recipient desk@corp.example"


@pytest.mark.parametrize(
    "text", ['"$(reboot)"@x.example', "a;reboot@x.example", "'`reboot`'@x.example", "-h@x.example", "a b&@x.example"]
)
def test_a_shell_takes_whatever_stands_in_a_log_for_one_word(text: str) -> None:
    words = shlex.split(WhyCommand(UTC, FIRST, NOW, "").of(mail("2026-11-26", text, text)))
    text = envelope(unquoted(Pattern(text, Form.ADDRESS))).text
    about = ["--recipient", text]
    assert typed(text).text == text
    assert words[:3] == ["safelist", "audit", "why"]
    assert words[3:] == ([*about, "--", text] if text[0] == "-" else [text, *about])
