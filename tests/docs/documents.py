"""README.md and the pages below docs/ as their readers have them: headings, links, tables and fenced blocks."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """A fenced block without its indentation. ``heading`` is the nearest one above it."""

    page: str
    heading: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}#{anchor(self.heading)} ({self.language}: {self.text.strip().splitlines()[0]})"


@dataclass(frozen=True)
class Page:
    """A document; ``name`` is its path from the top of the repository."""

    name: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.name).read_text(encoding="utf-8")

    @cached_property
    def anchors(self) -> list[str]:
        """Of every heading, as GitHub makes them."""
        seen: Counter[str] = Counter()
        found = []
        for heading in self._headings.values():
            name = anchor(heading)
            found.append(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
        return found

    def blocks(self, language: str = "", heading: str = "") -> list[Block]:
        """The fenced blocks of one language, below one heading, in their order; of all where none is named."""
        found = []
        below = ""
        for number, token in enumerate(self._tokens):
            below = self._headings.get(number, below)
            if token.type in ("fence", "code_block"):
                found.append(Block(self.name, below, token.info, token.content))
        return [each for each in found if language in ("", each.language) and heading in ("", each.heading)]

    def links(self) -> Iterator[str]:
        """Where each link leads."""
        for token in self._inline():
            if token.type in ("link_open", "image"):
                yield str(token.attrs.get("href") or token.attrs["src"])

    def spans(self) -> Iterator[str]:
        """The text of each code span, tables included, on one line."""
        return (token.content for token in self._inline() if token.type == "code_inline")

    def _inline(self) -> Iterator[Token]:
        return (child for token in self._tokens for child in token.children or ())

    @cached_property
    def _tokens(self) -> list[Token]:
        return _MARKDOWN.parse(self.text)

    @cached_property
    def _headings(self) -> dict[int, str]:
        """The plain text of each heading, by the number of its first token."""
        return {
            number: "".join(child.content for child in self._tokens[number + 1].children or ())
            for number, token in enumerate(self._tokens)
            if token.type == "heading_open"
        }


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading's text."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


README = Page("README.md")
PROJECT = {name: Page(name) for name in ("CONTRIBUTING.md", "SECURITY.md")}
"""For whoever works on it; they lie beside the README, and are not installed."""
PAGES = {page.name: page for page in [README, *(Page(str(p.relative_to(ROOT))) for p in (ROOT / "docs").rglob("*.md"))]}
