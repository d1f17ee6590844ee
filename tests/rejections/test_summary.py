"""What collected mails come to, and the lines in which it is told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from safelist.policy import Reason
from safelist.rejections.collected import CollectedMails
from safelist.rejections.reading import ReadSoFar
from safelist.rejections.rejection import Listed, LogPlace, Rejection, RejectionKind, Stage
from safelist.rejections.rescue import Rescue
from safelist.rejections.summary import MOST_SHOWN, RejectionSummary, summary
from safelist.rejections.words import in_words

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
IT = Rejection(
    NOON, RejectionKind.REJECTED, LogPlace("mail.log", 7), "554 5.7.1 blocked", "192.0.2.9", None,
    "bob@aol.com", "you@corp.example", Stage.RCPT, "zen.spamhaus.org", Listed.CLIENT,
)  # fmt: skip
LIFTED = (Rescue.LIFTED, Reason.QUORUM)
REFUSED = (Rescue.REFUSED, Reason.BELOW_QUORUM)
LIFTING = (
    Reason.TRUSTED_ADDRESS, Reason.TRUSTED_DOMAIN, Reason.QUORUM, Reason.ENFORCED_ALLOW, Reason.DEFAULT_ALLOW,
)  # fmt: skip


@pytest.mark.parametrize(("zone", "older"), [("UTC", 0), ("Europe/Berlin", 1), ("America/New_York", 0)])
def test_what_is_older_than_the_first_collection_is_a_matter_of_the_logs_days(zone: str, older: int) -> None:
    """The 20th ends in Berlin before half past eleven in UTC, and so before the first collection."""
    with CollectedMails(ZoneInfo(zone)) as mails:
        mails.add([IT])
        mails.judge([(1, *LIFTED, None)])
        found = summary(mails, [], 0, datetime(2026, 11, 20, 23, 30, tzinfo=UTC), is_judged=True)
    assert found.rescued is not None
    assert found.rescued.older == older


def test_rows_are_those_with_the_most_that_would_be_saved_then_with_the_most_mails() -> None:
    senders = [(f"a{n}@x{domain}.example") for domain in range(30) for n in range(domain + 1)]
    with CollectedMails(UTC) as mails:
        mails.add(IT._replace(sender=each) for each in (*senders, "a0@saved.example", None, ""))
        saved = next(mails.mails("sender = 'a0@saved.example'"))
        mails.judge([(saved.id, *LIFTED, None)])
        found = summary(mails, [], 0, NOON, is_judged=True)
    assert [row.mails for row in found.providers] == [len(senders) + 3]
    assert found.domains[:3] == (("saved.example", 1, 1, 1), ("x29.example", 30, 30, 0), ("x28.example", 29, 29, 0))
    assert len(found.domains) == MOST_SHOWN


def test_a_recipient_has_one_row_however_its_letters_are_written() -> None:
    with CollectedMails(UTC) as mails:
        mails.add([IT, IT._replace(recipient="You@Corp.example", client="192.0.2.1"), IT._replace(recipient=None)])
        found = summary(mails, [], 0, None, is_judged=False)
    assert found.recipients == (("you@corp.example", 2, 2, None), (None, 1, 1, None))


def worlds() -> Iterator[RejectionSummary]:
    """Every combination of what lines depend on."""
    kinds = (
        [IT, IT],
        [IT._replace(sender=f"{n}@x{n}.example", provider=f"l{n}.example") for n in range(30)],
        [IT._replace(listed=Listed.SENDER)],
        [IT._replace(kind=RejectionKind.BOUNCED)],
        [IT._replace(client=None, sender=None, recipient=None, kind=RejectionKind.DISCONNECTED)],
        [IT._replace(client="192.0.2.1", kind=RejectionKind.WARNED)],
    )
    judgements = (None, (), (LIFTED,), (REFUSED,), (LIFTED, REFUSED, (Rescue.NOBODYS, Reason.NOBODY)))
    logs = ([ReadSoFar("a", lines=1)], [ReadSoFar("a", problem="a: cut off"), ReadSoFar("b", formats={"exim": 1})])
    choices = product(product((False, True), repeat=len(kinds)), judgements, logs, (0, 1, 2), (None, NOON))
    for wanted, judged, read, unread, first in choices:
        with CollectedMails(UTC) as mails:
            mails.add(each for some, is_wanted in zip(kinds, wanted, strict=True) if is_wanted for each in some)
            mails.judge((number, *each, None) for number, each in enumerate(judged or (), 1))
            later = None if first is None else first + timedelta(days=unread)
            yield summary(mails, read, unread, later, is_judged=judged is not None)


def test_there_are_ten_lines_at_most_each_a_sentence_without_one_of_many() -> None:
    most = 0
    for found in worlds():
        lines = list(in_words(found))
        most = max(most, len(lines))
        assert len(lines) <= 10, lines
        for line in lines:
            assert line.endswith("."), line
            assert f" {line}".replace(" 1 mails", "!").replace(" 1 lines", "!").replace(" 1 senders", "!") == f" {line}"
    assert most == 10


def test_a_day_that_was_only_warned_of_is_told_as_such() -> None:
    with CollectedMails(UTC) as mails:
        mails.add([IT, IT._replace(sender="x@y.example", kind=RejectionKind.WARNED)])
        lines = list(in_words(summary(mails, [ReadSoFar("a", lines=1)], 1, None, is_judged=False)))
    refused = "2 mails were refused (1 let through with a warning instead);"
    not_read = "1 line looks like a rejection and could not be read (--unread shows it)"
    assert lines[:3] == [
        "Read a, 1 line, 2026-11-20.",
        f"Not all was read: {not_read}.",
        f"{refused} 2 of them because of DNS blocklists (100 %). Most by zen.spamhaus.org 2.",
    ]


@pytest.mark.parametrize("reason", sorted({*Reason} - set(LIFTING) - {Reason.NOBODY, Reason.NOT_A_SENDER}))
def test_why_a_sender_is_not_safe_is_said_in_words_with_the_code_of_the_documents(reason: Reason) -> None:
    """Nobody need trust whom a recipient or an administrator blocks."""
    with CollectedMails(UTC) as mails:
        mails.add([IT])
        mails.judge([(1, Rescue.REFUSED, reason, None)])
        (said,) = (line for line in in_words(summary(mails, [], 0, NOON, is_judged=True)) if reason in line)
    begin = "A list or an override names the senders of 1 mail more, but they are not safe: "
    words = said.removeprefix(begin).removesuffix(f" ({reason}) 1.")
    assert said == f"{begin}{words} ({reason}) 1."
    assert len(words.split()) > 2
