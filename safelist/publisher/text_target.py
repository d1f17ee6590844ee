"""Targets of text files: one function renders them; comparing, staging and indexing them is the same for all.

A file is a list of lines, sorted, each an entry, behind a header that says that safelist wrote it; or, as a snippet of
a configuration, a text as it is. The filter reads it, or an index that a program makes of it. A list may be longer than
memory: it is compared with the old file while it is made, and written from the first line on that differs.
"""

import hashlib
import os
import shutil
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from safelist.errors import ConfigError, SafelistError, UnavailableError
from safelist.override import Authentication
from safelist.publisher import files, rulings, unproven, unwritable
from safelist.publisher.files import Rename
from safelist.publisher.sorting import AT_ONCE, Differences, are_in_order, differences, in_order
from safelist.publisher.target import Asked, FileChange, LeftOut, Plan, RecipientRuling, Ruling, Scope, Target
from safelist.publisher.unwritable import Noted, WhyNot, why_no_word

KEPT = 10_000
"""How many entries that came, went, or are left out are named, where a target holds them for each recipient."""


class Index(Protocol):
    """A second file, made from the text by the filter's own program, that the filter reads instead of it."""

    @property
    def suffix(self) -> str:
        """What follows the text's name, for example ``.db``."""
        ...

    def build(self, path: Path) -> None:
        """Make the index of the text ``path`` beside it and check it. Raises UnavailableError."""
        ...

    def holds(self, path: Path) -> bool:
        """Whether the index of the text ``path``, read by the filter's own program, holds what the text says."""
        ...


def first_word(line: bytes) -> bytes:
    """What an entry is known by, where a filter looks the first word of each line up."""
    return line.split(None, 1)[0]


def whole_line(line: bytes) -> bytes:
    """What an entry is known by, where that is all of it."""
    return line.rstrip(b"\n")


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file to be: ``header``, by which safelist knows its own, and ``lines``, each ending in a line feed.

    The lines may come in any order, but no two may have the same ``key``, and keys must sort as their lines do; one
    that begins with ``#`` is a comment, in the old file as in most filters, and no entry. Where ``is_list`` is false
    they are no entries and are written as they come. ``left_behind`` are indexes beside the text that are not the
    configured one, and that the filter may still read. Of lines that come one by one ``at_once`` are kept in memory.
    """

    path: Path
    header: bytes
    lines: Iterable[bytes]
    index: Index | None = None
    left_behind: Sequence[Index] = ()
    key: Callable[[bytes], bytes] = first_word
    is_list: bool = True
    at_once: int = AT_ONCE

    @property
    def indexes(self) -> tuple[Index, ...]:
        """The configured one, if any, and those that were left behind."""
        return (*([self.index] if self.index else ()), *self.left_behind)


class Rendering(NamedTuple):
    """The files, and the senders that are not in them; more of those may come while the files' lines are read.

    ``noted`` are those that are left out for single recipients, of whom not all are kept.
    """

    files: Sequence[TextFile]
    left_out: Sequence[LeftOut] = ()
    noted: Noted | None = None


Render = Callable[[Sequence[Ruling], Iterable[RecipientRuling], Any], Rendering]
"""Renders what counts for everybody, and for each recipient (none where the target cannot hold that), as configured.

