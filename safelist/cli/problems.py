"""Problems for people: many that have one cause are one line."""

from collections.abc import Iterable, Iterator

SHOWN = 5
"""Of the mailboxes or groups that have one cause, this many are named."""


def one_line_a_cause(problems: Iterable[tuple[str, str]], kind: str) -> Iterator[str]:
    """``subject: message`` for each message, with the first of its subjects and the number of the others.

    Messages are the same where they differ by their own subject only. ``kind`` is what the subjects are, as a plural.
    """
    causes: dict[str, list[tuple[str, str]]] = {}
    for subject, message in problems:
        causes.setdefault(message.replace(subject, "\0"), []).append((subject, message))
    for same in causes.values():
        names = ", ".join(sorted(subject for subject, _ in same)[:SHOWN])
        more = f" and {len(same) - SHOWN} more {kind} (--json names them all)" if len(same) > SHOWN else ""
        yield f"{names}{more}: {same[0][1]}"
