"""What an smtpd.conf of OpenSMTPD says of one file: its table, and whether a filter lets pass whom it names. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

Words = Sequence[str]

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([{},])|([^\s{},"#]+)|#.*')


class Placement(NamedTuple):
    """``table``: the name that the file has there. ``why``: why it lifts nothing, and what to write; else empty."""

    table: str
    why: str


def statements(text: str) -> Iterator[Words]:
    """The words of each line, without comments; a line that ends with a backslash goes on (smtpd.conf(5))."""
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        words = ["".join(found.groups("")) for found in _WORD.finditer(line) if not found[0].startswith("#")]
        if words:
            yield words


def included(text: str) -> list[str]:
    """The files that it includes."""
    return [words[1] for words in statements(text) if words[0] == "include" and len(words) > 1]


def placement(text: str, path: str) -> Placement:
    """Where the file stands: behind a table, a filter that bypasses the rest, a chain before others, a listener."""
    lines = list(statements(text))
    table = next((line[1] for line in lines if line[0] == "table" and line[2:3] == [f"file:{path}"]), "")
    if not table:
        return Placement("", f"no table reads it: write `table safelist file:{path}`")
    match = f"match mail-from <{table}> bypass"
    filters = {line[1] for line in lines if line[0] == "filter" and " ".join(line[2:]).endswith(match)}
    if not filters:
        return Placement(table, f"no filter asks its table: write `filter {table} phase mail-from {match}`")
    chains = {line[1]: _members(line) for line in lines if line[0] == "filter" and line[2:3] == ["chain"]}
    early = {name for name, members in chains.items() if filters & set(members[:-1])}
    if not early:
        name = min(filters)
        return Placement(
            table,
            f"{name} stands in no chain in front of another filter: write `filter inbound chain {{ {name}, X }}`, with "
            "the filter that rejects whom a DNSBL lists for X",
        )
    if not any(line[0] == "listen" and early & set(_after(line, "filter")) for line in lines):
        return Placement(table, f"no listener uses the chain: write `filter {min(early)}` behind its `listen on ...`")
    return Placement(table, "")


def _members(line: Words) -> list[str]:
    return [word for word in line[3:] if word not in "{},"]


def _after(line: Words, word: str) -> list[str]:
    return [following for each, following in pairwise(line) if each == word]