The same rulings give the same bytes, in whatever order they come. What the filter could not keep to (sub-domains,
authentication) is left out, never widened.
"""

NotWritten = Callable[[Sequence[Ruling], Any], Iterable[LeftOut]]
"""What is left out of what counts for everybody."""


NotAsked = Callable[[Authentication, Any], str]
"""Why a filter that is configured so cannot ask of a mail what it has to prove; empty where it can."""


def every(_: Authentication, __: Any) -> str:
    """The filter can ask for everything."""
    return ""


def text_target(
    *, render: Render, scope: Scope = Scope.ORGANISATION, left_out: NotWritten | None = None,
    why_not: WhyNot = why_no_word, not_asked: NotAsked = every, **more: Any,
) -> Target:  # fmt: skip
    """The target whose files ``render`` makes; ``more`` is the rest of :class:`Target`.

    Whom ``why_not`` names a fault of, sender or recipient, is left out before, and so is a safe domain from which that
    takes an exception: ``render`` is given what it can write. So are the senders of whom ``not_asked`` says that their
    mail would be believed unproven.

    ``left_out`` tells without the filter's programs what ``render`` leaves out, where ``render`` needs them.
    """
    form = _TextForm(render, scope, why_not, not_asked)
    told = partial(_left_out, left_out or partial(_rendered_without, render), form)
    return Target(scope=scope, plan=partial(_plan, form), left_out=told, **more)


class _TextForm(NamedTuple):
    """What a filter's files can say, and how they say it."""

    render: Render
    scope: Scope
    why_not: WhyNot
    not_asked: NotAsked

    def everybody(self, rulings: Sequence[Ruling], chosen: Any) -> tuple[list[Ruling], list[LeftOut]]:
        """What can be written and kept to of what counts for everybody, and what cannot."""
        proven, unproven_ = unproven.for_everybody(rulings, lambda each: self.not_asked(each, chosen))
        kept, unwritten = unwritable.for_everybody(proven, self.why_not)
        return kept, [*unproven_, *unwritten]

    def each(
        self, rulings: Iterable[RecipientRuling], everybody: Sequence[Ruling], chosen: Any, noted: Noted
    ) -> Iterator[RecipientRuling]:
        """The same of what counts for a recipient."""
        proven = unproven.for_each(rulings, everybody, lambda each: self.not_asked(each, chosen), noted)
        return unwritable.for_each(proven, everybody, self.why_not, noted)


def _left_out(by_target: NotWritten, form: _TextForm, everybody: Sequence[Ruling], chosen: Any) -> Iterable[LeftOut]:
    kept, left_out = form.everybody(everybody, chosen)
    return (*left_out, *by_target(kept, chosen))


def _rendered_without(render: Render, everybody: Sequence[Ruling], chosen: Any) -> Iterable[LeftOut]:
    rendering = render(everybody, (), chosen)
    for file in rendering.files:
        deque(file.lines, maxlen=0)
    return rendering.left_out


@contextmanager
def _plan(form: _TextForm, asked: Asked, chosen: Any) -> Iterator[Plan]:
    is_each = form.scope is not Scope.ORGANISATION
    decided, left_out = rulings.for_everybody(asked, form.scope)
    everybody, unwritten = form.everybody(decided, chosen)
    each, noted = rulings.for_each(asked, decided) if is_each else iter(()), Noted(KEPT)
    rendering = form.render(everybody, form.each(each, everybody, chosen, noted), chosen)
    all_ = [_New(file, _Paths.of(file), KEPT if is_each else None) for file in rendering.files]
    destinations = [path for new in all_ for path in new.place.all]
    if not asked.dry_run:
        files.clean(destinations)
    try:
        for new in all_:
            new.compare(stage=not asked.dry_run)
        all_noted = [noted, *([rendering.noted] if rendering.noted else [])]
        notes = (
            *(note for new in all_ for note in new.place.notes),
            *(note for each_noted in all_noted for note in _more(chosen.path, each_noted)),
        )
        named = [name for each_noted in all_noted for name in each_noted.named]
        left_out = list(dict.fromkeys((*left_out, *unwritten, *rendering.left_out, *named)))
        changes = tuple(new.change() for new in all_)
        yield Plan(changes, tuple(left_out), notes, partial(_apply, all_, files.real(chosen.path)))
    finally:
        if not asked.dry_run and not files.is_cut_short(files.real(chosen.path)):
            files.clean(destinations)


def _more(path: Path, noted: Noted) -> Iterator[str]:
    if noted.more:
        yield f"{path}: of what is left out for single recipients {noted.most} are named, and {noted.more} more are not"


