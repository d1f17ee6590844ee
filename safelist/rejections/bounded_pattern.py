"""Regular expressions that take time with the length of a text only: the part of Python's that can be bounded. Pure.

A repetition has an end, no group is repeated, and all repetitions of a pattern multiply to a limit. So at each place of
a text a search takes a bounded number of steps, whoever wrote the text. Letters match whatever their case.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

MOST_STEPS = 4000
"""How many ways to match the repetitions of a pattern may leave at one place of a text."""
LEAST_NEEDLE = 3
"""Characters that every match has to hold in a row, so that most texts are told by a search for them alone."""

_TOKEN = re.compile(
    r"(?P<group>\(\?:)|(?P<end>\))|(?P<or>\|)|(?P<times>\?|\{(?P<least>[0-9]{1,3})(?:,(?P<most>[0-9]{1,3}))?\})"
    r"|(?P<set>\.|\\[dDwWsS]|\[(?:[^\\\]]|\\.)+\])|(?P<place>\^|\$|\\[bB])"
    r"|(?P<literal>\\[^A-Za-z0-9\s]|[^\\\[\](){}*+?.|^$])"
)


class BoundedPattern(NamedTuple):
    """``needle`` is in lower case, and in each text that ``expression`` finds itself in."""

    expression: re.Pattern[str]
    needle: str

    def is_in(self, text: str, lower: str) -> bool:
        """Whether ``text``, which is ``lower`` in lower case, holds a match."""
        return self.needle in lower and self.expression.search(text) is not None


def read(source: str) -> BoundedPattern:
    """Compile a pattern. Raises ValueError, which says what in it is not bounded."""
    tokens = list(_tokens(source))
    _refuse_unbounded(tokens)
    needle = max(_fixed_texts(tokens), key=len)
    if len(needle) < LEAST_NEEDLE:
        raise ValueError(f"no {LEAST_NEEDLE} characters in a row, outside of groups, that every match holds")
    try:
        return BoundedPattern(re.compile(source, re.ASCII | re.IGNORECASE), needle)
    except re.error as fault:
        raise ValueError(str(fault)) from None


def _tokens(source: str) -> Iterator[re.Match[str]]:
    if not source.isascii():
        raise ValueError("holds characters that are not ASCII")
    at = 0
    while at < len(source):
        if (found := _TOKEN.match(source, at)) is None:
            raise ValueError(f"{source[at : at + 10]!r} is not bounded or not known here: no *, +, {{n,}}, (?=, \\1")
        yield found
        at = found.end()


def _refuse_unbounded(tokens: Sequence[re.Match[str]]) -> None:
    steps, depth, before = 1, 0, ""
    for token in tokens:
        kind = token.lastgroup or ""
        depth += (kind == "group") - (kind == "end")
        if kind == "times":
            if before == "end" and token[0] != "?":
                raise ValueError(f"a group is repeated: {token[0]}")
            steps *= _ways(token)
        if kind == "or" and depth == 0:
            raise ValueError("| outside of a group: write two patterns")
        before = kind
    if steps > MOST_STEPS:
        raise ValueError(f"its repetitions multiply to {steps}, above {MOST_STEPS}")


def _ways(times: re.Match[str]) -> int:
    if times[0] == "?":
        return 2
    return int(times["most"] or times["least"]) - int(times["least"]) + 1


def _fixed_texts(tokens: Sequence[re.Match[str]]) -> list[str]:
    """The texts that stand in every match, in lower case."""
    found, depth = [""], 0
    for token, after in zip_longest(tokens, tokens[1:]):
        kind = token.lastgroup
        depth += (kind == "group") - (kind == "end")
        if kind == "literal" and depth == 0 and (after is None or after.lastgroup != "times"):
            found[-1] += token[0][-1].lower()
        else:
            found.append("")
    return found
