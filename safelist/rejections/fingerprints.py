"""Who said it: the texts by which servers, services and boxes between them are known; a table, not code. Pure.

The table is fingerprints.toml beside this module, which says what its keys mean.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from safelist.rejections.bounded_pattern import BoundedPattern, read
from safelist.rejections.rejection import Stage

MOST_TEXT = 10_000
"""Characters of a reply or of a header that are looked at."""


class Certainty(StrEnum):
    """How well it is known that the text is theirs."""

    CERTAIN = "certain"
    LIKELY = "likely"


class About(StrEnum):
    """What a text is about, which decides what it means where many say it."""

    PATH = "path"
    SCANNER = "scanner"
    ADDRESS = "address"
    MAIL = "mail"
    RECIPIENT = "recipient"
    SERVER = "server"


class Fingerprint(NamedTuple):
    """One row. ``stages`` is empty for what is found in headers."""

    id: str
    who: str
    stages: tuple[Stage, ...]
    about: About
    meaning: str
    advice: str
    source: str
    certainty: Certainty
    patterns: tuple[BoundedPattern, ...]
    examples: tuple[str, ...]

    def is_in(self, text: str, lower: str) -> bool:
        """Whether ``text``, which is ``lower`` in lower case, is theirs."""
        return any(pattern.is_in(text, lower) for pattern in self.patterns)


class FingerprintTable(NamedTuple):
    """The rows about replies and those about headers, the most specific first."""

    replies: tuple[Fingerprint, ...]
    headers: tuple[Fingerprint, ...]

    def match(self, text: str, stage: Stage | None = None) -> tuple[Fingerprint, ...]:
        """Whose reply it may be, the likeliest first; with a stage, those first who say it there."""
        found = _among(self.replies, plain(text))
        return found if stage is None else tuple(sorted(found, key=lambda each: stage not in each.stages))

    def traces(self, header: str) -> tuple[Fingerprint, ...]:
        """Who leaves such a header, ``Name: value``, in mail that passes."""
        return _among(self.headers, " ".join(header[:MOST_TEXT].split()))


def match(text: str, stage: Stage | None = None) -> tuple[Fingerprint, ...]:
    """Whose reply it may be, by the table of this package, the likeliest first."""
    return table().match(text, stage)


@lru_cache(maxsize=1)
def table() -> FingerprintTable:
    """The table of this package."""
    return load(files(__package__).joinpath("fingerprints.toml").read_text(encoding="utf-8"))


def _among(rows: Sequence[Fingerprint], text: str) -> tuple[Fingerprint, ...]:
    lower = text.lower()
    return tuple(each for each in rows if each.is_in(text, lower))


_TYPOGRAPHY = str.maketrans({0x2010: "-", 0x2011: "-", 0x2013: "-", 0x2014: "-", 0x2018: "'", 0x2019: "'",
                             0x201C: '"', 0x201D: '"'})  # fmt: skip
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\ufeff]")


def plain(text: str) -> str:
    """A reply on one line: white space and quotes as typed, the code that each further line repeats left out."""
    line = " ".join(_INVISIBLE.sub("", text[:MOST_TEXT]).translate(_TYPOGRAPHY).split())
    code = line[:3]
    if not (code.isascii() and code.isdigit()):
        return line
    return re.sub(rf"(?<= ){code}[- ](?:[245]\.[0-9]{{1,3}}\.[0-9]{{1,3}} )?", "", line)


_KINDS = ("reply", "header")
_COMMON = ("id", "who", "meaning", "do", "source", "certainty")


def load(text: str) -> FingerprintTable:
    """Read the table from TOML. Raises ValueError, whose lines are all its faults."""
    content = tomllib.loads(text)
    rows = [(kind, number, row) for kind in _KINDS for number, row in enumerate(content.get(kind, ()), 1)]
    names = Counter(str(row.get("id")) for _, _, row in rows)
    faults = [f"{key}: is not known; write [[reply]] or [[header]]" for key in content if key not in _KINDS]
    for kind, number, row in rows:
        label = f"{kind} {number} ({row.get('id')})"
        faults += [f"{label}: {fault}" for fault in _faults(row, is_reply=kind == "reply")]
        faults += [f"{label}: this id stands twice"] if names[str(row.get("id"))] > 1 else []
    if faults:
        raise ValueError("\n".join(faults))
    replies, headers = (tuple(_row(row) for each, _, row in rows if each == kind) for kind in _KINDS)
    return FingerprintTable(replies, headers)


def _faults(row: Mapping[str, Any], *, is_reply: bool) -> Iterator[str]:
    lists = ("patterns", "examples", *(("stages",) if is_reply else ()))
    texts = (*_COMMON, *(("about",) if is_reply else ()))
    yield from (f"{key}: is not known" for key in row if key not in lists + texts)
    yield from (f"{key}: a text is missing" for key in texts if not (isinstance(row.get(key), str) and row[key]))
    for key in lists:
        if not (isinstance(row.get(key), list) and row[key] and all(isinstance(each, str) for each in row[key])):
            yield f"{key}: a list of texts is missing"
            continue
        yield from _faults_in_list(key, row[key])
    yield from _faults_of_words(row)


def _faults_in_list(key: str, values: Sequence[str]) -> Iterator[str]:
    for value in values:
        try:
            if key == "patterns":
                read(value)
            elif key == "stages":
                Stage(value)
        except ValueError as fault:
            yield f"{key}: {value!r}: {fault}"


def _faults_of_words(row: Mapping[str, Any]) -> Iterator[str]:
    for key, words in (("certainty", Certainty), ("about", About)):
        if isinstance(row.get(key), str) and row[key] not in list(words):
            yield f"{key}: {row[key]!r}: write one of {', '.join(words)}"


def _row(row: Mapping[str, Any]) -> Fingerprint:
    return Fingerprint(
        id=row["id"],
        who=row["who"],
        stages=tuple(map(Stage, row.get("stages", ()))),
        about=About(row.get("about", About.PATH)),
        meaning=row["meaning"],
        advice=row["do"],
        source=row["source"],
        certainty=Certainty(row["certainty"]),
        patterns=tuple(map(read, row["patterns"])),
        examples=tuple(row["examples"]),
    )