def _apply(all_: Sequence["_New"], path: Path, before: Callable[[], None]) -> SafelistError | None:
    """Build the indexes of what has changed, and swap all of it in."""
    renames: list[Rename] = []
    failed: SafelistError | None = None
    for new in all_:
        if new.is_changed:
            some, problem = new.built()
            renames += some
            failed = failed or problem
    if renames:
        before()
        files.swap(renames, path)
    return failed


@dataclass(frozen=True, slots=True)
class _Paths:
    """Where the files really are, symbolic links followed; ``named`` is the path that the filter's configuration names.

    ``indexes`` are the configured one, if any, and those that were left beside it.
    """

    named: Path
    text: Path
    indexes: tuple[tuple[Index, Path], ...]
    configured: Index | None

    @classmethod
    def of(cls, file: TextFile) -> "_Paths":
        indexes = tuple((each, files.real(Path(f"{file.path}{each.suffix}"))) for each in file.indexes)
        return cls(file.path, files.real(file.path), indexes, file.index)

    @property
    def all(self) -> tuple[Path, ...]:
        return (self.text, *(path for _, path in self.indexes))

    @property
    def opened(self) -> tuple[Path, ...]:
        return (self.named, *([Path(f"{self.named}{self.configured.suffix}")] if self.configured else ()))

    @property
    def notes(self) -> Iterator[str]:
        for other, _ in self.indexes[1 if self.configured else 0 :]:
            yield (
                f"{self.named}{other.suffix} is of another type than the one that is configured; it is kept up to "
                "date, for the filter may read it; delete it once its configuration names the other"
            )

    def is_current(self) -> bool:
        """Whether each index is there, is not older than the text, and holds what it says."""
        for index, path in self.indexes:
            try:
                older = path.stat().st_mtime_ns < self.text.stat().st_mtime_ns
            except FileNotFoundError:
                return False
            if older or not index.holds(self.named):
                return False
        return True


@dataclass(slots=True)
class _New:
    """A file that is being made: compared with the one that is there, and staged beside it where they differ."""

    file: TextFile
    place: _Paths
    kept: int | None
    is_changed: bool = False
    staged: Path | None = None
    entries: int = 0
    digest: str = ""
    found: Differences = field(init=False)

    def __post_init__(self) -> None:
        self.found = Differences(self.file.key, self.kept)

    def compare(self, *, stage: bool) -> None:
        """Read the file that is there beside the new lines; from where they differ on, write those."""
        written = hashlib.sha256(self.file.header)
        with _opened(self.place.named, self.file.header) as old:
            lines = self._counted(written)
            first, at = _common(lines, old, len(self.file.header))
            is_same = old is not None and not first and not old.read(1)
            self.is_changed = not (is_same and self.place.is_current())
            rest = chain(first, lines)
            if self.is_changed and stage:
                self.staged = files.write(self.place.text, lambda handle: self._write(handle, old, at, rest))
            elif self.is_changed:
                self._compare_rest(old, at, rest)
        self.digest = written.hexdigest()

    def _counted(self, written: "hashlib._Hash") -> Iterator[bytes]:
        for line in _sorted(self.file) if self.file.is_list else self.file.lines:
            written.update(line)
            self.entries += self.file.is_list
            yield line

    def _write(self, handle: int, old: IO[bytes] | None, at: int, rest: Iterable[bytes]) -> None:
        """Write what both begin with, up to ``at``, and the ``rest``."""
        with os.fdopen(handle, "wb", closefd=False) as file, _again(old) as same:
            file.writelines((self.file.header,) if old is None else _lines(same, 0, at))
            self._compare_rest(old, at, _copied(rest, file))

    def _compare_rest(self, old: IO[bytes] | None, at: int, rest: Iterable[bytes]) -> None:
        """Note what came and what went."""
        if not self.file.is_list:
            deque(rest, maxlen=0)
            return
        begin = len(self.file.header)
        with _again(old) as looked_at, _again(old) as all_, _again(old) as same:
            theirs: Iterable[bytes] = _entries(_lines(all_, begin))
            if not are_in_order(_entries(_lines(looked_at, begin))):  # somebody has edited it by hand
                theirs = in_order(theirs)
            for each in differences(theirs, chain(_entries(_lines(same, begin, at)), rest), self.file.key):
                self.found.note(each)

    def change(self) -> FileChange:
        """What becomes of the file."""
        found, opened = self.found, self.place.opened
        had = self.entries - found.new + found.gone
        return FileChange(
            self.place.named, self.entries, had, found.lost, self.is_changed, self.digest, opened,
            found.new, found.gone, tuple(found.added), tuple(found.removed),
        )  # fmt: skip

    def built(self) -> tuple[list[Rename], SafelistError | None]:
        """Build the indexes: what is to be renamed, and what kept one that was left behind from being renewed."""
        if self.staged is None:
            return [], None
        renames, failed = [(self.staged, self.place.text)], None
        for index, path in self.place.indexes:
            try:
                source = self.staged if path.parent == self.place.text.parent else _copy(self.staged, path)
                renames.append((self._index(index, source), path))
            except (UnavailableError, OSError) as error:
                if index is self.file.index:
                    raise
                failed = _out_of_date(path, error)
        return renames, failed

    def _index(self, index: Index, source: Path) -> Path:
        try:
            index.build(source)
        except UnavailableError as error:
            raise UnavailableError(f"{self.place.named}: {error}; the old map stays in use") from None
        built = Path(f"{source}{index.suffix}")
        files.sync(built)
        return built


