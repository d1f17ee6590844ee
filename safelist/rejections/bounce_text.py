"""The replies of mail servers in what programs write for people: a bounce's text, pasted or quoted, a log's line. Pure.

Postfix, Exim, sendmail, qmail and Exchange say in words of their own which server said what to which command, about
whom. A reply begins with its code, behind one of few marks; what stands before it is searched for the rest.
"""

import re
from collections.abc import Iterator
from html import unescape
from itertools import zip_longest
from typing import NamedTuple

from safelist.rejections.rejection import Stage

_MOST_CONTEXT = 400
"""Characters before a reply that are searched for who said it."""


class BounceReply(NamedTuple):
    """What a server said, in one line, and what the bounce tells of it.

    ``remote`` is the server that said it, ``reporter`` the one that wrote the bounce; None where it does not tell.
    """

    text: str
    recipient: str | None = None
    remote: str | None = None
    reporter: str | None = None
    stage: Stage | None = None


def replies_in(text: str) -> Iterator[BounceReply]:
    """The replies in a text, whose marks of quotation are left out."""
    before = ""
    for paragraph in re.split(r"\n{2,}", "\n".join(_unquoted(text))):
        yield from replies_of_paragraph(paragraph, before)
        before = f"{before} {paragraph}"[-_MOST_CONTEXT:]


_HEADER = re.compile(r"(?:X-[A-Za-z0-9-]{1,60}|X-Check Point|Received): ")


def headers_in(text: str) -> Iterator[str]:
    """The first line of each header that is of use, as bounces for people have those of the mail that came back."""
    return (line for line in _unquoted(text) if _HEADER.match(line))


def one_line(text: str) -> str:
    """All of a text, without marks of quotation."""
    return " ".join(" ".join(_unquoted(text)).split())


_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\ufeff\r]")


def _unquoted(text: str) -> Iterator[str]:
    for line in _INVISIBLE.sub("", text).replace("\xa0", " ").split("\n"):
        yield line if line.startswith("<<< ") else line.lstrip(" \t>|*").rstrip()


_BEGIN = re.compile(
    r"(?:^|(?:said|returned|response was|error):[ \n]|returned ['\"]|#|<<< |; ?|: |[<('\"])"
    r"(?P<code>[45][0-5][0-9])(?P<more>[- ])(?=\S)",
    re.MULTILINE,
)


def replies_of_paragraph(paragraph: str, before: str) -> Iterator[BounceReply]:
    """The replies in lines that belong together; ``before`` is what stands above them."""
    begins: list[re.Match[str]] = []
    for found in _BEGIN.finditer(paragraph):
        if not (begins and begins[-1]["more"] == "-" and begins[-1]["code"] == found["code"]):
            begins.append(found)
    for begin, after in zip_longest(begins, begins[1:]):
        yield _reply(paragraph, begin, len(paragraph) if after is None else after.start(), before)


def _reply(paragraph: str, begin: re.Match[str], end: int, before: str) -> BounceReply:
    start = begin.start("code")
    said, rest = _closed(" ".join(paragraph[start:end].split()), paragraph[start - 1 : start])
    context = f"{before} {paragraph[max(start - _MOST_CONTEXT, 0) : start]}"[-_MOST_CONTEXT:]
    recipient, remote = _last(_RECIPIENT, context), _last(_REMOTE, context)
    return BounceReply(said, recipient, remote, None, _stage(rest, context))


_END = re.compile(r" ?##|> ?#SMTP#| ?\(in reply to | ?\bGiving up on | ?\bI'm not going to try again")


def _closed(said: str, opened: str) -> tuple[str, str]:
    """A reply, and what stands behind it; ``opened`` is the character before, which may have to be closed."""
    end = _END.search(said)
    at = end.start() if end else len(said)
    if opened in ("'", '"') and (close := said.rfind(opened, 0, at)) > 0:
        at = close
    return said[:at].strip(), said[at:]


_RECIPIENT = re.compile(r"([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})")
_NAME = r"([A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,8})"
_REMOTE = re.compile(
    rf"\bhost {_NAME} ?\[|\b{_NAME}\[[0-9a-f.:]{{2,45}}\](?::[0-9]{{1,5}})? (?:said|refused)|\btalking to {_NAME}"
    rf"|\bRemote-MTA: ?(?:dns; ?)?{_NAME}|\bserver at {_NAME}|\b{_NAME} (?:gave this error|rejected your)"
    rf"|(?:^|[\s<]){_NAME} #|(?:^|\s){_NAME} $|\b{_NAME} does not like|\brecipient domain \S{{1,255}} by {_NAME}",
    re.IGNORECASE,
)


def _last(expression: re.Pattern[str], context: str) -> str | None:
    """The nearest before the reply."""
    names = [name for found in expression.finditer(context) for name in found.groups() if name]
    return names[-1] if names else None


_STAGES = (
    (re.compile(r"\b(?:in reply to|after) (?:end of DATA|pipelined end)", re.IGNORECASE), Stage.MESSAGE),
    (re.compile(r"\b(?:in reply to|after) (?:pipelined )?(?:DATA|BDAT)", re.IGNORECASE), Stage.DATA),
    (re.compile(r"\b(?:in reply to|after) (?:pipelined )?RCPT", re.IGNORECASE), Stage.RCPT),
    (re.compile(r"\b(?:in reply to|after) (?:pipelined )?MAIL", re.IGNORECASE), Stage.MAIL),
    (re.compile(r"\b(?:in reply to|after) (?:EHLO|HELO)", re.IGNORECASE), Stage.HELO),
    (re.compile(r"\brefused to talk to me|\bafter initial connection", re.IGNORECASE), Stage.CONNECT),
)


def _stage(rest: str, context: str) -> Stage | None:
    """The command that was answered, as a program says behind the reply (Postfix) or before it (Exim)."""
    texts = (rest[:200], " ".join(context[-200:].split()))
    return next((stage for text in texts for mark, stage in _STAGES if mark.search(text)), None)


_TAG = re.compile(r"(<[^<>]{0,2000}>)")
_BREAKING = re.compile(r"</?(?:p|div|br|tr|td|th|table|li|ul|ol|h[1-6]|pre|blockquote|body|hr)\b", re.IGNORECASE)
_HIDDEN = re.compile(r"<(/?)(?:style|script|head|title)\b", re.IGNORECASE)


def without_tags(html: str) -> str:
    """What a browser shows of HTML, about: what is a block stands apart."""
    texts, is_hidden = [], False
    for number, piece in enumerate(_TAG.split(html)):
        if number % 2 and (tag := _HIDDEN.match(piece)):
            is_hidden = not tag[1]
        elif number % 2:
            texts.append("\n\n" if _BREAKING.match(piece) else "")
        elif not is_hidden:
            texts.append(re.sub(r"\s{1,1000}", " ", piece))
    return unescape("".join(texts))
