"""What a target is: how one mail filter reads the safelist, as a value that a module of ``targets/`` makes.

It plans; to lock, compare numbers, refuse, swap in, run the hook and record is the publisher's. A target of text files
is made by :func:`safelist.publisher.text_target.text_target` from one function, which renders the files.
"""

import hashlib
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from safelist import policy
from safelist.config import LenientPath
from safelist.entry import Holding
from safelist.errors import SafelistError
from safelist.override import Authentication, Override
from safelist.policy import Candidate
from safelist.sender import Pattern

if TYPE_CHECKING:  # only `safelist check` needs what it imports
    from safelist.remark import Remark


Place = Path | str
"""Where a safelist is published: a file, or the name of what is none, without anything that is secret."""


class Scope(StrEnum):
    """For whom a target can say that a sender is safe. ``TRUSTING``: for single recipients, but not that one is not."""

    ORGANISATION = "organisation"
    TRUSTING = "trusting"
    RECIPIENT = "recipient"


class Ruling(NamedTuple):
    """What is to be published of a sender: safe, or an exception from a domain that is safe.

    ``may_widen``: a domain that may be taken with its sub-domains, or an address with what extends it, where the filter
    knows no other way.
    """

    pattern: Pattern
    safe: bool
    authentication: Authentication
    may_widen: bool = False


class RecipientRuling(NamedTuple):
    """What counts for one recipient, whatever counts for everybody: ``pattern`` is safe, or is not.

    ``may_widen``: an address that may be taken with what extends it; no filter has to widen a recipient's domain.
    """

    recipient: str
    pattern: Pattern
    safe: bool
    authentication: Authentication
    may_widen: bool = False


def asks_more(narrow: Ruling | RecipientRuling, wide: Ruling | RecipientRuling) -> bool:
    """Whether who is found by ``wide`` in the place of ``narrow`` would be believed with less than that asks for."""
    return wide.safe and (not narrow.safe or narrow.authentication.asks_more_than(wide.authentication))


class LeftOut(NamedTuple):
    """A sender that cannot be written into the target's files, and why not.

    ``exception`` is the address or domain in it that must not be safe, where the target cannot say so.
    """

    pattern: Pattern
    why: str
    exception: str = ""


class Aggregate(Protocol):
    """What is asked of the store."""

    def at_one_moment(self) -> AbstractContextManager["Aggregate"]:
        """Hold it as it is: what is read of what this yields is as of the first reading."""
        ...

    def own_domains(self) -> frozenset[str]:
        """The domains of the mailboxes that were ever asked."""
        ...

    def candidates(self, settings: policy.Settings, now: datetime, at_least: int) -> Iterator[Candidate]:
        """Every sender that at least so many mailboxes trust, or that an override is about."""
        ...

    def recipients_candidates(self, now: datetime) -> Iterator[Candidate]:
        """Each recipient with each sender that the recipient's lists, or overrides for the recipient, are about."""
        ...

    def overrides(self) -> list[Override]:
        """Every override ever made."""
        ...

    def by_mailbox(self) -> Iterator[tuple[str, list[Holding]]]:
        """Every open entry about senders, mailbox by mailbox."""
        ...

    def head(self) -> str:
        """What changes whenever something is recorded."""
        ...


