"""The language of manual pages: man(7), groff_man(7)."""

import re
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

_SPECIAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}
"""What troff takes for something else, or typesets: groff_char(7)."""


class Imprint(NamedTuple):
    """Which edition a page belongs to."""

    version: str
    day: date


def escaped(text: str) -> str:
    """``text`` as it stands, whatever is in it, on one line of a page."""
    one_line = re.sub(r"\s+", " ", text)
    return "".join(_SPECIAL.get(c, c if c.isascii() else f"\\[u{ord(c):04X}]") for c in one_line)


def bold(text: str) -> str:
    """What is typed as it stands."""
    return rf"\fB{escaped(text)}\fR"


def italic(text: str) -> str:
    """What something else stands for."""
    return rf"\fI{escaped(text)}\fR"


def prose(text: str) -> str:
    """A sentence whose ``code spans``, in backquotes, are typed as they stand; links keep their words alone."""
    told = re.sub(r"\[([^\[\]]+)\]\([^()\s]+\)", r"\1", text).replace("**", "")
    parts = re.split(r"(`[^`]+`)", told)
    return line("".join(bold(part[1:-1]) if re.fullmatch("`[^`]+`", part) else escaped(part) for part in parts))


def line(written: str) -> str:
    """A line that is no request, however it begins: troff takes one for that after a full stop or an apostrophe."""
    return rf"\&{written}" if written.startswith((".", "'")) else written


def head(name: str, section: int, imprint: Imprint) -> list[str]:
    """The requests that a page begins with. Lines keep their words whole: a name that is broken cannot be typed."""
    title = f'.TH "{escaped(name.upper())}" {section} "{imprint.day}" "safelist {imprint.version}" "safelist"'
    return [title, ".nh", ".ad l"]


def sentence(text: str) -> str:
    """Prose that stands in a cell of a table, without a capital letter or a full stop, as a sentence."""
    return prose(f"{text[:1].upper()}{text[1:].removesuffix('.')}.")


def heading(title: str, *lines: str) -> list[str]:
    """A heading and what stands below it; nothing where nothing does."""
    return [f'.SH "{escaped(title)}"', *lines] if lines else []


def below(title: str, *lines: str) -> list[str]:
    """A heading of the second order."""
    return [f'.SS "{escaped(title)}"', *lines]


def tagged(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Paragraphs with something in front, which is written as troff reads it already; as is what they say."""
    return [text for tag, told in rows for text in (".TP", line(tag), told or r"\&")]


def paragraphs(texts: Iterable[str]) -> list[str]:
    """Paragraphs of prose."""
    return [text for told in texts for text in (".PP", prose(told))][1:]


def page(*parts: Iterable[str]) -> str:
    """The whole text of a page."""
    return "\n".join(text for part in parts for text in part) + "\n"
