"""What an administrator does: makes overrides, one or a file of them, and takes them back; who and when is passed in.

Each function is given the open store, and the configuration where what is configured has a say.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from safelist import domains, override_file, policy
from safelist.config import Config
from safelist.errors import UsageError
from safelist.override import Effect, Terms, sentence
from safelist.override_file import Cells, Circumstances, FileContent, FileFault, FileRow, Format, place
from safelist.policy import Settings
from safelist.runs.override_notes import Context, notes
from safelist.sender import Form, Pattern, domain_of, parse
from safelist.store import ContradictionError, Made, Store


class Consent(NamedTuple):
    """What the administrator has agreed to beforehand: to what is dangerous, and to replace what says otherwise."""

    i_understand: bool = False
    replace: bool = False


class OverrideFile(NamedTuple):
    """A file of overrides: what it is called in messages, how it is written, and its bytes."""

    name: str
    format: Format
    data: bytes

    def located(self, at: int, sentence: str) -> str:
        """A sentence about line or item ``at``; 0 is the file itself."""
        return f"{self.name}: {f'{place(self.format, at)}: ' if at else ''}{sentence}"


class MadeFrom(NamedTuple):
    """What became of one row of a file, and what is said of it."""

    row: FileRow
    made: Made
    notes: list[str]


def make(
    store: Store, config: Config, cells: Cells, now: datetime, actor: str, consent: Consent
) -> tuple[Made, list[str]]:  # fmt: skip
    """Record the override that the texts say; what is noted of it, and hinders nobody.

    Raises InvalidTermsError where they say none, UsageError where something speaks against it, ContradictionError.
    """
    settings = config.policy.settings(store.own_domains())
    terms = override_file.terms_of(cells, _circumstances(config, settings, now))
    if against := list(_objections(terms, settings, consent)):
        raise UsageError("\n".join(against))
    (made,) = store.make_overrides([terms], now, actor, replace=consent.replace)
    (found,) = notes([made], Context(store, config, settings, store.newest(now)))
    return made, found


def make_all(
    store: Store, config: Config, file: OverrideFile, now: datetime, actor: str, consent: Consent, *, dry_run: bool
) -> list[MadeFrom]:  # fmt: skip
    """Record every override of a file, or none; a dry run takes it back.

    Raises UsageError with everything that speaks against it, in the order of the lines.
    """
    settings = config.policy.settings(store.own_domains())
    content = override_file.read(file.data, file.format, _circumstances(config, settings, now))
    _refuse(content, settings, file, consent)
    try:
        given = [row.terms for row in content.rows]
        made = store.make_overrides(given, now, actor, replace=consent.replace, dry_run=dry_run)
    except ContradictionError as error:
        said = zip(error.found, str(error).split("\n"), strict=True)
        lines = (file.located(content.rows[contradiction.at].at, line) for contradiction, line in said)
        raise UsageError("\n".join(lines)) from None
    found = notes(made, Context(store, config, settings, store.newest(now)))
    return list(map(MadeFrom, content.rows, made, found))


def _circumstances(config: Config, settings: Settings, now: datetime) -> Circumstances:
    return Circumstances(now, settings.own_domains, settings.authentication, config.overrides.expires)


def _objections(terms: Terms, settings: Settings, consent: Consent) -> Iterator[str]:
    domain = domain_of(terms.pattern)
    is_wide_allow = terms.effect is Effect.ALLOW and terms.pattern.form is Form.SUBDOMAINS
    if is_wide_allow and domains.is_public_suffix(domain):
        yield f"{domain} is a public suffix: everything below it is never allowed at once; allow the domains you mean"
    elif not consent.i_understand:
        for danger in policy.dangers(terms, settings):
            yield f"{danger}; add --i-understand if you mean it"


def _refuse(content: FileContent, settings: Settings, file: OverrideFile, consent: Consent) -> None:
    """Raise UsageError with everything that speaks against the import, in the order of the lines."""
    faults = content.faults + [
        FileFault(at, objection) for at, terms in content.rows for objection in _objections(terms, settings, consent)
    ]
    if faults:
        faults.sort(key=lambda fault: fault.at)
        raise UsageError("\n".join(file.located(*fault) for fault in faults))


def notes_once(file: OverrideFile, done: Sequence[MadeFrom]) -> Iterator[str]:
    """Each note once, with the first of the lines that it is about."""
    about: dict[str, list[int]] = {}
    for row, _, found in done:
        for note in found:
            about.setdefault(note, []).append(row.at)
    for note, lines in about.items():
        more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
        yield f"{file.name}: {place(file.format, lines[0])}{more}: note: {note}"


def revoke(store: Store, which: Sequence[str], why: str, now: datetime, actor: str) -> list[int]:
    """Take overrides back, all of them or none, and return their numbers.

    ``which`` are numbers, or senders that one override in force names. Raises UsageError.
    """
    ids = list(dict.fromkeys(_number(text, store, now) for text in which))
    store.revoke_overrides(ids, why, now, actor)
    return ids


def _number(text: str, store: Store, now: datetime) -> int:
    """The override of that number, or the only one in force about that sender. Raises UsageError."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    pattern = parse(text)
    found = [o for o in store.overrides() if o.in_force(now) and _named(o.terms.pattern) == _named(pattern)]
    if not found:
        raise UsageError(f"revoke: no override in force is about {text}; `safelist override list` shows every one")
    if len(found) > 1:
        lines = (f"override {o.id} {sentence(o.terms)}" for o in found)
        raise UsageError("\n".join([f"revoke: {text} is named by more than one; write the number", *lines]))
    return found[0].id


def _named(pattern: Pattern) -> str:
    """With or without sub-domains: people name the domain."""
    return pattern.text.removeprefix(".")
