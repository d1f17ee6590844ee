"""Look-ups by HTTP: what is asked, and that the answer is the policy's."""

import asyncio
import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist import policy, sender, snapshot
from safelist.entry import Holding, UserList
from safelist.filter.current_snapshot import CurrentSnapshot
from safelist.filter.http_message import HttpParser, HttpRequest
from safelist.filter.lookup_question import Question, QuestionError, question_of
from safelist.filter.lookup_service import LookupService
from safelist.filter.protocol import MalformedError, RequestError, TooLargeError
from safelist.override import Authentication, Effect, Level, Override, Terms
from safelist.policy import Settings, Tally
from safelist.snapshot import Contents
from tests.mail import hostile

DESK, OTHER, BOB, ALL = "desk@corp.example", "other@corp.example", "bob@partner.example", "all@partner.example"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


# -- what is asked


def get(target: str, *headers: tuple[bytes, bytes], method: str = "GET") -> HttpRequest:
    return HttpRequest(method, target, headers)


QUESTIONS = {
    f"?key={DESK}%7C{BOB}": Question(DESK, BOB),
    "?key=desk%40corp.example%7Cbob%40partner.example": Question(DESK, BOB),
    f"?key={DESK}|{BOB}": Question(DESK, BOB),
    f"?key={BOB}": Question("", BOB),
    f"?key=%7C{BOB}": Question("", BOB),
    f"?key={DESK}%7C": Question(DESK, ""),
    f"?key={DESK}%7C%3C%3E": Question(DESK, ""),
    "?key=": Question("", ""),
    "?key": Question("", ""),
    f"?sender={BOB}": Question("", BOB),
    f"?recipient={DESK}&sender={BOB}": Question(DESK, BOB),
    f"?sender={BOB}&recipient=": Question("", BOB),
    "?sender=": Question("", ""),
    "?key=bob+news@partner.example": Question("", "bob+news@partner.example"),
    "?key=bob%2Bnews@partner.example": Question("", "bob+news@partner.example"),
    "?key=%22front%20desk%22@partner.example": Question("", "front desk@partner.example"),
    "?sender=front%20desk@partner.example": Question("", "front desk@partner.example"),
    "?sender=a%40b@partner.example": Question("", "a@b@partner.example"),
    r"?key=%22a%5C%22b%22@partner.example": Question("", 'a"b@partner.example'),
    "?key=d%7Ce@corp.example%7Ca%7Cb@partner.example": Question("d|e@corp.example", "a|b@partner.example"),
    "?key=%22a@b.example%7Cc%22@corp.example%7Cx@d.example": Question("a@b.example|c@corp.example", "x@d.example"),
    f"?key=postmaster|{BOB}": Question("", f"postmaster|{BOB}"),
    f"?key=%7Cx@corp.example%7C{BOB}": Question("|x@corp.example", BOB),
    "?key=%C3%BC@partner.example": Question("", "ü@partner.example"),
    "?key=%FF@partner.example": Question("", "\\xff@partner.example"),
    "?key=a@%FF.example": Question("", "a@\\xff.example"),
}


@pytest.mark.parametrize(("query", "question"), QUESTIONS.items(), ids=QUESTIONS)
def test_a_question(query: str, question: Question) -> None:
    assert question_of(get(f"/lookup{query}")) == question
    assert question_of(get(f"http://127.0.0.1:10046/lookup{query}")) == question


def test_a_key_in_a_header_is_taken_as_it_is() -> None:
    for key in (f"{DESK}|{BOB}", f"{DESK}|100%@partner.example", f"{DESK}|a%40b+c@partner.example"):
        recipient, _, from_ = key.partition("|")
        assert question_of(get("/lookup", (b"key", key.encode()))) == Question(recipient, from_)
    assert question_of(get("/lookup", (b"key", "ü@partner.example".encode()))) == Question("", "ü@partner.example")
    assert question_of(get("/lookup", (b"key", b"\xff@partner.example"))) == Question("", "\\xff@partner.example")


