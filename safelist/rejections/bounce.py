"""The replies of mail servers, and the headers, in what people have of a bounce: a message, a text, a log's line. Pure.

A report for programs (RFC 3464) is believed first; what was written for people is read as well, since many bounces have
nothing else. Only the beginning is read: a bounce says it there, and the mail that it returns may be large.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from email.parser import BytesParser, HeaderParser
from email.policy import Compat32
from itertools import islice
from typing import NamedTuple

from safelist.rejections.bounce_text import (
    BounceReply,
    headers_in,
    one_line,
    replies_in,
    replies_of_paragraph,
    without_tags,
)

MOST_READ = 1 << 20
"""Octets of a message or a text."""
MOST_REPLIES = 100
MOST_HEADERS = 1000
_MOST_PARTS = 32
"""Parts in a message: more make the parser slow or too deep, and no bounce has them."""
_MOST_HEADER = 4000
"""Characters of one header: the parser of parameters takes time with their square."""
_MOST_WHOLE = 10_000
"""Characters of a text in which no reply can be told."""


class BounceContent(NamedTuple):
    """``headers`` are ``Name: value``, of the message itself and of the one that it returns."""

    replies: tuple[BounceReply, ...]
    headers: tuple[str, ...]


def read(content: bytes) -> BounceContent:
    """All replies and headers of a message or of a text; a text in which no reply can be told is one itself."""
    raw = _as_ascii(content[:MOST_READ]).lstrip(b"\r\n\t ")
    if _HEAD.match(raw):
        parts = list(_parts(_parsed(raw)))
        return BounceContent(_distinct(_of_parts(parts)), tuple(islice(_headers(parts), MOST_HEADERS)))
    text = _decoded(raw, None)
    replies, headers = _distinct(replies_in(text)), tuple(islice(headers_in(text), MOST_HEADERS))
    if not replies and not headers and (line := one_line(text[:_MOST_WHOLE])):
        replies = (BounceReply(line),)
    return BounceContent(replies, headers)


_HEAD = re.compile(
    rb"(?:From [^\n]{1,998}\n)?(?:return-path|received|from|to|subject|date|message-id|mime-version|content-type"
    rb"|delivered-to|authentication-results|dkim-signature|arc-[a-z-]{1,40}|list-[a-z-]{1,40}|auto-submitted"
    rb"|x-[a-z0-9-]{1,60}|x-check point)[ \t]{0,4}:",
    re.IGNORECASE,
)


def _as_ascii(content: bytes) -> bytes:
    """The text in an encoding that holds ASCII: Windows' Notepad writes UTF-16 with a mark."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace").encode("utf-8", "replace")
    return content.removeprefix(b"\xef\xbb\xbf")


class _BoundedHeaders(Compat32):
    """Cuts headers."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:_MOST_HEADER]


_POLICY = _BoundedHeaders()


def _parsed(content: bytes) -> Message:
    """The message; one with more parts than any bounce has is a head and one text."""
    lower = content.lower()
    if lower.count(b"boundary") + lower.count(b"message/") <= _MOST_PARTS:
        return BytesParser(policy=_POLICY).parsebytes(content)
    found = BytesParser(policy=_POLICY).parsebytes(content, headersonly=True)
    del found["content-type"], found["content-transfer-encoding"]
    return found


def _parts(message: Message) -> Iterator[Message]:
    """The message and all parts in it, in their order, without the blocks of a report."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        if part.get_content_type() != _REPORT:
            waiting += reversed(_inside(part))


def _inside(part: Message) -> list[Message]:
    """The parts in a part; the payload of one without any is not asked for, since it may not be in its charset."""
    inside = part.get_payload() if part.is_multipart() else ()
    return [each for each in inside if isinstance(each, Message)]


_REPORT = "message/delivery-status"


def _headers(parts: Iterable[Message]) -> Iterator[str]:
    for part in parts:
        kind = part.get_content_type()
        yield from (f"{name}: {' '.join(str(value).split())}" for name, value in part.items())
        if kind == "text/rfc822-headers":
            inside = HeaderParser(policy=_POLICY).parsestr(_text_of(part))
            yield from (f"{name}: {' '.join(str(value).split())}" for name, value in inside.items())
        elif kind == "text/plain":
            yield from headers_in(_text_of(part))


def _of_parts(parts: list[Message]) -> Iterator[BounceReply]:
    for part in parts:
        if part.get_content_type() == _REPORT:
            yield from _of_report(part)
    for part in parts:
        if part.get_content_type() == "text/plain":
            yield from replies_in(_text_of(part))
        elif part.get_content_type() == "text/html":
            yield from replies_in(without_tags(_text_of(part)))


