"""A target that the suite alone has: two lists and a snippet, for everybody and for each recipient.

Its filter looks a sender up among what counts for the recipient, then among what counts for everybody.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import Field

from safelist.config import Section
from safelist.publisher.target import Command, FilePath, LeftOut, RecipientRuling, Ruling, Scope
from safelist.publisher.text_target import Rendering, TextFile, text_target, whole_line
from safelist.sender import Pattern

NAME = "pairs"
HEADER = b"# Written by safelist; do not edit: `safelist publish` writes it anew.\n"
WORD = {True: b"safe", False: b"ask"}


class PairsSettings(Section):
    """Two lists and a snippet for the pairs filter."""

    IS_OPTIONAL = True
    path: FilePath = Field(description="The list for everybody.", examples=["/etc/pairs/everybody"])
    on_change: Command = Field((), description="A command (no shell) to run after a change.", examples=["pairs reload"])


def recipients(path: Path) -> Path:
    return path.with_name(f"{path.name}.recipients")


def snippet(path: Path) -> Path:
    return path.with_name(f"{path.name}.conf")


def demands(_: PairsSettings) -> str:
    return "The pairs filter asks for no authentication. Left out: senders with white space in them."


def use(chosen: PairsSettings) -> str:
    return f"include {snippet(chosen.path)}"


def writable(pattern: Pattern, left_out: list[LeftOut]) -> bool:
    """Whether the format can hold it; what it cannot is noted."""
    if any(character.isspace() for character in pattern.text):
        left_out.append(LeftOut(pattern, "white space ends a word"))
        return False
    return True


def everybody_lines(rulings: Iterable[Ruling], left_out: list[LeftOut]) -> Sequence[bytes]:
    return [b"%s %s\n" % (r.pattern.text.encode(), WORD[r.safe]) for r in rulings if writable(r.pattern, left_out)]


def recipient_lines(rulings: Iterable[RecipientRuling], left_out: list[LeftOut]) -> Iterator[bytes]:
    for each in rulings:
        if writable(each.pattern, left_out):
            yield b"%s %s %s\n" % (each.recipient.encode(), each.pattern.text.encode(), WORD[each.safe])


def render(everybody: Sequence[Ruling], each: Iterable[RecipientRuling], chosen: PairsSettings) -> Rendering:
    path, left_out = chosen.path, list[LeftOut]()
    include = [f"everybody {path}\n".encode(), f"recipients {recipients(path)}\n".encode()]
    files = (
        TextFile(path, HEADER, everybody_lines(everybody, left_out)),
        TextFile(recipients(path), HEADER, recipient_lines(each, left_out), key=whole_line),
        TextFile(snippet(path), HEADER, include, is_list=False),
    )
    return Rendering(files, left_out)


TARGET = text_target(
    name=NAME, settings=PairsSettings, demands=demands,
    use=use, scope=Scope.RECIPIENT, render=render,
)  # fmt: skip