def _sorted(file: TextFile) -> Iterable[bytes]:
    """What is in memory anyhow is sorted there."""
    return sorted(file.lines) if isinstance(file.lines, Sequence) else in_order(file.lines, file.at_once)


@contextmanager
def _opened(path: Path, header: bytes) -> Iterator[IO[bytes] | None]:
    """The file behind its header; None where there is none or it is empty. A file of somebody else: ConfigError."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        yield None
        return
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{path}: this is no regular file; correct `path`")
    with path.open("rb") as file:
        start = file.read(len(header))
        if start and start != header:
            raise ConfigError(
                f"{path}: safelist did not write this file and leaves it alone; move it, or correct `path`"
            )
        yield file if start else None


def _common(lines: Iterator[bytes], old: IO[bytes] | None, at: int) -> tuple[list[bytes], int]:
    """Pass over the lines with which both begin: the first of ``lines`` that differs, and its place in the old file.

    Nothing is written while the file is what it has to be; a list of millions seldom changes, and never much.
    """
    for line in lines:
        if old is None or old.readline() != line:
            return [line], at
        at += len(line)
    return [], at


def _again(old: IO[bytes] | None) -> IO[bytes]:
    """The same file, opened once more, wherever the other reader is; an empty one where there is none."""
    return BytesIO() if old is None else Path(f"/proc/self/fd/{old.fileno()}").open("rb")


def _lines(file: IO[bytes], begin: int, end: int | None = None) -> Iterator[bytes]:
    """The lines between two places."""
    file.seek(begin)
    for line in file:
        if end is not None and (begin := begin + len(line)) > end:
            return
        yield line


def _entries(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that are entries; neither comments nor empty lines are some. Each ends in a line feed."""
    return (line.rstrip(b"\n") + b"\n" for line in lines if line.strip() and not line.startswith(b"#"))


def _copied(lines: Iterable[bytes], file: IO[bytes]) -> Iterator[bytes]:
    for line in lines:
        file.write(line)
        yield line


def _copy(source: Path, destination: Path) -> Path:
    """Make the same file beside ``destination``."""

    def fill(handle: int) -> None:
        with source.open("rb") as file, os.fdopen(handle, "wb", closefd=False) as new:
            shutil.copyfileobj(file, new)

    return files.write(destination, fill)


def _out_of_date(path: Path, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"{path}: is left from another type of index and now out of date, for it could not be renewed ({error}): whom "
        "it lets through may be blocked by now; delete it if the filter's configuration does not name it, or mend that"
    )
