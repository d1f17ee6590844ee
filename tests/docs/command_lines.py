"""Lines for the shell, as the documents have them: parsed as the program itself would, and not run."""

import re
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from typer.core import TyperGroup

from safelist.cli import command
from safelist.cli.deferred import Deferred
from tests.docs.documents import ROOT

_PLACES = ("/opt/safelist/bin/", ".venv/bin/")
_OPTION = re.compile(r"--?[a-z][a-z-]*")


def program_of(word: str) -> str:
    """Without the virtual environment that it is called from."""
    for place in _PLACES:
        word = word.removeprefix(place)
    return word


def parse(words: Sequence[str]) -> None:
    """Parse the words after ``safelist`` as a whole. Raises what the command line itself would.

    Of the program's own options only the names are looked at, for parsing them would install shell completion.
    """
    options_of(words)
    found, rest = _find(words)
    if isinstance(found, Deferred):
        found.make_context("safelist", list(rest))


def options_of(words: Sequence[str]) -> None:
    """Find the command and every option that the words name; what stands for a value may be anything.

    Raises KeyError for a command that is none, ValueError for an option.
    """
    found, rest = _find(words)
    real: Any = found.real() if isinstance(found, Deferred) else found
    known = {"-h", "--help", *(name for each in real.params for name in (*each.opts, *each.secondary_opts))}
    for word in rest:
        name = word.partition("=")[0]
        if _OPTION.fullmatch(name) and name not in known:
            raise ValueError(f"{' '.join(words)}: no such option: {name}")


def _find(words: Sequence[str]) -> tuple[Any, Sequence[str]]:
    """The command that the first words name, and the rest."""
    found: Any = command()
    rest = list(words)
    while isinstance(found, TyperGroup) and rest and not rest[0].startswith("-"):
        found = found.commands[rest.pop(0)]
    return found, rest


def _make(words: Sequence[str]) -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in words:
        assert f"\n{target}: " in rules, f"make {target}"


def _pip(words: Sequence[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert words[0] == "install"
    for extras in re.findall(r"\[(.+?)\]", " ".join(words)):
        assert set(extras.split(",")) <= set(project["optional-dependencies"]), extras


def _known(_: Sequence[str]) -> None:
    """A program of the system, which no test may run."""


def _curl(words: Sequence[str]) -> None:
    """A question to the filter on this host, or a test mail; a test of the filter asks it, or sends it."""
    assert words[0] == "smtp://localhost" or re.match("http://(127[.]0[.]0[.]1:10046|localhost)/lookup[?]", words[-1])


def _podman(words: Sequence[str]) -> None:
    """Of a container of the image, the command of safelist behind the image's name."""
    if words[0] == "run":
        parse(words[words.index("safelist") + 1 :])
    assert words[0] in ("build", "run", "secret", "healthcheck")


def _pytest(words: Sequence[str]) -> None:
    """Whose paths are there."""
    assert all((ROOT / word).exists() for word in words if "/" in word), words


def _module(words: Sequence[str]) -> None:
    """``python -m`` one of the checkout's."""
    assert words[0] == "-m", words
    assert (ROOT / f"{words[1].replace('.', '/')}.py").exists(), words


def _uv(words: Sequence[str]) -> None:
    """Of the virtual environment, with an extra that there is."""
    assert words[0] in ("sync", "lock"), words
    if "--extra" in words:
        _pip(["install", f"safelist[{words[words.index('--extra') + 1]}]"])


PROGRAMS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "safelist": parse, "make": _make, "pip": _pip, "postmap": _known, "useradd": _known, "install": _known,
    "curl": _curl, "/usr/bin/python3": _known, "update-exim4.conf": _known, "systemctl": _known, "touch": _known,
    "sed": _known, "journalctl": _known, "ln": _known, "postfix": _known, "systemd-sysusers": _known,
    "systemd-tmpfiles": _known, "systemd-creds": _known, "podman": _podman, "apt-get": _known, ".ci/unpack": _known,
    "tests/on-debian": _known, "uv": _uv, "pytest": _pytest, "python": _module, "mv": _known,
    "rm": _known, "createdb": _known, "find": _known,
    "packaging/debian/build": _known, "packaging/debian/chroot": _known,
}  # fmt: skip
"""How the lines of each program are read."""


def check(line: str) -> None:
    """Read one line of a fenced block by what its programs know; a program that is in no row is a KeyError."""
    for part in re.split(r" >>? ", line)[0].split(" | "):
        words = shlex.split(part, comments=True)
        PROGRAMS[program_of(words[0])](words[1:])