_UUENCODED = ("x-uuencode", "uuencode", "uue", "x-uue")
"""Python reads such a part, and no bounce is one."""


def _text_of(part: Message) -> str:
    """The text of a part that has no others in it."""
    if str(part["content-transfer-encoding"]).lower() in _UUENCODED:
        return ""
    payload = part.get_payload(decode=True)
    return _decoded(payload, part.get_content_charset()) if isinstance(payload, bytes) else ""


_CHARSETS = re.compile(
    r"utf-?(?:7|8|16|16le|16be)|us-ascii|iso-?8859-?[0-9]{1,2}|latin-?1|windows-?[0-9]{3,4}|cp[0-9]{3,4}|koi8-?[ru]"
    r"|gb[0-9k]{2,6}|big5|euc-[a-z]{2}|shift_jis|iso-2022-[a-z0-9-]{2,6}|macintosh|tis-620"
)
"""Some codecs of Python are no character sets, or take time with the square of a text."""


def _decoded(content: bytes, charset: str | None) -> str:
    """The text, whatever is wrong with its octets; Windows' Western characters where it is no UTF-8."""
    for encoding in (charset if charset and _CHARSETS.fullmatch(charset) else "utf-8", "utf-8"):
        try:
            return content.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    return content.decode("cp1252", "replace")


def _of_report(part: Message) -> Iterator[BounceReply]:
    """The replies in the fields of RFC 3464: first those of the message, then a block for each recipient."""
    blocks = _inside(part)
    if not any("final-recipient" in block for block in blocks):
        blocks = _blocks_decoded(part, blocks)
    reporter = next((_server(block, "reporting-mta") for block in blocks if "reporting-mta" in block), None)
    for block in blocks:
        recipient = _value(block, "final-recipient") or _value(block, "original-recipient")
        remote = _server(block, "remote-mta")
        for said in block.get_all("diagnostic-code", ()):
            text = _after_type(str(said))
            for each in list(replies_of_paragraph(text, "")) or [BounceReply(text)]:
                yield each._replace(recipient=recipient, remote=remote or each.remote, reporter=reporter)


def _blocks_decoded(part: Message, blocks: Iterable[Message]) -> list[Message]:
    """The blocks of a report that is encoded, which the parser of messages does not expect."""
    carrier = Message()
    carrier["content-transfer-encoding"] = str(part["content-transfer-encoding"])
    carrier.set_payload("\n".join(map(_text_of, blocks)))
    texts = _text_of(carrier).replace("\r\n", "\n").split("\n\n")
    return [HeaderParser(policy=_POLICY).parsestr(text) for text in texts[:MOST_REPLIES]]


def _value(block: Message, name: str) -> str | None:
    value = block[name]
    return None if value is None else _after_type(str(value)).strip("<>") or None


def _server(block: Message, name: str) -> str | None:
    """The server's name alone: Gmail writes ``dns; NAME. (ADDRESS, the server for the domain DOMAIN.)``."""
    value = _value(block, name) or ""
    return value.partition(" (")[0].rstrip(".") or None


_TYPE = re.compile(r"[A-Za-z0-9-]{1,40} ?; ?")


def _after_type(value: str) -> str:
    """The value of a field such as ``dns; mx.corp.example``."""
    line = " ".join(value.split())
    return line[found.end() :] if (found := _TYPE.match(line)) else line


def _distinct(replies: Iterable[BounceReply]) -> tuple[BounceReply, ...]:
    """Each reply to a recipient once: what was written for people repeats what the report has, and may tell more."""
    found: dict[str, list[BounceReply]] = {}
    for reply in islice(replies, 2 * MOST_REPLIES):
        words = "".join(filter(str.isalnum, reply.text.lower()))[:_MOST_HEADER]
        same = next((each for text, each in found.items() if words in text), None)
        if same is None:
            found[words] = [reply]
        elif (at := _same_recipient(same, reply)) is None:
            same.append(reply)
        else:
            same[at] = _filled(same[at], reply)
    return tuple(islice((reply for each in found.values() for reply in each), MOST_REPLIES))


def _same_recipient(replies: Sequence[BounceReply], reply: BounceReply) -> int | None:
    known = [each.recipient for each in replies]
    return 0 if reply.recipient is None else known.index(reply.recipient) if reply.recipient in known else None


def _filled(first: BounceReply, other: BounceReply) -> BounceReply:
    """The first, and of the other what that one does not tell."""
    return first._replace(remote=first.remote or other.remote, stage=first.stage or other.stage)
