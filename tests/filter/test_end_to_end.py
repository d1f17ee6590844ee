"""What the filter is for, with the real programs: lists of an Exchange at the one end, SMTP replies at the other."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pytest

from safelist import policy, snapshot
from tests.filter.site import (
    BOB,
    DESK,
    DNSBL,
    EVE,
    FLAKY,
    FORGER,
    MALLORY,
    NEWS,
    OTHER,
    PROVIDER,
    STRANGER,
    THIRD,
    Filter,
    Replies,
    Site,
    offer,
    session,
    site,
)
from tests.postfix.servers import CLEAN, LISTED, missing
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

ACCEPTED, DELIVERED = "250 2.1.5 Ok", "250 2.0.0 Ok: queued as "
KEYS = {
    "at", "action", "reason", "mode", "client", "sender", "recipient", "providers", "failed", "safe", "why", "ms",
}  # fmt: skip


def refused(recipient: str, text: str) -> str:
    """Postfix's reply where the filter says ``text``."""
    code, status, words = text.split(" ", 2)
    return f"{code} {status} <{recipient}>: Recipient address rejected: {words}"


def listed(client: str) -> str:
    return f"550 5.7.1 {client} is listed by {PROVIDER}, see https://{DNSBL}/"


def lifted(reason: str) -> str:
    return f"X-Safelist: lifted the listing by {PROVIDER} ({reason}, authentication holds)"


UNPROVEN = f"{listed(FORGER)}; SPF does not permit your IP to use this sender"
LATER = (
    "451 4.7.1 Your IP is on a block list, and the SPF record of flaky.example could not be read now (temperror); "
    "try again later"
)


class Case(NamedTuple):
    """A mail, what the filter says to Postfix, and why; ``safe`` is the policy's reason where it is asked."""

    client: str
    sender: str
    recipient: str
    says: str
    action: str
    reason: str
    safe: str | None

    @property
    def reply(self) -> str:
        """What the client gets to read."""
        return refused(self.recipient, self.says) if self.action in ("reject", "defer") else ACCEPTED