NO_ADDRESSES = [
    "bob", "partner.example", f"{DESK}|bob", f"{DESK}|{BOB}|{BOB}", f"{DESK}|a@b@partner.example",
    f"{DESK}|{BOB},{ALL}", f'{DESK}|a"b@partner.example', f'{DESK}|"a"b@partner.example', f'"{DESK}|{BOB}',
    f"a@corp.example@corp.example|{BOB}", "||", f"{DESK} {BOB}",
]  # fmt: skip


@pytest.mark.parametrize("key", NO_ADDRESSES)
def test_what_is_no_two_addresses_is_no_question(key: str) -> None:
    assert question_of(get("/lookup", (b"key", key.encode()))) is None
    assert question_of(get(f"/lookup?key={quote(key)}")) is None


def test_what_is_longer_than_two_addresses_can_be_is_no_question() -> None:
    local = "x" * (sender.MAX_ADDRESS - len("@corp.example"))
    quoted = '"' + re.sub("(.)", r"\\\1", local) + '"@corp.example'
    assert question_of(get(f"/lookup?key={quote(f'{quoted}|{quoted}')}")) == Question(*[f"{local}@corp.example"] * 2)
    for many in ("x", "\u0301\u0323"):
        long = f"{many * 1500}@partner.example"
        for target in (f"key={quote(long)}", f"sender={quote(long)}", f"recipient={quote(long)}&sender={BOB}"):
            assert question_of(get(f"/lookup?{target}")) is None
        assert question_of(get("/lookup", (b"key", f"{DESK}|{long}".encode()))) is None


@pytest.mark.parametrize("sent", ["bob", "partner.example", "partner.example!bob", "bob%25partner.example"])
def test_a_sender_without_a_domain_is_nobody(sent: str, tmp_path: Path) -> None:
    """Of such a one it is the name in HELO that SPF proves, which is not what Postfix makes the domain of."""
    with looked_up(tmp_path / "s", sample()) as site:
        reply = site.ask(f"/lookup?recipient={DESK}&sender={sent}&proven=spf")
        assert (reply.status, reply.body.splitlines()[1].partition(":")[0]) == (404, "not-a-sender")
        assert site.ask(f"/lookup?recipient={DESK}&sender={BOB}&proven=spf").status == 200


WRONG = {
    "": "what is asked here is /lookup",
    "/": "what is asked here is /lookup",
    "*": "what is asked here is /lookup",
    f"/lookup/?key={BOB}": "what is asked here is /lookup",
    f"/LOOKUP?key={BOB}": "what is asked here is /lookup",
    f"/%6Cookup?key={BOB}": "what is asked here is /lookup",
    f"/lookup?key={BOB}#": "what is asked here is /lookup",
    "//[/lookup": "no URL",
    "/lookup": "ask /lookup",
    "/lookup?": "ask /lookup",
    f"/lookup?Key={BOB}": "ask /lookup",
    f"/lookup?recipient={DESK}": "ask /lookup",
    f"/lookup?key={BOB}&key={BOB}": "ask /lookup",
    f"/lookup?key={BOB}&sender={BOB}": "ask /lookup",
    f"/lookup?key={BOB}&x=1": "ask /lookup",
    f"/lookup?key={DESK}|a&b@partner.example": "ask /lookup",
    "/lookup?key=%": "without two hexadecimal digits",
    "/lookup?key=100%@partner.example": "without two hexadecimal digits",
    "/lookup?key=%zz": "without two hexadecimal digits",
    "/lookup?key=a%00b@partner.example": "no address of SMTP",
    "/lookup?key=a%0Ab@partner.example": "no address of SMTP",
    "/lookup?sender=a%0Db@partner.example": "no address of SMTP",
    "/lookup?" + "a&" * 9: "more than 8 fields",
}


@pytest.mark.parametrize(("target", "why"), WRONG.items(), ids=[name[:50] for name in WRONG])
def test_what_nobody_who_sends_mail_could_bring_about_is_the_askers_fault(target: str, why: str) -> None:
    with pytest.raises(QuestionError, match=re.escape(why)):
        question_of(get(target))


