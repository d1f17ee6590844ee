"""What is known of a bounce, of a text or of a mail's headers: who said it, and which boxes left a trace. Pure."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from safelist.rejections.bounce import read
from safelist.rejections.bounce_text import BounceReply
from safelist.rejections.fingerprints import Fingerprint, FingerprintTable

if TYPE_CHECKING:  # the list of public suffixes takes its time
    from safelist.rejections.whose_box import SaidByMany


class ExplainedReply(NamedTuple):
    """A reply, and whose it may be, the likeliest first; none where it is not known."""

    said: BounceReply
    fingerprints: tuple[Fingerprint, ...]


class ExplainedTrace(NamedTuple):
    """A header, and who leaves such ones."""

    header: str
    fingerprint: Fingerprint


class BounceExplanation(NamedTuple):
    """Each trace is there once, however many headers have it."""

    replies: tuple[ExplainedReply, ...]
    traces: tuple[ExplainedTrace, ...]


def explain(contents: Iterable[bytes], table: FingerprintTable) -> BounceExplanation:
    """Explain bounces, texts and headers, together."""
    read_ = [read(content) for content in contents]
    replies = tuple(ExplainedReply(said, table.match(said.text, said.stage)) for each in read_ for said in each.replies)
    traces: dict[str, ExplainedTrace] = {}
    for header in (header for each in read_ for header in each.headers):
        for found in table.traces(header):
            traces.setdefault(found.id, ExplainedTrace(header, found))
    return BounceExplanation(replies, tuple(traces.values()))


def same_answers(replies: Iterable[ExplainedReply]) -> Iterator[list[ExplainedReply]]:
    """The replies that have one explanation, or one text, together, in their order."""
    same: dict[tuple[str, ...], list[ExplainedReply]] = {}
    for each in replies:
        key = tuple(found.id for found in each.fingerprints) or ("", each.said.text)
        same.setdefault(key, []).append(each)
    return iter(same.values())


def reply_form(explained: ExplainedReply) -> dict[str, Any]:
    """The JSON form of a reply."""
    return {**explained.said._asdict(), "fingerprints": [fingerprint_form(each) for each in explained.fingerprints]}


def trace_form(trace: ExplainedTrace) -> dict[str, Any]:
    """The JSON form of a trace."""
    return {"header": trace.header, "fingerprint": fingerprint_form(trace.fingerprint)}


def box_form(box: "SaidByMany") -> dict[str, Any]:
    """What is told of a text that several say, with the sentence."""
    return {**box._asdict(), "fingerprint": box.fingerprint and box.fingerprint.id, "sentence": box.sentence}


def fingerprint_form(found: Fingerprint) -> dict[str, Any]:
    """The JSON form of a row of the table, without its patterns."""
    return {
        "id": found.id,
        "who": found.who,
        "stages": list(found.stages),
        "about": found.about,
        "meaning": found.meaning,
        "do": found.advice,
        "certainty": found.certainty,
        "source": found.source,
    }
