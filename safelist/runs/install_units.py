"""The units of systemd that come with safelist, written out for this machine; a file changed by hand stays as it is.

Each file is written with a line at its top that holds the SHA-256 of the rest. What has another one, or none, was
written or changed by somebody else.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import safelist
from safelist.errors import PermissionDeniedError, UnavailableError, UsageError
from safelist.publisher import program

DIRECTORY = Path("/etc")
"""Where systemd looks for an administrator's files (systemd.unit(5), sysusers.d(5), tmpfiles.d(5))."""

_SHIPPED = Path(safelist.__file__).parent / "systemd"
_FOLDERS = {"system": "systemd/system"}
"""Where each of the shipped folders belongs that is not called the same there."""
_ENVIRONMENT = "/opt/safelist"
"""The virtual environment that the files name as they are shipped."""
_MARK = "# Written by `safelist install units`; sha256 of the rest: "
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 (nothing is put there)
"""What ProtectHome= and PrivateTmp= hide from a unit."""


class UnitState(StrEnum):
    """What is to become of a file, or what has become of it."""

    NEW = "written"
    UPDATED = "updated"
    SAME = "unchanged"
    FOREIGN = "changed by hand, left as it is"
    REPLACED = "replaced, with what was there beside it"


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A file as it is to be, and what is to become of the one that is there."""

    path: Path
    text: str
    state: UnitState
    backup: Path
    """Where the old one is kept that is replaced, beside those that were kept before."""

    @property
    def name(self) -> str:
        """Without its directory."""
        return self.path.name


def planned(names: Collection[str], directory: Path, called: Path, *, replaces: bool = False) -> list[UnitFile]:
    """The files of those names (all by default) below ``directory``, which call the program ``called``.

    Those changed by hand are to be replaced where ``replaces`` says so. Raises UsageError for a name that is none, or a
    program that a unit could not run.
    """
    _refuse_hidden(called)
    found = sorted(path for path in _SHIPPED.rglob("*") if path.is_file())
    known = {path.name for path in found}
    if unknown := sorted(set(names) - known):
        raise UsageError(f"install units: there is no {unknown[0]}; there are: {', '.join(sorted(known))}")
    return [_planned(path, directory, called, replaces) for path in found if not names or path.name in names]


def _planned(shipped: Path, directory: Path, called: Path, replaces: bool) -> UnitFile:
    path = directory / _FOLDERS.get(shipped.parent.name, shipped.parent.name) / shipped.name
    rest = shipped.read_text(encoding="utf-8").replace(f"{_ENVIRONMENT}/bin/safelist", str(called))
    text = marked(rest.replace(f"{_ENVIRONMENT}/share", f"{sys.prefix}/share"))
    return UnitFile(path, text, _state(path, text, replaces), _free(path))


def _free(path: Path) -> Path:
    """A name beside it that no file has, and that systemd reads no file of."""
    names = (f"{path.name}.before-safelist{end}" for end in ("", *(f".{number}" for number in range(2, 100))))
    return next(each for each in map(path.with_name, names) if not os.path.lexists(each))


def marked(rest: str) -> str:
    """The text with the line at its top by which it is known as safelist's."""
    return f"{_MARK}{hashlib.sha256(rest.encode()).hexdigest()}\n{rest}"


def _state(path: Path, text: str, replaces: bool) -> UnitState:
    try:
        there = path.read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        if not path.is_symlink():  # one that leads nowhere is somebody's, too
            return UnitState.NEW
        return UnitState.REPLACED if replaces else UnitState.FOREIGN
    except OSError as error:
        raise PermissionDeniedError(f"{path}: cannot be read: {error.strerror}; run it as root") from None
    if there == text:
        return UnitState.SAME
    if there.startswith(_MARK) and marked(there.partition("\n")[2]) == there:
        return UnitState.UPDATED
    return UnitState.REPLACED if replaces else UnitState.FOREIGN


def _refuse_hidden(called: Path) -> None:
    """A unit cannot run what its sandbox hides, nor its user what lies in root's home."""
    text = str(called)
    if not called.is_absolute() or not text.isprintable() or any(c.isspace() or c in "$%\"'\\" for c in text):
        raise UsageError(f"--program: {called}: must be an absolute path without blanks, quotes and any of $, % and \\")
    needed = [called, called.resolve()]
    if called == this_program():  # a virtual environment may lie in /opt, and its Python in root's home
        needed.append(Path(sys.executable).resolve())
    for path in needed:
        if any(path.is_relative_to(place) for place in _HIDDEN):
            raise UsageError(
                f"{path}: no unit can run this: it does not see that directory, or its own user may not enter it; "
                f"install safelist with `/usr/bin/python3 -m venv {_ENVIRONMENT}`, or name another one with --program"
            )


def this_program() -> Path:
    """The ``safelist`` of the environment that runs."""
    beside = Path(sys.prefix) / "bin" / "safelist"
    return beside if beside.exists() else Path(program.find("safelist") or beside)


def write(files: Sequence[UnitFile]) -> Iterator[UnitFile]:
    """Write those that are new or to be changed, each whole or not at all; yields each when it is as it is to be.

    Raises PermissionDeniedError, UnavailableError.
    """
    for file in files:
        if file.state not in (UnitState.SAME, UnitState.FOREIGN):
            _write(file)
        yield file


def _write(file: UnitFile) -> None:
    try:
        file.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            os.fchmod(handle, 0o644)
            opened.write(file.text)
        if file.state is UnitState.REPLACED:
            file.path.replace(file.backup)
        Path(new).replace(file.path)
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{file.path}: may not be written by this user ({error.strerror}); run it as root, or name another "
            "directory with --directory"
        ) from None
    except OSError as error:
        raise UnavailableError(f"{file.path}: cannot be written: {error.strerror}") from None


def next_commands(files: Sequence[UnitFile]) -> list[str]:
    """What comes next, in its order, of what these files are about: nothing of it is run here."""
    names = {file.name for file in files}
    of_files = [file.path for file in files if file.name == "safelist.conf"]
    lines = [f"systemd-sysusers {path}" for path in of_files if path.parent.name == "sysusers.d"]
    lines += [f"systemd-tmpfiles --create {path}" for path in of_files if path.parent.name == "tmpfiles.d"]
    lines += ["systemctl daemon-reload"]
    if "safelist.service" in names:
        lines += ["systemctl start safelist safelist-publish"]
    timers = [name for name in ("safelist.timer", "safelist-verify.timer") if name in names]
    return lines + ([f"systemctl enable --now {' '.join(timers)}"] if timers else [])