PASSES = f"PREPEND {lifted('trusted-address')}", "lift", "lifted", "trusted-address"
CASES = {
    "stranger": Case(LISTED, STRANGER, DESK, listed(LISTED), "reject", "listed", "nobody"),
    "safe": Case(LISTED, BOB, DESK, *PASSES),
    "behind-a-tag": Case(LISTED, f"prvs=1234567890={BOB}", DESK, *PASSES),
    "forged-behind-a-tag": Case(
        FORGER, f"prvs=1234567890={BOB}", DESK, UNPROVEN, "reject", "not-authenticated", "trusted-address"
    ),
    "blocked-behind-a-tag": Case(
        LISTED, f"btv1==0123abc=={EVE}", DESK, listed(LISTED), "reject", "listed", "enforced-block"
    ),
    "forged": Case(FORGER, BOB, DESK, UNPROVEN, "reject", "not-authenticated", "trusted-address"),
    "spf-fails-to-answer": Case(LISTED, FLAKY, DESK, LATER, "defer", "cannot-authenticate", "trusted-address"),
    "not-listed": Case(CLEAN, STRANGER, DESK, "DUNNO", "none", "not-listed", None),
    "safe-for-another": Case(LISTED, BOB, OTHER, listed(LISTED), "reject", "listed", "below-quorum"),
    "null-sender": Case(LISTED, "", DESK, listed(LISTED), "reject", "listed", "not-a-sender"),
    "quorum": Case(LISTED, NEWS, THIRD, f"PREPEND {lifted('quorum')}", "lift", "lifted", "quorum"),
    "enforced-block": Case(LISTED, EVE, DESK, listed(LISTED), "reject", "listed", "enforced-block"),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as found:
        yield found


def serve(running: Site, case: Case, service: str = "enforce") -> dict[str, Any]:
    """Send the mail; the verdict in the filter's log."""
    before = len(verdicts(running.filters[service], case))
    replies = running.offer(service, case.client, case.sender, case.recipient)
    assert replies.recipients == [case.reply]
    return next_verdict(running.filters[service], case, before)


def verdicts(filter_: Filter, case: Case) -> list[dict[str, Any]]:
    return filter_.verdicts(client=case.client, sender=case.sender, recipient=case.recipient)


def next_verdict(filter_: Filter, case: Case, before: int) -> dict[str, Any]:
    """The newest one, when there are more than ``before``: the filter answers first, and writes its log then."""
    assert until(lambda: len(verdicts(filter_, case)) > before)
    return verdicts(filter_, case)[-1]


@every_case
def test_the_reply_and_the_verdict_in_the_log(running: Site, case: Case) -> None:
    found = serve(running, case)
    assert set(found) == KEYS
    assert (found["action"], found["reason"], found["safe"]) == (case.action, case.reason, case.safe)
    assert (found["mode"], found["failed"]) == ("enforce", [])
    assert found["providers"] == ([] if case.client == CLEAN else [PROVIDER])
    assert 0 <= found["ms"] < 10_000


class Answers(NamedTuple):
    """Of `safelist filter ask`, and of `safelist audit why` where the filter asks the policy at all."""

    asked: dict[str, Any]
    why: dict[str, Any]


@pytest.fixture(scope="module")
def answers(running: Site) -> dict[Case, Answers]:
    """What people are told of each case."""

    def answer(case: Case) -> Answers:
        config = ("--config", str(running.filters["enforce"].configuration), "--helo", "client.example")
        mail = ("--client", case.client, "--sender", case.sender, "--recipient", case.recipient)
        why = running.run("audit", "why", case.sender, "--recipient", case.recipient) if case.safe else {}
        return Answers(running.run("filter", "ask", *config, *mail), why)

    return {case: answer(case) for case in CASES.values()}


@every_case
def test_what_people_are_told_is_what_was_served(running: Site, answers: dict[Case, Answers], case: Case) -> None:
    served, (asked, why) = serve(running, case), answers[case]
    assert {**asked, "ms": served["ms"], "at": served["at"]} == {**served, "says": case.says}
    assert why.get("reason") == served["safe"]


def test_a_lifted_mail_is_delivered_with_the_header_and_no_other(running: Site) -> None:
    for case, subject in ((CASES["safe"], "lifted"), (CASES["quorum"], "everybody"), (CASES["not-listed"], "clean")):
        replies = running.offer("enforce", case.client, case.sender, case.recipient, subject=subject)
        assert replies.mail.startswith(DELIVERED)
        mail = running.mailboxes.mail(f"Subject: {subject}")
        headers = [line for line in mail.splitlines() if line.startswith("X-Safelist")]
        assert headers == ([case.says.removeprefix("PREPEND ")] if case.action == "lift" else [])


@pytest.mark.parametrize("recipients", [(DESK, OTHER), (OTHER, DESK)])
def test_each_recipient_of_a_mail_gets_his_own_answer(running: Site, recipients: Sequence[str]) -> None:
    subject = f"to {recipients[0]}"
    replies = running.offer("enforce", LISTED, BOB, *recipients, subject=subject)
    expected = {DESK: ACCEPTED, OTHER: refused(OTHER, listed(LISTED))}
    assert replies.recipients == [expected[recipient] for recipient in recipients]
    assert replies.mail.startswith(DELIVERED)
    mail = running.mailboxes.mail(f"Subject: {subject}")
    assert f"X-Rcpt-Args: <{DESK}>" in mail
    assert f"X-Rcpt-Args: <{OTHER}>" not in mail


def test_a_mail_to_many_has_each_header_once(running: Site) -> None:
    with session(running.postfix, "enforce", LISTED) as smtp:
        for subject in ("to many", "to many again"):
            assert offer(smtp, NEWS, (DESK, THIRD, OTHER), subject).recipients == [ACCEPTED] * 3
    for subject in ("to many", "to many again"):
        mail = running.mailboxes.mail(f"Subject: {subject}\n")
        headers = [line for line in mail.splitlines() if line.startswith("X-Safelist")]
        assert headers == [lifted("trusted-address"), lifted("quorum")]


ODD = [
    b"<partner.example>", b"<@partner.example>", b"<.partner.example>", b"<bob@partner.example@stranger.example>",
    b"<bob%partner.example@stranger.example>", b"<x@stranger.example\r>", b'<"bob\r"@partner.example>',
    b'<"\r">', b"bob\r", b"<\x1b[31m@stranger.example>", "<ö@stranger.example> SMTPUTF8".encode(),
    b"<" + b"x" * 1900 + b"@stranger.example>", b"<x@" + b"x." * 900 + b"example>", b"<x @stranger.example>",
    b"<action=DUNNO>", b"<a=b>",
]  # fmt: skip


def test_no_odd_sender_gets_past(running: Site) -> None:
    """Postfix passes on much that is no address; whatever the filter cannot read must not count as its silence."""
    before = len(running.filters["enforce"].verdicts())
    with session(running.postfix, "enforce", LISTED) as smtp:
        accepted = 0
        for words in ODD:
            smtp.send(b"MAIL FROM:" + words + b"\r\n")
            if smtp.getreply()[0] == 250:
                accepted += 1
                code, reply = smtp.rcpt(DESK)
                assert f"{code} {reply.decode()}" == refused(DESK, listed(LISTED)), words
            smtp.rset()
    assert accepted > len(ODD) / 2
    assert until(lambda: len(running.filters["enforce"].verdicts()) - before == accepted)
    assert not any("disconnected" in line for line in running.filters["enforce"].lines())


def test_a_revoked_block_is_lifted_within_seconds_and_without_a_restart(running: Site) -> None:
    blocked = Case(LISTED, MALLORY, DESK, listed(LISTED), "reject", "listed", "enforced-block")
    assert serve(running, blocked)["safe"] == "enforced-block"
    (number,) = (row["override"] for row in running.run("override", "list") if row["sender"] == MALLORY)
    running.run("override", "revoke", str(number), "--reason", "it was somebody else")
    running.run("publish")
    began = time.monotonic()
    assert until(lambda: running.offer("enforce", LISTED, MALLORY, DESK).recipients == [ACCEPTED])
    assert time.monotonic() - began < 30
    assert until(lambda: verdicts(running.filters["enforce"], blocked)[-1]["safe"] == "trusted-address")


def test_mail_is_accepted_where_dns_is_down(running: Site) -> None:
    found = serve(running, Case(LISTED, STRANGER, DESK, "DUNNO", "none", "unreachable", None), "deaf")
    assert (found["action"], found["reason"], found["failed"]) == ("none", "unreachable", [PROVIDER])


@pytest.mark.parametrize("name", ["stranger", "forged", "spf-fails-to-answer", "safe"])
def test_an_observer_says_what_it_would_have_done(running: Site, name: str) -> None:
    case = CASES[name]
    subject = f"observed {name}"
    before = len(verdicts(running.filters["observe"], case))
    replies = running.offer("observe", case.client, case.sender, case.recipient, subject=subject)
    assert replies.recipients == [ACCEPTED]
    assert "X-Safelist" not in running.mailboxes.mail(f"Subject: {subject}")
    found = next_verdict(running.filters["observe"], case, before)
    assert (found["mode"], found["action"], found["reason"]) == ("observe", case.action, case.reason)


LOAD = [(CLEAN, STRANGER, DESK), (LISTED, STRANGER, DESK), (LISTED, BOB, DESK), (LISTED, BOB, OTHER)]


class Sent(NamedTuple):
    """A mail, when it was begun, and what became of it."""

    mail: tuple[str, str, str]
    began: float
    replies: Replies


@contextmanager
def load(running: Site, service: str) -> Iterator[list[Sent]]:
    """Clients that send and send; the value grows by what came of it. A lost reply is an error at the end."""
    done: list[Sent] = []
    stop = Event()

    def send(mail: tuple[str, str, str]) -> None:
        while not stop.is_set():
            began = time.monotonic()
            done.append(Sent(mail, began, running.offer(service, *mail)))

    with ThreadPoolExecutor(len(LOAD)) as pool:
        sending = [pool.submit(send, mail) for mail in LOAD]
        try:
            yield done
        finally:
            stop.set()
        for each in sending:
            each.result()


def replies_to(done: Sequence[Sent]) -> dict[tuple[str, str, str], set[str]]:
    """Every different reply that a mail's recipient got."""
    found: dict[tuple[str, str, str], set[str]] = {mail: set() for mail in LOAD}
    for sent in done:
        found[sent.mail].update(sent.replies.recipients)
    return found


TO_DESK, TO_OTHER = refused(DESK, listed(LISTED)), refused(OTHER, listed(LISTED))


def test_postfix_accepts_mail_when_the_filter_is_killed(running: Site) -> None:
    """It tries the filter twice, a second apart, and goes on (default_action=DUNNO)."""
    filter_ = running.filters["doomed"]
    with load(running, "doomed") as done:
        assert until(lambda: len(done) > 40)
        filter_.process.kill()
        filter_.process.wait()
        killed = time.monotonic()
        assert until(lambda: {sent.mail for sent in done if sent.began > killed} == set(LOAD))
    before, after = ([sent for sent in done if (sent.began > killed) is late] for late in (False, True))
    seen = replies_to(before)
    assert [seen[mail] - {ACCEPTED} for mail in LOAD] == [set(), {TO_DESK}, set(), {TO_OTHER}]
    assert replies_to(after) == {mail: {ACCEPTED} for mail in LOAD}
    assert all(sent.replies.mail.startswith(DELIVERED) for sent in after)


def swap_in(filter_: Filter, content: bytes) -> None:
    """As `safelist publish` does it; then the filter is to look."""
    new = filter_.snapshot.with_suffix(".new")
    new.write_bytes(content)
    new.replace(filter_.snapshot)
    filter_.look_again()


def loaded(filter_: Filter) -> int:
    """How many snapshots it has taken into use."""
    return sum(line.startswith("snapshot ") for line in filter_.lines())


def has_loaded_more(filter_: Filter, before: int) -> bool:
    return loaded(filter_) > before


def test_no_mail_is_lost_while_snapshots_come_and_go(running: Site, tmp_path: Path) -> None:
    filter_ = running.filters["busy"]
    full, empty = filter_.snapshot.read_bytes(), tmp_path / "empty"
    snapshot.write(empty, snapshot.Contents("a test", policy.Settings(), (), (), ()))
    with load(running, "busy") as done:
        for content in (empty.read_bytes(), full) * 30:
            before = loaded(filter_)
            swap_in(filter_, content)
            assert until(partial(has_loaded_more, filter_, before))
        assert until(lambda: running.offer("busy", LISTED, BOB, DESK).recipients == [ACCEPTED])
    expected = ({ACCEPTED}, {TO_DESK}, {ACCEPTED, TO_DESK}, {TO_OTHER})
    assert replies_to(done) == dict(zip(LOAD, expected, strict=True))


def test_a_broken_snapshot_changes_nothing_and_is_said_once(running: Site) -> None:
    filter_ = running.filters["broken"]
    good = filter_.snapshot.read_bytes()
    damaged = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in (len(good) // 3, len(good) // 2)]
    broken = {
        "a half-written one": (b"no snapshot" * 1000, b"", good[:-40], b"nor this" * 1000),
        "its checksum is wrong": tuple(damaged),
    }
    for trouble, contents in broken.items():
        for content in contents[:1] * 10 + contents:
            swap_in(filter_, content)
            assert serve(running, CASES["safe"], "broken")["reason"] == "lifted"
        assert until(partial(filter_.has_said, trouble))
    swap_in(filter_, good)
    assert until(lambda: loaded(filter_) == 2)
    errors = [line for line in filter_.lines() if "stays in use" in line]
    assert [trouble in line for trouble, line in zip(broken, errors, strict=True)] == [True, True]
    assert serve(running, CASES["safe"], "broken")["reason"] == "lifted"
