"""What a target offers: a module that knows the form in which one mail filter reads the safelist."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel

from safelist import policy
from safelist.errors import SafelistError
from safelist.override import Authentication
from safelist.sender import Pattern
from safelist.store import Store


class Ruling(NamedTuple):
    """What is to be published of a sender: safe, or an exception from a domain that is safe.

    ``may_widen``: a domain that may be taken with its sub-domains, or an address with what extends it, where the filter
    knows no other way.
    """

    pattern: Pattern
    safe: bool
    authentication: Authentication
    may_widen: bool = False


class LeftOut(NamedTuple):
    """A sender that cannot be written into the target's file, and why not."""

    pattern: Pattern
    why: str


class Rendering(NamedTuple):
    """The whole file, the entries in it (sorted), and the senders that are not in it."""

    text: bytes
    keys: tuple[str, ...]
    refused: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did, or in a dry run would do.

    ``changed``: the text or its index was not what it had to be. ``file_digest`` is the text's SHA-256 in hexadecimal.
    ``hook``: ``on_change`` ran. ``use`` is what the filter's configuration has to say to use the file, ``notes`` are
    for whoever looks after it, and ``failed`` is what did not succeed although the file was written.
    """

    target: str
    path: Path
    entries: int
    refused: tuple[LeftOut, ...]
    changed: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]
    file_digest: str
    hook: bool = False
    use: str = ""
    notes: tuple[str, ...] = ()
    failed: SafelistError | None = None


class FileSettings(Protocol):
    """What every target's settings say: the file, and the command to run (no shell) after it has changed."""

    @property
    def path(self) -> Path: ...
    @property
    def on_change(self) -> Sequence[str]: ...


class Index(Protocol):
    """A second file, made from the text by the filter's own program, that the filter reads instead of it."""

    @property
    def suffix(self) -> str:
        """What follows the text's name, for example ``.db``."""
        ...

    def build(self, path: Path, text: bytes) -> None:
        """Make the index of ``path``, which holds ``text``, beside it and check it. Raises UnavailableError."""
        ...

    def holds(self, path: Path, text: bytes) -> bool:
        """Whether the index of ``path``, read by the filter's own program, holds what ``text`` says."""
        ...


class StoreTarget(Protocol):
    """A module of ``targets/`` that needs more than rulings: it reads the store itself."""

    @property
    def NAME(self) -> str: ...  # noqa: N802
    @property
    def DESCRIPTION(self) -> str: ...  # noqa: N802
    @property
    def Settings(self) -> type[BaseModel]:  # noqa: N802
        """The model of the section ``[publish.NAME]``."""
        ...

    def demands(self, settings: Any) -> str:
        """What the filter asks of a mail before its sender counts as safe, and whom this target leaves out: for people.

        What the policy asks for is not enough: only the target knows what its filter can keep to.
        """
        ...

    def check(self, chosen: Any) -> None:
        """Raises a named error where nothing can be published as ``chosen`` says."""
        ...

    def publish(
        self, store: Store, settings: policy.Settings, chosen: Any, now: datetime, *, dry_run: bool, allow_shrink: bool
    ) -> "Published":
        """Bring the target's file to what the store holds, as :func:`safelist.publisher.publish.publish` does."""
        ...


class Target(Protocol):
    """A module of ``targets/`` satisfies this; mypy checks it at the registry."""

    @property
    def NAME(self) -> str: ...  # noqa: N802
    @property
    def DESCRIPTION(self) -> str: ...  # noqa: N802
    @property
    def HEADER(self) -> bytes:  # noqa: N802
        """What each of this target's files begins with; a file that does not is never replaced."""
        ...

    @property
    def Settings(self) -> type[BaseModel]:  # noqa: N802
        """The model of the section ``[publish.NAME]``; it satisfies FileSettings."""
        ...

    def demands(self, settings: Any) -> str:
        """What the filter asks of a mail before its sender counts as safe, and whom this target leaves out: for people.

        What the policy asks for is not enough: only the target knows what its filter can keep to.
        """
        ...

    def render(self, rulings: Iterable[Ruling], settings: Any) -> Rendering:
        """The file that holds ``rulings``: the same bytes for the same ones, in whatever order they come.

        A ruling that the filter could not keep to (sub-domains, authentication) is refused, never widened.
        """
        ...

    def keys(self, text: bytes) -> frozenset[str]:
        """The entries of a file that ``render`` made, perhaps edited by hand since."""
        ...

    def index(self, settings: Any) -> Index | None:
        """The index that the filter needs; None where it reads the text. Raises UnavailableError, ConfigError."""
        ...

    def left_behind(self, settings: Any) -> Sequence[Index]:
        """Indexes that lie beside the text and are not the one that is configured: the filter may still read them.

        Raises ConfigError where what is configured would take the place of one and the filter could not read it.
        """
        ...

    def use(self, settings: Any) -> str:
        """What the filter's configuration has to say, for example ``check_sender_access hash:/etc/postfix/safelist``.

        Raises as ``index`` does.
        """
        ...
