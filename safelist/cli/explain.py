"""``safelist explain``: who said a rejection, from its text, a bounce, or the headers of mail that passed."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from safelist.cli.table import print_table
from safelist.cli.terminal import JsonOption, complain, print_json
from safelist.errors import PermissionDeniedError, UsageError
from safelist.rejections import explanation
from safelist.rejections.bounce import MOST_READ
from safelist.rejections.bounce_text import BounceReply
from safelist.rejections.fingerprints import Certainty, Fingerprint, table
from safelist.rejections.rejection import Stage

if TYPE_CHECKING:
    from safelist.rejections.whose_box import SaidByMany

MOST_OCTETS = 10 << 20
"""Of one input."""
_MOST_NAMED = 5


def explain(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT|FILE|-", show_default=False,
            help="The text of a rejection, a file with a bounce or with a mail's headers, or - for standard input, "
            "which is read where nothing is given. Several bounces tell whose box it is.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Say who rejected a mail, and what to do: of a text, a bounce, or a mail's headers; asks no server."""
    found = explanation.explain(_contents(given or []), table())
    boxes = _boxes(found.replies)
    if json:
        replies, traces = map(explanation.reply_form, found.replies), map(explanation.trace_form, found.traces)
        print_json({"replies": list(replies), "traces": list(traces), "boxes": list(map(explanation.box_form, boxes))})
    else:
        _print(found, boxes)


def _contents(given: Sequence[str]) -> list[bytes]:
    if not given and sys.stdin.isatty():
        raise UsageError(
            "write the rejection's text in quotes, name a file, or pipe the bounce in: safelist explain < bounce.eml"
        )
    return [_content(each) for each in given or ["-"]]


def _content(given: str) -> bytes:
    """What an argument stands for: standard input, a file's content, or itself."""
    if given == "-":
        return _bounded(sys.stdin.buffer, "standard input")
    if not _is_there(given):
        if _looks_like_a_path(given):
            raise UsageError(f"{given}: there is no such file")
        return given.encode("utf-8", "surrogateescape")
    try:
        with Path(given).open("rb") as file:
            return _bounded(file, given)
    except PermissionError:
        raise PermissionDeniedError(f"{given}: may not be read by this user") from None
    except OSError as error:
        raise UsageError(f"{given}: cannot be read: {error.strerror}") from None


def _looks_like_a_path(given: str) -> bool:
    if " " in given or "://" in given:
        return False
    return given.startswith(("/", "./", "../", "~")) or given.endswith((".eml", ".msg", ".txt", ".log"))


def _is_there(name: str) -> bool:
    try:
        Path(name).stat()
    except PermissionError:
        return True
    except (OSError, ValueError):  # a text may be too long for a name, or hold what none can
        return False
    return True


def _bounded(stream: BinaryIO, name: str) -> bytes:
    content = stream.read(MOST_OCTETS + 1)
    if len(content) > MOST_OCTETS:
        raise UsageError(f"{name}: larger than {MOST_OCTETS >> 20} MiB; give the bounce alone, or its beginning")
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise UsageError(f"{name}: this is Outlook's own format; save the bounce as text or .eml, or paste its text")
    if len(content) > MOST_READ:
        complain(f"{name}: only its first {MOST_READ >> 20} MiB is looked at")
    return content


def _boxes(replies: Sequence[explanation.ExplainedReply]) -> Sequence["SaidByMany"]:
    """Whose box it is, where there are several to compare."""
    told = [each.said for each in replies if each.said.recipient]
    if len(told) < 2:
        return ()
    from safelist.rejections.whose_box import Heard, whose_boxes  # the list of public suffixes takes its time

    heard = (Heard(said.text, (said.recipient or "").rpartition("@")[2], said.remote) for said in told)
    return whose_boxes(heard, table())


def _print(found: explanation.BounceExplanation, boxes: Sequence["SaidByMany"]) -> None:
    groups = list(explanation.same_answers(found.replies))
    known = [group for group in groups if group[0].fingerprints]
    tables = [*map(_known, known), *map(_box, boxes), *(_trace(each) for each in found.traces)]
    for number, rows in enumerate(tables):
        if number:
            print()
        print_table(("", ""), [row for row in rows if row[1]])
    for group in groups:
        if not group[0].fingerprints:
            complain(f"not known who says this{_for_how_long(group[0].said.text)}: {_said(group)}")
    if not tables and not groups:
        complain("there is no rejection in it, and no trace of a box that is known")
    if len(known) < len(groups) or not tables:
        complain(_LOOK)


_LOOK = (
    "look at the greeting of the server that said it, at whether other recipients' servers say the same (give several "
    "bounces at once), and at the headers of mail that passed (safelist explain FILE)"
)


def _for_how_long(reply: str) -> str:
    """What every code tells, whoever says it (RFC 5321, section 4.2.1)."""
    if not re.match(r"[45][0-9]{2}(?:[- ]|$)", reply):
        return ""
    if reply.startswith("5"):
        return ", but it is for good: the mail server does not try again (5xx)"
    return ", but it is for now: the mail server tries again by itself, for some days (4xx)"


def _known(group: Sequence[explanation.ExplainedReply]) -> Iterator[tuple[str, str]]:
    said, (first, *others) = group[0].said, group[0].fingerprints
    yield "rejection", said.text
    yield "said by", _named(dict.fromkeys(_place(each.said) for each in group))
    yield "who", first.who
    usual = f"usually {' or '.join(_STAGES[stage] for stage in first.stages)}"
    yield "stage", _STAGES[said.stage] if said.stage else usual
    yield from _meaning(first)
    for other in others:
        yield "or", f"{other.who}: {other.meaning}"


def _meaning(found: Fingerprint) -> Iterator[tuple[str, str]]:
    yield "means", found.meaning
    yield "do", found.advice
    yield "certainty", _CERTAINTIES[found.certainty]
    yield "source", found.source


_STAGES = {
    Stage.CONNECT: "on connecting",
    Stage.HELO: "at HELO",
    Stage.MAIL: "at MAIL FROM",
    Stage.RCPT: "at RCPT TO",
    Stage.DATA: "at DATA",
    Stage.MESSAGE: "after the message's data",
}
_CERTAINTIES = {
    Certainty.CERTAIN: "certain: the text is theirs",
    Certainty.LIKELY: "likely: others may say the same",
}


def _said(group: Sequence[explanation.ExplainedReply]) -> str:
    place = _named(dict.fromkeys(_place(each.said) for each in group))
    return f"{group[0].said.text}{f' ({place})' if place else ''}"


def _place(said: BounceReply) -> str:
    to = f" to {said.reporter}" if said.reporter else ""
    about = f" about {said.recipient}" if said.recipient else ""
    return f"{said.remote or 'an unnamed server'}{to}{about}" if said.remote or to or about else ""


def _named(places: Iterable[str]) -> str:
    names = [each for each in places if each]
    more = f"; and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return "; ".join(names[:_MOST_NAMED]) + more


def _box(box: "SaidByMany") -> Iterator[tuple[str, str]]:
    yield "rejection", box.text
    yield "whose box", box.sentence


def _trace(trace: explanation.ExplainedTrace) -> Iterator[tuple[str, str]]:
    yield "header", trace.header
    yield "who", trace.fingerprint.who
    yield from _meaning(trace.fingerprint)
