"""Each mail once."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.rejections.collected import CollectedMails
from safelist.rejections.providers import UNNAMED
from safelist.rejections.rejection import Listed, LogPlace, Rejection, RejectionKind, Stage
from safelist.rejections.rescue import judged_at

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
IT = Rejection(
    NOON, RejectionKind.REJECTED, LogPlace("mail.log", 7), "554 5.7.1 blocked", "192.0.2.9", "mx.example",
    "Bob@AOL.com", "you@corp.example", Stage.RCPT, "zen.spamhaus.org", Listed.CLIENT,
)  # fmt: skip


def test_what_goes_in_comes_out() -> None:
    with CollectedMails(UTC) as mails:
        bare = Rejection(NOON + timedelta(seconds=1.25), RejectionKind.DISCONNECTED, LogPlace("x", 1), "")
        mails.add([IT, bare])
        assert [(mail.day, mail.attempts, mail.rejection) for mail in mails.mails()] == [
            ("2026-11-20", 1, IT), ("2026-11-20", 1, bare),
        ]  # fmt: skip
        assert mails.count("domain") == [(None, 1, 1), ("aol.com", 1, 1)]


@pytest.mark.parametrize(
    ("other", "mails_"),
    [
        (IT._replace(at=NOON + timedelta(hours=11)), 1),
        (IT._replace(at=NOON + timedelta(hours=13)), 2),
        (IT._replace(sender="bob@aol.COM", recipient="You@corp.example"), 1),
        (IT._replace(sender="eve@aol.com"), 2),
        (IT._replace(sender=None), 2),
        (IT._replace(sender=""), 2),
        (IT._replace(recipient="me@corp.example"), 2),
        (IT._replace(client="192.0.2.10"), 2),
        (IT._replace(kind=RejectionKind.DEFERRED, reply="450 later"), 1),
        (IT._replace(kind=RejectionKind.BOUNCED), 2),
        (IT._replace(provider="other.example"), 1),
    ],
)
def test_retries_are_one_mail(other: Rejection, mails_: int) -> None:
    with CollectedMails(UTC) as mails:
        mails.add([IT, other])
        assert len(list(mails.mails())) == mails_
        assert mails.total("sum(attempts)") == (2,)


@pytest.mark.parametrize("providers", [(UNNAMED, "zen.spamhaus.org"), ("zen.spamhaus.org", UNNAMED)])
def test_a_list_that_one_log_names_has_that_name(providers: tuple[str, str]) -> None:
    """Exchange's protocol log has its own reply, and its agent log the list, of the same mail."""
    with CollectedMails(UTC) as mails:
        mails.add(IT._replace(provider=each) for each in (*providers, None))
        assert mails.count("provider") == [("zen.spamhaus.org", 1, 3)]


def test_a_day_is_one_of_the_logs_zone() -> None:
    with CollectedMails(ZoneInfo("Pacific/Auckland")) as mails:
        mails.add([IT, IT._replace(at=NOON - timedelta(hours=2))])
        assert [mail.day for mail in mails.mails()] == ["2026-11-20", "2026-11-21"]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/New_York"])
def test_a_forged_time_stops_nothing(zone: str) -> None:
    ends = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    with CollectedMails(ZoneInfo(zone)) as mails:
        mails.add(IT._replace(at=at) for at in ends)
        found = list(mails.mails())
    assert [mail.rejection.at for mail in found] == list(ends)
    assert [judged_at(mail.day, ZoneInfo(zone), None, NOON) <= NOON for mail in found] == [True, True]


_ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns")
_SECONDS = st.integers(365 * 86400, 90 * 365 * 86400)


@given(st.sampled_from(_ZONES), st.lists(_SECONDS, max_size=20))
def test_the_day_is_the_calendars_whatever_came_before(name: str, times: list[int]) -> None:
    zone = ZoneInfo(name)
    near = [datetime.fromtimestamp(at + 60 * minutes, UTC) for at in times for minutes in (0, 1, 14, 15, 46)]
    with CollectedMails(zone) as mails:
        mails.add(IT._replace(at=at, sender=f"a{n}@x.example") for n, at in enumerate(near))
        found = {mail.rejection.sender: mail.day for mail in mails.mails()}
    assert found == {f"a{n}@x.example": at.astimezone(zone).date().isoformat() for n, at in enumerate(near)}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_dns_blocklist_is_told_before_another_reason(is_first: bool) -> None:
    other = IT._replace(
        provider=None, listed=None, kind=RejectionKind.DEFERRED, reply="450 greylisted", place=LogPlace("b", 1)
    )
    with CollectedMails(UTC) as mails:
        mails.add([IT, other] if is_first else [other, IT])
        assert [(mail.attempts, mail.rejection) for mail in mails.mails()] == [(2, IT)]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_refusal_is_told_before_a_warning_of_a_list(is_first: bool) -> None:
    """What would have been lifted is no mail that was refused for another reason."""
    unknown = IT._replace(provider=None, listed=None, reply="550 5.1.1 User unknown", place=LogPlace("b", 1))
    warning = IT._replace(kind=RejectionKind.WARNED)
    with CollectedMails(UTC) as mails:
        mails.add([warning, unknown] if is_first else [unknown, warning])
        assert [(mail.attempts, mail.rejection) for mail in mails.mails()] == [(2, unknown)]


def test_a_message_that_one_log_tells_without_recipients_is_forgotten_where_another_names_them() -> None:
    """As Exim's main log and reject log do."""
    after = IT._replace(stage=Stage.MESSAGE, provider=None, listed=None)
    others = [
        after._replace(recipient=None),
        after._replace(recipient=None, sender="eve@aol.com"),
        after._replace(recipient=None, at=NOON + timedelta(hours=1), client="192.0.2.10"),
        IT._replace(recipient=None, sender="mallory@aol.com"), IT._replace(sender="mallory@aol.com"),
    ]  # fmt: skip
    with CollectedMails(UTC) as mails:
        mails.add([after, after._replace(recipient="me@corp.example"), *others])
        mails.forget_doubles()
        assert {mail.rejection for mail in mails.mails()} == {
            after, after._replace(recipient="me@corp.example"), *others[1:],
        }  # fmt: skip


def test_portions_hold_every_mail_once_whatever_is_noted_meanwhile() -> None:
    with CollectedMails(UTC) as mails:
        mails.add(IT._replace(sender=f"a{n}@aol.com") for n in range(5000))
        seen = []
        for portion in mails.portions("rescue IS NULL", 700):
            seen += [mail.rejection.sender for mail in portion]
            mails.judge((mail.id, "lifted", "quorum", "spf") for mail in portion)
        assert seen == [f"a{n}@aol.com" for n in range(5000)]
        assert mails.count("rescue, reason, authentication") == [("lifted", "quorum", "spf", 5000, 5000)]


@pytest.mark.parametrize("text", ["a\x00b@x", "a\x1fb@x", "\udce9", "'); DROP TABLE mail; --", "x" * 100_000, "\x01"])
def test_whatever_stands_in_a_log_is_kept_as_it_is(text: str) -> None:
    text = text.encode(errors="backslashreplace").decode()
    with CollectedMails(UTC) as mails:
        mails.add([IT._replace(sender=text, recipient=text, reply=text, host=text)])
        (mail,) = mails.mails()
        assert {mail.rejection.sender, mail.rejection.recipient, mail.rejection.reply, mail.rejection.host} == {text}
