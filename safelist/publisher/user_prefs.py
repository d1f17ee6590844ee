"""A tree with one ``user_prefs`` for each recipient, as spamd's ``--virtual-config-dir=TREE/%d/%l`` reads it.

It is made from a sorted list, ``RECIPIENT DIRECTIVE`` a line. Each file is whole at any time, for spamd reads it for
each mail; a stamp in the tree names the list that it was made of, and is written last, so that a run that was cut
short is done again. What safelist did not write is left as it is, and named.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from safelist.errors import ConfigError

NAME = "user_prefs"
STAMP = ".published"
_SAFE = re.compile(r"[-a-z0-9+_.,=]{1,255}@[-a-z0-9_.]{1,255}")


def why_no_path(recipient: str) -> str:
    """Why spamd would look elsewhere for this recipient's file, or find another's; empty where it does not.

    spamd writes ``_`` for every other character (spamd, handle_virtual_config_dir).
    """
    if _SAFE.fullmatch(recipient):
        return ""
    return "spamd writes _ for some of its characters, so that another mailbox's file could be the same"


def place(tree: Path, recipient: str) -> Path:
    """Where a recipient's file is."""
    local, _, domain = recipient.rpartition("@")
    return tree / domain / local / NAME


@dataclass(frozen=True, slots=True)
class Tree:
    """The tree ``root`` of the list ``source``; ``header`` begins each file that is safelist's."""

    root: Path
    source: Path
    header: bytes

    @property
    def stamp(self) -> Path:
        """The file that names the list that the tree was made of."""
        return self.root / STAMP

    def is_of(self, digest: str) -> bool:
        """Whether the tree was made, to its end, of the list with this digest."""
        try:
            return self.stamp.read_text(encoding="ascii", errors="replace") == digest
        except OSError:
            return False

    def make(self, digest: str) -> ConfigError | None:
        """Bring every file to what the list says, and remove those of recipients who are not in it any more.

        Returns what names the files that are somebody else's; without them the list is not brought to its end, so that
        the next publication tries again. Raises OSError.
        """
        mode = stat.S_IMODE(self.source.stat().st_mode)
        _make_directory(self.root)
        self.stamp.unlink(missing_ok=True)
        wanted = set[str]()
        foreign = {str(path) for path in self._written(mode, wanted)}
        foreign |= {str(path) for path in self._remove_others(wanted)}
        if foreign:
            return _foreign(foreign)
        _replace(self.stamp, digest.encode(), mode)
        return None

    def differing(self) -> Iterator[Path]:
        """Each file that is not what the list asks for, though the tree was made of it. Raises OSError."""
        return (path for path, content in self.files() if _content(path, len(content) + 1) != content)

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Each file that the list asks for."""
        with self.source.open("rb") as file:
            lines = (line.partition(b" ") for line in file if not line.startswith(b"#"))
            for recipient, some in groupby(lines, key=lambda line: line[0]):
                yield place(self.root, recipient.decode("ascii")), self.header + b"".join(rest for _, _, rest in some)

    def _written(self, mode: int, wanted: set[str]) -> Iterator[Path]:
        """Write what differs; every path is noted in ``wanted``, and those of somebody else's files come out."""
        for path, content in self.files():
            wanted.add(os.fspath(path))
            found = _content(path, len(content) + 1)
            if found == content:
                continue
            is_foreign = found is not None and not found.startswith(self.header)
            if is_foreign or not _may(partial(_write, path, content, mode)):
                yield path

    def _remove_others(self, wanted: Set[str]) -> Iterator[Path]:
        """Remove safelist's files that the list does not ask for, with the directories that are empty then.

        No deeper than they are written: what is in a mailbox's directory may be another's, who can exchange it. The
        files that may be there for all one can see come out.
        """
        for domain in _directories(self.root):
            for mailbox in _directories(domain):
                if not _may(partial(self._clear, mailbox, wanted)):
                    yield mailbox / NAME
                _remove_if_empty(mailbox)
            _remove_if_empty(domain)

    def _clear(self, mailbox: Path, wanted: Set[str]) -> None:
        for path in mailbox.iterdir():
            is_other = path.name == NAME and os.fspath(path) not in wanted
            if path.name.startswith(f".{NAME}.new-") or (is_other and self._is_ours(path)):
                with suppress(FileNotFoundError, IsADirectoryError):
                    path.unlink()

    def _is_ours(self, path: Path) -> bool:
        return _content(path, len(self.header)) == self.header


_ANOTHERS = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO})
"""What the owner of a recipient's directory can bring about: it must keep nobody else from theirs."""


def _may(change: Callable[[], None]) -> bool:
    """Whether a change was possible. Raises OSError for what is no recipient's doing, such as a full disk."""
    try:
        change()
    except OSError as error:
        if error.errno not in _ANOTHERS:
            raise
        return False
    return True


def _write(path: Path, content: bytes, mode: int) -> None:
    for directory in (path.parents[1], path.parent):
        _make_directory(directory)
    _replace(path, content, mode)


def _directories(path: Path) -> list[Path]:
    """Those in a directory, without links to some."""
    with os.scandir(path) as found:
        return [Path(each.path) for each in found if each.is_dir(follow_symlinks=False)]


def _remove_if_empty(directory: Path) -> None:
    with suppress(OSError):  # what else is in it is not safelist's
        directory.rmdir()


def _make_directory(path: Path) -> None:
    """Make one that spamd's user may enter, whatever the umask is."""
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o755)


def _content(path: Path, size: int) -> bytes | None:
    """At most ``size`` octets; None where there is no file; what is no regular file is nobody's of ours.

    A mailbox's directory may be another's, who exchanges the file meanwhile: no link is followed, no pipe waited for.
    What that owner keeps to himself is his, too.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return b""
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _ANOTHERS:
            raise
        return b""
    with os.fdopen(handle, "rb") as file:
        return file.read(size) or b""


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file beside it and rename that. No flush: what a crash takes is made again, for the stamp is gone.

    Its name cannot be guessed, and it is opened only if it is new: what lies there may be another's, or a link.
    """
    new = path.with_name(f".{path.name}.new-{secrets.token_hex(8)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(content)
    new.replace(path)


def _foreign(paths: Iterable[str]) -> ConfigError:
    first, *more = sorted(paths)
    others = f" and {len(more)} more" if more else ""
    return ConfigError(
        f"{first}{others}: safelist did not write this file, or this user cannot reach it, and it is left alone, so "
        "nothing new counts for that recipient; move it (its own lines can stand in the global configuration), or let "
        "this user write there, and publish"
    )