def test_two_keys_in_headers_or_one_beside_the_query_are_refused() -> None:
    for request in (
        get("/lookup", (b"key", BOB.encode()), (b"key", ALL.encode())),
        get(f"/lookup?key={BOB}", (b"key", BOB.encode())),
        get(f"/lookup?sender={BOB}", (b"key", BOB.encode())),
    ):
        with pytest.raises(QuestionError, match="ask /lookup"):
            question_of(request)


LOCAL = st.text(st.characters(exclude_characters='"@\0\r\n', codec="utf-8"))
DOMAIN = st.sampled_from(["corp.example", "partner.example", "x.example", "ü.example", "", "[192.0.2.1]"])


@given(LOCAL, DOMAIN, LOCAL, DOMAIN)
def test_every_key_of_two_addresses_is_split_between_them(local: str, domain: str, local2: str, domain2: str) -> None:
    recipient, from_ = f"{local}@{domain}", f"{local2}@{domain2}"
    assert question_of(get(f"/lookup?key={quote(recipient)}%7C{quote(from_)}")) == Question(recipient, from_)
    both = get(f"/lookup?recipient={quote(recipient)}&sender={quote(from_)}")
    assert question_of(both) == Question(recipient, from_)


@given(LOCAL.map(lambda text: text.replace("\\", "")), LOCAL)
def test_quoted_local_parts_are_split_and_unquoted(inner: str, local: str) -> None:
    key = f'"{inner}@|"@corp.example|"{local.replace(chr(92), "")}|"@partner.example'
    expected = Question(f"{inner}@|@corp.example", f"{local.replace(chr(92), '')}|@partner.example")
    assert question_of(get(f"/lookup?key={quote(key)}")) == expected


ANY = st.text(st.characters(exclude_characters="\0\r\n", codec="utf-8"))
SLY = st.lists(st.sampled_from(['"', "@", "|", "\\", "a", BOB, f"|{BOB}", f"{DESK}|", "%40", "%7C"])).map("".join)


@given(ANY | SLY, ANY | SLY)
def test_whatever_is_before_an_at_the_sender_stays_in_its_domain(local: str, sent: str) -> None:
    """Both local parts are the attacker's: the domain that SPF proved is the one that is looked up."""
    found = question_of(get(f"/lookup?key={quote(f'{local}@corp.example|{sent}@evil.example')}"))
    assert found is None or found.sender.endswith("@evil.example")


# -- the parser


def parser(at_once: int = 1000) -> HttpParser:
    return HttpParser(16 * 1024, 100, at_once)


PLAIN = f"GET /lookup?key={BOB} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@given(st.integers(1, 6), st.lists(st.integers(0, 400)))
def test_requests_are_found_however_they_are_cut(count: int, cuts: list[int]) -> None:
    data, found, reading = PLAIN * count, [], parser()
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for begin, end in pairwise(places):
        if begin < end:
            found += reading.feed(data[begin:end])
    assert [request.target for request in found] == [f"/lookup?key={BOB}"] * count
    assert not reading.pending
    assert not reading.is_over


