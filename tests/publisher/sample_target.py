"""A target that the suite alone has: two lists and a snippet, for everybody and for each recipient.

Its filter looks a sender up among what counts for the recipient, then among what counts for everybody.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import Field

from safelist.config import Section
from safelist.override import Authentication
from safelist.publisher.target import Command, FilePath, RecipientRuling, Ruling, Scope
from safelist.publisher.text_target import Rendering, TextFile, text_target, whole_line

NAME = "sample"
HEADER = b"# Written by safelist; do not edit: `safelist publish` writes it anew.\n"
WORD = {True: b"safe", False: b"ask"}


class SampleSettings(Section):
    """Two lists and a snippet for the sample filter."""

    IS_OPTIONAL = True
    path: FilePath = Field(description="The list for everybody.", examples=["/etc/sample/everybody"])
    unauthenticated: bool = Field(True, description="Write senders whose mail must prove itself.")
    on_change: Command = Field(
        (), description="A command (no shell) to run after a change.", examples=["sample reload"]
    )


def recipients(path: Path) -> Path:
    return path.with_name(f"{path.name}.recipients")


def snippet(path: Path) -> Path:
    return path.with_name(f"{path.name}.conf")


def demands(_: SampleSettings) -> str:
    return "The sample filter asks for no authentication. Left out: senders with white space in them, or a # first."


def not_asked(authentication: Authentication, chosen: SampleSettings) -> str:
    return "" if chosen.unauthenticated or authentication is Authentication.NONE else f"it needs {authentication}"


def use(chosen: SampleSettings) -> str:
    return f"include {snippet(chosen.path)}"


def everybody_lines(rulings: Iterable[Ruling]) -> Sequence[bytes]:
    return [b"%s %s\n" % (each.pattern.text.encode(), WORD[each.safe]) for each in rulings]


def recipient_lines(rulings: Iterable[RecipientRuling]) -> Iterator[bytes]:
    for each in rulings:
        yield b"%s %s %s\n" % (each.recipient.encode(), each.pattern.text.encode(), WORD[each.safe])


def render(everybody: Sequence[Ruling], each: Iterable[RecipientRuling], chosen: SampleSettings) -> Rendering:
    path = chosen.path
    include = [f"everybody {path}\n".encode(), f"recipients {recipients(path)}\n".encode()]
    files = (
        TextFile(path, HEADER, everybody_lines(everybody)),
        TextFile(recipients(path), HEADER, recipient_lines(each), key=whole_line),
        TextFile(snippet(path), HEADER, include, is_list=False),
    )
    return Rendering(files)


def words(path: Path) -> list[list[str]]:
    """As its filter reads a list: the words of each line that is no comment."""
    return [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]


TARGET = text_target(
    name=NAME, settings=SampleSettings, demands=demands,
    use=use, scope=Scope.RECIPIENT, render=render, not_asked=not_asked,
)  # fmt: skip
