"""The policy protocol: what is a request, however it comes in pieces, and what is an answer."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.filter.protocol import (
    MAX_ACTION,
    MAX_REQUEST,
    MalformedError,
    PolicyRequest,
    RequestError,
    RequestParser,
    TooLargeError,
    answer,
)

POSTFIX = b"""\
request=smtpd_access_policy
protocol_state=RCPT
protocol_name=SMTP
helo_name=some.domain.tld
queue_id=8045F2AB23
sender=foo@bar.tld
recipient=bar@foo.tld
recipient_count=0
client_address=1.2.3.4
client_name=another.domain.tld
reverse_client_name=another.domain.tld
instance=123.456.7
sasl_method=plain
sasl_username=you
sasl_sender=
size=12345
ccert_subject=solaris9.porcupine.org
ccert_issuer=Wietse+20Venema
ccert_fingerprint=C2:9D:F4:87:71:73:73:D9:18:E7:C2:F3:C1:DA:6E:04
encryption_protocol=TLSv1/SSLv3
encryption_cipher=DHE-RSA-AES256-SHA
encryption_keysize=256
etrn_domain=
stress=
ccert_pubkey_fingerprint=68:B3:29:DA:98:93:E3:40:99:C7:D8:AD:5C:B9:C9:40
client_port=1234
policy_context=submission
server_address=10.3.2.1
server_port=54321
compatibility_level=major.minor.patch
mail_version=3.8.0