class Nothing:
    """An aggregate that holds nothing: with it a publication can be tried."""

    def at_one_moment(self) -> AbstractContextManager[Aggregate]:
        """As it always is."""
        return nullcontext(self)

    def own_domains(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def candidates(self, settings: policy.Settings, now: datetime, at_least: int) -> Iterator[Candidate]:
        """None."""
        yield from ()

    def recipients_candidates(self, now: datetime) -> Iterator[Candidate]:
        """None."""
        yield from ()

    def overrides(self) -> list[Override]:
        """None."""
        return []

    def by_mailbox(self) -> Iterator[tuple[str, list[Holding]]]:
        """None."""
        yield from ()

    def head(self) -> str:
        """Empty."""
        return ""


class Asked(NamedTuple):
    """What a plan is made of. In a dry run nothing may be written where the target's files are."""

    aggregate: Aggregate
    settings: policy.Settings
    now: datetime
    dry_run: bool


@dataclass(frozen=True, slots=True)
class FileChange:
    """What becomes of one file (or table): ``had`` entries, of which ``lost`` disappear, become ``entries``.

    ``new`` and ``gone`` are shown to people; an entry that says something else now is both, and not lost. ``added`` and
    ``removed`` name those entries, sorted: all of them, or the first ones of a list that is too long to be kept.
    ``opened`` are the files that the filter opens; of what is no file, ``absent`` names what is not there yet.
    """

    path: Place
    entries: int
    had: int
    lost: int
    is_changed: bool
    digest: str
    opened: tuple[Path, ...]
    new: int = 0
    gone: int = 0
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a publication would do, and how.

    ``apply`` brings all of it about, or nothing, also where nothing has changed; it calls what it is given right before
    the first change that the filter sees. What did not succeed although the files are in place is returned.
    """

    files: tuple[FileChange, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    apply: Callable[[Callable[[], None]], SafelistError | None]

    @property
    def is_changed(self) -> bool:
        """Whether any file is not what it has to be."""
        return any(each.is_changed for each in self.files)


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did, or in a dry run would do.

    ``hook``: ``on_change`` ran. ``use`` is what the filter's configuration has to say to use the files, ``notes`` are
    for whoever looks after it, and ``failed`` is what did not succeed although the files were written.
    """

    target: str
    path: Place
    files: tuple[FileChange, ...]
    refused: tuple[LeftOut, ...]
    hook: bool = False
    use: str = ""
    notes: tuple[str, ...] = ()
    failed: SafelistError | None = None

    @property
    def changed(self) -> bool:
        """Whether a text or its index was not what it had to be."""
        return any(each.is_changed for each in self.files)

    @property
    def entries(self) -> int:
        """Those of all files."""
        return sum(each.entries for each in self.files)

    @property
    def new(self) -> int:
        """How many entries were not there before."""
        return sum(each.new for each in self.files)

    @property
    def gone(self) -> int:
        """How many entries are not there any more."""
        return sum(each.gone for each in self.files)

    @property
    def added(self) -> tuple[str, ...]:
        """The new entries, as far as they are kept."""
        return tuple(key for each in self.files for key in each.added)

    @property
    def removed(self) -> tuple[str, ...]:
        """The entries that are gone, as far as they are kept."""
        return tuple(key for each in self.files for key in each.removed)

    @property
    def file_digest(self) -> str:
        """The SHA-256 of the file in hexadecimal; of several files, that of their digests."""
        return digest_of([each.digest for each in self.files])


def digest_of(digests: Sequence[str]) -> str:
    """One digest for all."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A line of the registry.

    ``settings`` is the model of the section ``[publish.NAME]``; it may have an ``on_change``, the command (no shell) to
    run after a change.

    ``place`` is what people and the history know by name as that which is published, and ``beside`` the file beside
    which the publisher keeps its lock, and remembers a hook that is owed: the section's ``path`` is both, unless the
    target writes no file.

    ``demands`` says for people what the filter asks of a mail before its sender counts as safe, and whom this target
    leaves out: what the policy asks for is not enough, for only the target knows what its filter can keep to.

    ``use`` is what the filter's configuration has to say, for example ``check_sender_access hash:/etc/postfix/map``, or
    whole files of it, each line ended and each file behind a comment that names it; empty where that needs no telling.
    Raises UnavailableError, ConfigError.

    ``refuse`` raises ConfigError where nothing may be written as the settings say, before anything is touched.

    ``plan`` compares what is to be with what is there, in a context that ends with the publication. Raises ConfigError
    where a file is not safelist's, UnavailableError, OSError.

    ``left_out`` are the senders of some rulings that the target would not write; one without it writes what the policy
    decides on, and leaves out nobody.

    ``if_missing`` is what the filter does where its configuration names a file that is not there, such as ``Postfix
    defers all mail for a map that it cannot open``.

    ``digest`` tells of a file of the target, as it is now, what :attr:`FileChange.digest` told when it was written.
    Raises OSError, UnavailableError where the file cannot be read, or is damaged.

    ``check`` asks the running filter itself what it makes of the published files, with the question that matters; its
    settings are None where the configuration has no such section.

    ``form`` is the target that this one is with its settings, where those say what its filter can hold: everybody who
    has settings asks :func:`safelist.publisher.targets.configured` for it.
    """

    name: str
    settings: type[BaseModel]
    demands: Callable[[Any], str]
    use: Callable[[Any], str]
    plan: Callable[[Asked, Any], AbstractContextManager[Plan]]
    place: Callable[[Any], Place] = attrgetter("path")
    beside: Callable[[Any], Path] = attrgetter("path")
    left_out: Callable[[Sequence[Ruling], Any], Iterable[LeftOut]] | None = None
    scope: Scope = Scope.ORGANISATION
    refuse: Callable[[Any], None] | None = None
    digest: Callable[[Path], str] = sha256_of
    if_missing: str = "a filter may stop all mail for a file that it cannot open"
    check: "Callable[[Any], Iterator[Remark]] | None" = None
    form: "Callable[[Any], Target] | None" = None


def _words(command: object) -> object:
    if not isinstance(command, str):
        return command
    try:
        return tuple(shlex.split(command))
    except ValueError:
        raise ValueError("its quotes are not balanced; close each, or write a list of words") from None


def _can_be_run(command: tuple[str, ...]) -> tuple[str, ...]:
    if command and (not command[0] or any("\0" in word for word in command)):
        raise ValueError("must begin with a program, such as postfix reload")
    return command


def _is_absolute(path: Path) -> Path:
    if not path.is_absolute() or path.name in ("", "..") or "\0" in str(path):
        raise ValueError("must be the absolute path of a file, such as /var/lib/safelist/map")
    return path


Command = Annotated[tuple[str, ...], BeforeValidator(_words), AfterValidator(_can_be_run), Field(strict=False)]
"""The type of an ``on_change``: words, or a text that is split into them as a shell does."""

FilePath = Annotated[LenientPath, AfterValidator(_is_absolute)]
"""The type of a ``path``."""


def _is_plain(path: Path) -> Path:
    if re.search(r"[^A-Za-z0-9/._+-]", str(path)):
        raise ValueError("must hold letters, digits and any of / . _ + - only: the filter's configuration names it")
    return path


PlainFilePath = Annotated[FilePath, AfterValidator(_is_plain)]
"""The type of a ``path`` that stands as it is in a configuration where other characters mean something."""
