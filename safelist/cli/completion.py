"""What a shell offers when somebody presses Tab: quickly, and silently where it cannot be known.

A shell puts an answer on the command line as it stands, so that only words of plain characters are offered: what users
list may hold anything.
"""

import contextlib
import io
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:  # these take longer to import than most commands to run
    from safelist.config import Config
    from safelist.store import Store

MOST = 300
"""Answers to one question: more of them nobody reads."""
_SECONDS = 5
"""After so long a database gets no chance to answer any more: its server may be away, and a person waits."""
_PLAIN = re.compile(r"[\w.@+:/=,%-]+", re.ASCII)
_BREAK = re.compile(r"[@=:]+")
"""Where bash ends a word besides blanks (COMP_WORDBREAKS)."""
_VARIABLE = "_SAFELIST_COMPLETE"

Answer = Callable[[typer.Context, str], list[str]]


def is_asked() -> bool:
    """Whether a shell runs the program to complete a line."""
    return _VARIABLE in os.environ


def answer(run: Callable[[], int]) -> int:
    """Run the command line for a shell that completes: what comes of it is answers, or nothing at all."""
    before = _join_words() if os.environ[_VARIABLE] == "complete_bash" else ""
    given = io.StringIO()
    with contextlib.redirect_stdout(given), contextlib.redirect_stderr(io.StringIO()):
        run()
    for line in filter(None, given.getvalue().splitlines()):
        print(line.removeprefix(before))
    return 0


def _join_words() -> str:
    """Undo bash's splitting of ``bob@corp`` and ``--config=FILE``; returns what of the last word it does not replace.

    Typer's script for bash gives the words in COMP_WORDS, one a line, and the number of the last one in COMP_CWORD.
    """
    words = os.environ.get("COMP_WORDS", "").split("\n")
    joined = whole(words[: int(os.environ.get("COMP_CWORD", len(words))) + 1])
    os.environ |= {"COMP_WORDS": "\n".join(joined), "COMP_CWORD": str(len(joined) - 1)}
    before = re.match(r".*[=:]|.*(?=@)", joined[-1])  # at an @, which begins a host's name, the @ is replaced, too
    return before[0] if before else ""


def whole(words: Sequence[str]) -> list[str]:
    """The words as they were typed, where bash has ended one at each ``@``, ``=`` or ``:``; of ``--x=y`` two."""
    joined, is_open = [""], True
    for word in words:
        is_break = bool(_BREAK.fullmatch(word))
        if is_break and joined[-1].startswith("--") and word == "=":
            joined.append("")
        elif is_open or is_break:
            joined[-1] += word
        else:
            joined.append(word)
        is_open = is_break
    return joined


def _silent(found: Callable[[typer.Context, str], Iterator[str]]) -> Answer:
    """Offer the plain ones that begin as what is typed; none where anything is wrong, which other commands say."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        answers: list[str] = []
        with contextlib.suppress(Exception):
            for each in found(ctx, incomplete):
                if each.startswith(incomplete) and _PLAIN.fullmatch(each):
                    answers.append(each)
                if len(answers) == MOST:
                    break
        return answers

    return complete


@contextlib.contextmanager
def _opened(ctx: typer.Context) -> "Iterator[Store]":
    from safelist import store

    url = _configured(ctx).database.url
    before = signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.alarm(_SECONDS)
    try:
        with store.open_store(url) as opened:
            yield opened
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _configured(ctx: typer.Context) -> "Config":
    from safelist.cli.configuration import load_config

    named: Any = ctx.params.get("config_file")
    return load_config(Path(named) if named else None)


@_silent
def mailboxes(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Mailboxes that were collected."""
    with _opened(ctx) as opened:
        yield from opened.addresses(incomplete, MOST)


@_silent
def targets(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Targets that are configured."""
    yield from _configured(ctx).publish


@_silent
def checked_targets(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Targets that can be checked: those that are configured, else all kinds."""
    from safelist.publisher.targets import TARGETS

    kinds = [name for name, target in TARGETS.items() if target.check]
    with contextlib.suppress(Exception):
        kinds = [name for name in _configured(ctx).publish if name.partition(".")[0] in kinds] or kinds
    yield from kinds


@_silent
def sources(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Sources that are configured."""
    from safelist.collector.sources import configured

    yield from (source.name for source in configured(_configured(ctx)))


@_silent
def formats(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Forms of logs."""
    from safelist.rejections.formats import FORMATS

    yield from FORMATS


@_silent
def overridden(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """The senders of overrides that are in force, and the numbers of these."""
    from safelist.cli.terminal import now

    with _opened(ctx) as opened:
        found = [override for override in opened.overrides() if override.in_force(now())]
    yield from dict.fromkeys(override.terms.pattern.text for override in found)
    yield from (str(override.id) for override in found)


@_silent
def override_numbers(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """The numbers of all overrides, the newest first."""
    with _opened(ctx) as opened:
        yield from (str(override.id) for override in reversed(opened.overrides()))


@_silent
def own_domains(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """The organisation's own domains."""
    config = _configured(ctx)
    with _opened(ctx) as opened:
        yield from sorted({*config.policy.own_domains, *opened.own_domains()})