"""
"""The example of SMTPD_POLICY_README, without the names of versions that stand in it."""

KIND = b"request=smtpd_access_policy\n"


def only(data: bytes) -> PolicyRequest:
    (found,) = RequestParser().feed(data)
    return found


def test_the_example_of_the_manual() -> None:
    request = only(POSTFIX)
    assert request.get("sender") == "foo@bar.tld"
    assert request.get("request") == "smtpd_access_policy"
    assert request.get("mail_version") == "3.8.0"
    assert request.get("ccert_issuer") == "Wietse+20Venema"
    assert len(request.attributes()) == 31


def test_a_value_may_be_missing_empty_or_hold_the_equals_sign() -> None:
    request = only(KIND + b"sender=\nrecipient=a=b=c@example.com\nsize==\n\n")
    assert [request.get(name) for name in ("sender", "queue_id", "recipient", "size")] == [
        "",
        "",
        "a=b=c@example.com",
        "=",
    ]


def test_a_name_is_found_only_as_a_whole() -> None:
    request = only(KIND + b"reverse_client_name=x\nhelo_name=client_name=y\n\n")
    assert request.get("client_name") == ""
    assert request.get("name") == ""


def test_of_duplicates_the_first_counts() -> None:
    request = only(KIND + b"sender=first@example.com\nsender=second@example.com\nrequest=other\n\n")
    assert request.get("sender") == "first@example.com"
    assert request.attributes() == {"request": "smtpd_access_policy", "sender": "first@example.com"}


def test_order_is_free_and_unknown_names_stay() -> None:
    request = only(b"x-new.name=1\nsender=a@example.com\n" + KIND + b"\n")
    assert request.attributes() == {"x-new.name": "1", "sender": "a@example.com", "request": "smtpd_access_policy"}


@pytest.mark.parametrize("head", [KIND + b"sender=", b"sender="])
def test_octets_that_are_no_utf8_can_be_written_anywhere(head: bytes) -> None:
    data = b"caf\xe9\xed\xa0\x80" + "ü@example.com".encode()
    rest = b"\n\n" if head.startswith(KIND) else b"\n" + KIND + b"\n"
    sender = only(head + data + rest).get("sender")
    assert sender == "caf\\xe9\\xed\\xa0\\x80ü@example.com"
    sender.encode()


def test_a_bare_carriage_return_is_part_of_a_value() -> None:
    assert only(KIND + b"helo_name=a\rb\n\n").get("helo_name") == "a\rb"


def test_line_separators_of_other_alphabets_separate_nothing() -> None:
    assert only(KIND + "helo_name=a\u2028b\x0bc\x85\n\n".encode()).get("helo_name") == "a\u2028b\x0bc\x85"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (KIND + b"sender\n\n", r"line 2 holds no '=': b'sender'"),
        (KIND + b"=value\n\n", r"line 2 has no name before its '='"),
        (KIND + b"sender=a\0b\n\n", r"line 2 holds a NUL: b'sender=a\\x00b'"),
        (KIND + b"sender=a\r\n\r\n", r"lines end in CR LF"),
        (KIND + b"sender=a\r\n\n", r"line 2 ends in CR LF"),
        (KIND + b"sender=a\r\n", r"lines end in CR LF"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", r"lines end in CR LF: b'GET / HTTP/1.1\\r\\nHost"),
        (b"\n", "an empty request"),
        (b"\n\n", "line 1 holds no '='"),
        (b"sender=a@example.com\n\n", r"not request=smtpd_access_policy but b''"),
        (b"request=smtpd_access_policies\n\n", r"not request=smtpd_access_policy but b'smtpd_access_policies'"),
        (b"request=other\n" + KIND + b"\n", r"but b'other'"),
    ],
)
def test_what_is_malformed_is_named(data: bytes, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        RequestParser().feed(data)


def test_an_error_is_printable_and_bounded() -> None:
    with pytest.raises(MalformedError) as caught:
        RequestParser().feed(KIND + bytes(range(128, 256)) * 60 + b"\0\x1b[2J\n\n")
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 400


def test_a_request_has_a_greatest_size() -> None:
    def of(size: int) -> bytes:
        return KIND + b"helo_name=" + b"x" * (size - len(KIND) - 12) + b"\n\n"

    assert only(of(MAX_REQUEST))
    assert RequestParser().feed(of(MAX_REQUEST)[:-1]) == []
    for data in (of(MAX_REQUEST + 1), of(MAX_REQUEST + 1)[:-1], b"x" * MAX_REQUEST):
        with pytest.raises(TooLargeError, match=r"16384 octets"):
            RequestParser().feed(data)


def test_a_request_has_a_greatest_number_of_attributes() -> None:
    assert only(KIND + b"a=\n" * 99 + b"\n")
    assert only(b"a=\n" * 99 + KIND + b"\n")
    for data in (KIND + b"a=\n" * 100 + b"\n", b"a=\n" * 100 + KIND + b"\n"):
        with pytest.raises(TooLargeError, match=r"100 attributes"):
            RequestParser().feed(data)


def test_the_requests_ahead_of_an_error_are_not_lost() -> None:
    with pytest.raises(MalformedError) as caught:
        RequestParser().feed(POSTFIX + KIND + b"\nsender\n\n")
    assert caught.value.before == [only(POSTFIX), only(KIND + b"\n")]


def test_one_octet_at_a_time() -> None:
    requests = RequestParser()
    found = [requests.feed(POSTFIX[place : place + 1]) for place in range(len(POSTFIX))]
    assert found == [[]] * (len(POSTFIX) - 1) + [[only(POSTFIX)]]
    assert not requests.pending


def test_pending_says_whether_a_request_has_begun() -> None:
    requests = RequestParser()
    seen = [bool(requests.feed(piece)) or requests.pending for piece in (b"", POSTFIX, POSTFIX + b"r", POSTFIX[1:])]
    assert seen == [False, True, True, True]
    assert not requests.pending


def test_requests_compare_and_show_their_attributes() -> None:
    one, same, other = only(KIND + b"\n"), only(KIND + b"\n"), only(KIND + b"a=b\n\n")
    assert one == same != other
    assert len({one, same, other}) == 2
    assert repr(other) == "PolicyRequest({'a': 'b', 'request': 'smtpd_access_policy'})"


# -- any request, in any pieces

names = st.one_of(
    st.sampled_from(["sender", "recipient", "client_address", "size"]),
    st.text(st.characters(exclude_characters="\n\0\r=", exclude_categories=["Cs"]), min_size=1, max_size=20),
).filter(lambda name: name != "request")
values = st.binary(max_size=80).map(lambda value: value.translate(None, b"\n\0\r"))
attributes = st.lists(st.tuples(names.map(str.encode), values), max_size=20)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    lines = draw(attributes)
    lines.insert(draw(st.integers(0, len(lines))), (b"request", b"smtpd_access_policy"))
    return b"".join(b"%b=%b\n" % line for line in lines) + b"\n"


def cut(data: bytes, places: Iterable[int]) -> Sequence[bytes]:
    bounds = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def expected(data: bytes) -> Mapping[str, str]:
    """The plain way to read a request."""
    read: dict[str, str] = {}
    for line in data.decode("utf-8", "backslashreplace").split("\n")[:-2]:
        name, _, value = line.partition("=")
        read.setdefault(name, value)
    return read


@given(st.lists(written(), max_size=5), st.data())
def test_any_pieces_give_the_same_requests(stream: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(stream)
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=20))
    requests = RequestParser()
    found = [request for piece in cut(whole, places) for request in requests.feed(piece)]
    assert [dict(request.attributes()) for request in found] == [expected(one) for one in stream]
    assert not requests.pending
    for request in found:
        assert all(request.get(name) == value for name, value in request.attributes().items())
        request.get("sender").encode()


hostile = st.lists(
    st.one_of(
        st.binary(max_size=300),
        st.sampled_from([KIND, b"\n", b"\n\n", b"\r\n", b"=", b"\0", b"sender=", b"a=b\n", b"x" * 500, POSTFIX]),
    ),
    max_size=30,
)


def outcome(pieces: Iterable[bytes]) -> tuple[list[PolicyRequest], bool | None]:
    """The requests and, where they end in an error, whether that can be logged as it is."""
    requests, found = RequestParser(max_request=1000, max_attributes=40), []
    for piece in pieces:
        try:
            found += requests.feed(piece)
        except RequestError as error:
            is_fit_for_a_log = str(error).isprintable() and len(str(error)) < 400
            return found + error.before, is_fit_for_a_log
    return found, None


@given(hostile, st.data())
def test_whatever_comes_raises_nothing_else_and_in_any_pieces_the_same(
    pieces: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(pieces)
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=20))
    found = outcome(pieces)
    assert found[1] is not False
    assert found == outcome([whole]) == outcome(cut(whole, places))


# -- answers


def test_an_answer_is_one_line_and_an_empty_one() -> None:
    assert answer("DUNNO") == b"action=DUNNO\n\n"
    assert answer("REJECT 5.7.1 <a@b> ~ = \\") == b"action=REJECT 5.7.1 <a@b> ~ = \\\n\n"
    assert len(answer("x" * MAX_ACTION)) == MAX_ACTION + 9


@pytest.mark.parametrize("action", ["", "a\nb", "a\rb", "a\0b", "a\tb", "a\x7fb", "ä", "a\u2028b", "\ud800", "x" * 901])
def test_no_other_action_gets_out(action: str) -> None:
    with pytest.raises(ValueError, match=r"an action (is|has)") as caught:
        answer(action)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@given(st.text())
def test_an_answer_cannot_hold_a_second_one(action: str) -> None:
    try:
        sent = answer(action)
    except ValueError:
        return
    assert sent.find(b"\n\n") == len(sent) - 2
    assert sent.count(b"\n") == 2