def test_so_many_are_found_at_once_and_the_others_when_asked_again() -> None:
    reading = parser(2)
    targets = [f"/lookup?key=n{number}@partner.example" for number in range(5)]
    data = "".join(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n" for target in targets).encode()
    found = [reading.feed(data + b"GET /")]
    while reading.has_more:
        found.append(reading.feed(b""))
    assert [len(each) for each in found] == [2, 2, 1]
    assert [request.target for each in found for request in each] == targets
    assert reading.pending
    last = reading.feed(b"lookup?key=x HTTP/1.0\r\n\r\n" + data)
    assert ([request.is_last for request in last], reading.has_more, reading.is_over) == ([True], False, True)


def test_what_is_refused_is_refused_behind_those_that_were_found_before() -> None:
    reading = parser(1)
    assert len(reading.feed(PLAIN + PLAIN + b"\0\r\n\r\n")) == len(reading.feed(b"")) == 1
    with pytest.raises(MalformedError) as refused:
        reading.feed(b"")
    assert [request.fault for request in refused.value.before] == [400]
    assert not reading.has_more


PIECES = st.sampled_from([
    PLAIN, b"GET ", b"POST ", b"/lookup", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r\n\r\n", b"Host: x\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"hello",
    b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"CONNECT x:1 HTTP/1.1\r\n", b"\0", b"\xff", b" ", b":",
])  # fmt: skip


@given(st.lists(PIECES | st.binary(min_size=1, max_size=20)))
def test_whatever_comes_is_requests_or_one_refusal(pieces: list[bytes]) -> None:
    reading = parser()
    refused, last = None, get("")
    for piece in pieces:
        if reading.is_over:
            break
        try:
            found = reading.feed(piece)
        except RequestError as error:
            refused = error
            *found, last = error.before
        for request in found:
            assert request.method.isascii()
            assert request.target.isprintable()
    assert not (reading.is_over and reading.pending)
    if refused is not None:
        assert (last.is_last, reading.is_over) == (True, True)
        assert last.fault in (400, 431, 501)
        assert str(refused).isprintable()
        assert len(str(refused)) <= 300


def test_only_the_last_request_of_a_connection_says_that_it_is() -> None:
    assert [request.is_last for request in parser().feed(PLAIN + PLAIN)] == [False, False]
    closing = PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert [request.is_last for request in parser().feed(PLAIN + closing + PLAIN)] == [False, True]
    for last in (b"GET / HTTP/1.0\r\n\r\n", PLAIN.replace(b"GET", b"DELETE"), PLAIN.replace(b"GET", b"CONNECT")):
        assert [request.is_last for request in parser().feed(last + PLAIN)] == [True]


def test_no_more_than_a_request_is_kept() -> None:
    for endless in (b"GET /" + b"x" * 20_000, PLAIN[:-2] + b"X-Y: " + b"z" * 20_000):
        with pytest.raises(TooLargeError):
            parser().feed(endless)


# -- the answer


class Site(NamedTuple):
    """What decides, and what looks it up."""

    current: CurrentSnapshot
    service: LookupService
    now: datetime

    def ask(self, target: str, *headers: tuple[bytes, bytes], method: str = "GET") -> "Reply":
        return reply_of(self.service.answer(get(target, *headers, method=method)))


class Reply(NamedTuple):
    """An answer of HTTP."""

    status: int
    headers: dict[str, str]
    body: str


def reply_of(data: bytes) -> Reply:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    return Reply(int(first.split()[1]), headers, body.decode())


def held(mailbox: str, list_: UserList, *texts: str) -> list[Holding]:
    return [Holding(mailbox, list_, sender.parse(text), NOW - timedelta(days=3), None) for text in texts]


def override(number: int, effect: Effect, text: str, authentication: Authentication, scope: str = "") -> Override:
    whom = sender.parse(scope) if scope else None
    terms = Terms(effect, sender.parse(text), "why", whom, Level.DEFAULT, authentication=authentication)
    return Override(number, terms, NOW, "alice")


@contextmanager
def looked_up(path: Path, contents: Contents, delimiter: str = "", max_age: float = 7) -> Iterator[Site]:
    """A look-up service on a snapshot of these contents."""
    snapshot.write(path, contents)
    current = CurrentSnapshot(path, timedelta(days=max_age))
    asyncio.run(current.refresh())
    assert current.published is not None
    now = current.published
    try:
        yield Site(current, LookupService(current, delimiter, lambda: now), now)
    finally:
        current.close()


def sample() -> Contents:
    """The desk trusts Bob, everybody trusts ALL, and others by an override."""
    mailboxes = [(DESK, held(DESK, UserList.SAFE_SENDERS, BOB, "+x@partner.example", '"front desk"@partner.example'))]
    overrides = [
        override(1, Effect.ALLOW, "spf@x.example", Authentication.SPF),
        override(2, Effect.ALLOW, "none@x.example", Authentication.NONE, OTHER),
    ]
    return Contents("x", Settings(quorum=2), overrides, [Tally(sender.parse(ALL), 2)], mailboxes)


def test_the_first_line_names_what_the_asker_has_to_demand(tmp_path: Path) -> None:
    with looked_up(tmp_path / "s", sample()) as site:
        for asked_for, first in {
            f"key={DESK}%7C{BOB}": (200, "1 dkim-or-spf"),
            f"recipient={DESK}&sender={BOB}": (200, "1 dkim-or-spf"),
            f"key={OTHER}%7C{BOB}": (404, "0"),
            f"key={BOB}": (404, "0"),
            f"key={OTHER}%7C{ALL}": (200, "1 dkim-or-spf"),
            f"key={ALL}": (200, "1 dkim-or-spf"),
            "key=spf@x.example": (200, "1 spf"),
            "key=none@x.example": (404, "0"),
            f"key={OTHER}|none@x.example": (200, "1 none"),
            f"key={DESK}%7C": (404, "0"),
            f"key={DESK}|{BOB}|{BOB}": (404, "0"),
        }.items():
            reply = site.ask(f"/lookup?{asked_for}")
            assert (reply.status, reply.body.splitlines()[0]) == first, asked_for
            assert int(reply.headers["Content-Length"]) == len(reply.body.encode()) > 0
            assert "Connection" not in reply.headers
        assert site.service.counts["200", "trusted-address"] == 2
        assert site.service.counts["404", "not-a-sender"] == 2


def test_what_was_proven_has_to_be_what_is_demanded(tmp_path: Path) -> None:
    with looked_up(tmp_path / "s", sample()) as site:
        for key, proven in {
            f"{DESK}|{BOB}": {"spf": 200, "dkim": 200, "": 200},
            "spf@x.example": {"spf": 200, "dkim": 404, "": 200},
            f"{OTHER}|none@x.example": {"spf": 200, "dkim": 200, "": 200},
            BOB: {"spf": 404, "dkim": 404, "": 404},
        }.items():
            for word, status in proven.items():
                assert site.ask(f"/lookup?key={key}&proven={word}").status == status, (key, word)
                assert site.ask(f"/lookup?proven={word}", (b"key", key.encode())).status == status
        reply = site.ask("/lookup?key=spf@x.example&proven=dkim", (b"accept", b"application/json"))
        told = json.loads(reply.body)
        assert (told["safe"], told["reason"], told["authentication"]) == (False, "not-authenticated", "spf")
        assert told["why"].endswith("That counts with spf; dkim was proven.")
        assert site.ask("/lookup?key=spf@x.example&proven=dmarc").status == 400


def test_an_answer_in_words_and_in_json(tmp_path: Path) -> None:
    with looked_up(tmp_path / "s", sample()) as site:
        why = f"{DESK} has {BOB} among its Safe Senders (first seen 2026-11-24)."
        assert site.ask(f"/lookup?key={DESK}|{BOB}").body == f"1 dkim-or-spf\ntrusted-address: {why}\n"
        for accept in (b"application/json", b"text/html, Application/JSON;q=0.5"):
            reply = site.ask(f"/lookup?key={DESK}|{BOB}", (b"accept", accept))
            assert reply.headers["Content-Type"] == "application/json"
            assert json.loads(reply.body) == {
                "safe": True, "reason": "trusted-address", "authentication": "dkim-or-spf", "why": why,
            }  # fmt: skip
        reply = site.ask("/lookup?key=nobody", (b"accept", b"application/json"))
        assert (reply.status, json.loads(reply.body)["reason"]) == (404, "not-a-sender")


def test_what_is_wrong_is_told_and_is_never_a_404(tmp_path: Path) -> None:
    with looked_up(tmp_path / "s", sample()) as site:
        assert site.ask("/look-up?key=x").status == 400
        assert site.ask("/lookup?key=%").status == 400
        (post,) = parser().feed(PLAIN.replace(b"GET", b"POST"))
        refused = reply_of(site.service.answer(post))
        assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")
        assert refused.body == "ask with GET or HEAD\n"
        assert site.service.counts == {("400", ""): 2, ("405", ""): 1}


def test_head_says_what_get_would_without_the_body(tmp_path: Path) -> None:
    with looked_up(tmp_path / "s", sample()) as site:
        for key in (ALL, BOB):
            whole, head = site.ask(f"/lookup?key={key}"), site.ask(f"/lookup?key={key}", method="HEAD")
            assert head == whole._replace(body="")


def test_an_extension_behind_the_delimiter_is_not_part_of_the_recipient(tmp_path: Path) -> None:
    key = f"/lookup?key=desk+news@corp.example|{BOB}"
    with looked_up(tmp_path / "one", sample()) as site:
        assert site.ask(key).status == 404
    with looked_up(tmp_path / "two", sample(), "+") as site:
        assert site.ask(key).status == 200


def test_without_a_snapshot_or_with_an_old_one_nobody_is_safe(tmp_path: Path) -> None:
    with looked_up(tmp_path / "s", sample(), max_age=-1) as site:
        reply = site.ask(f"/lookup?key={DESK}|{BOB}")
        assert reply.status == 404
        assert "too old: nobody is safe" in reply.body
    reply = site.ask(f"/lookup?key={DESK}|{BOB}")  # it is closed
    assert reply.status == 404
    assert "there is no snapshot" in reply.body


TEXTS = [BOB, "x@sub.partner.example", "partner.example", ".partner.example", "a|b@x.example", '"a b"@x.example', ALL]
ASKED = [*TEXTS, "z@partner.example", "no@else.example", "prvs=1234abcdef=bob@partner.example", "BOB@Partner.Example"]
BOXES = [DESK, OTHER, "d|e@corp.example"]


def random_contents(chance: random.Random) -> Contents:
    lists = list(UserList)
    mailboxes = [
        (box, held(box, chance.choice(lists), *chance.sample(TEXTS, 3)) + held(box, chance.choice(lists), BOB))
        for box in BOXES
    ]
    tallies = [Tally(sender.parse(text), chance.randint(0, 3)) for text in chance.sample(TEXTS, 4)]
    overrides = [
        override(n, chance.choice(list(Effect)), text, chance.choice(list(Authentication)), chance.choice(["", DESK]))
        for n, text in enumerate(chance.sample(TEXTS, 2))
    ]
    chosen = Settings(own_domains=frozenset({"corp.example"}), quorum=2, include_domains=chance.random() < 0.7)
    return Contents("x", chosen, overrides, tallies, mailboxes)


@pytest.mark.parametrize("seed", range(8))
def test_the_answer_is_what_the_policy_decides(seed: int, tmp_path: Path) -> None:
    reasons = set()
    with looked_up(tmp_path / "s", random_contents(random.Random(seed))) as site:
        found = site.current.snapshot
        assert found is not None
        for text in ASKED:
            asked_about = sender.parse(text)
            if asked_about.form is not sender.Form.ADDRESS:
                continue
            for recipient in ("", *BOXES, "guest@corp.example"):
                candidate = found.candidate(asked_about, recipient or None)
                expected = policy.decide(candidate, found.settings, site.now)
                key = quote(f"{recipient}|{text}")
                reply = site.ask(f"/lookup?key={key}", (b"accept", b"application/json"))
                assert json.loads(reply.body) == expected.as_json(), (recipient, text)
                assert reply.status == (200 if expected.safe else 404)
                reasons.add(expected.reason)
    assert len(reasons) >= 3


def test_every_odd_address_that_is_trusted_is_found_and_nobody_else(tmp_path: Path) -> None:
    patterns = {sender.parse(text) for text in (*hostile.ADDRESSES, *hostile.BROKEN)}
    trusted = sorted(each.text for each in patterns if each.form is sender.Form.ADDRESS)
    parsed = [(box, sender.parse(box)) for box in hostile.RECIPIENTS]
    boxes = [each.text if each.form is sender.Form.ADDRESS else sender.envelope(box).text for box, each in parsed]
    mailboxes = [(box, held(box, UserList.SAFE_SENDERS, *trusted)) for box in boxes]
    with looked_up(tmp_path / "s", Contents("x", Settings(), (), (), mailboxes)) as site:
        for recipient, _ in mailboxes:
            for text in trusted:
                assert site.ask(f"/lookup?key={quote(f'{recipient}|{text}')}").status == 200, (recipient, text)
                header = f"{recipient}|{text}".encode()
                assert site.ask("/lookup", (b"key", header)).status == 200, (recipient, text)
                assert site.ask(f"/lookup?key={quote(f'{OTHER}|{text}')}").status == 404, text
            for text in hostile.BYSTANDERS:
                assert site.ask(f"/lookup?key={quote(f'{recipient}|{text}')}").status == 404, (recipient, text)
