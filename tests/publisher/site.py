"""What the publisher's tests share: candidates, settings, and what a directory holds."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from safelist.policy import Candidate, Tally
from safelist.policy import Settings as Policy
from safelist.publisher import unproven
from safelist.publisher.publish import publish
from safelist.publisher.target import LeftOut, Nothing, Published, Ruling, Target
from safelist.publisher.targets import postfix
from safelist.sender import Form, Pattern

NOW = datetime(2026, 11, 23, tzinfo=UTC)
_SBIN = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin"
POSTMAP, POSTCONF = (shutil.which(name, path=_SBIN) for name in ("postmap", "postconf"))
needs_postmap = pytest.mark.skipif(POSTMAP is None, reason="postmap is missing: apt-get install postfix")


def postconf(*arguments: str) -> list[str]:
    """The words that the real one prints; none without Postfix."""
    if POSTCONF is None:
        return []
    return subprocess.run([POSTCONF, *arguments], capture_output=True, check=True, text=True).stdout.split()


INSTALLED = [name for name in ("hash", "btree", "lmdb", "cdb") if name in postconf("-m")]
every_map_type = pytest.mark.parametrize(
    "map_type",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                name not in INSTALLED, reason=f"no {name} maps: apt-get install postfix postfix-{name}"
            ),
        )
        for name in ("hash", "btree", "lmdb", "cdb")
    ],
)
"""Each type that has an index; one that this Postfix lacks skips and names its package."""


def address(text: str) -> Pattern:
    return Pattern(text, Form.ADDRESS)


def domain(text: str) -> Pattern:
    return Pattern(text, Form.DOMAIN)


def voted(pattern: Pattern, by: int) -> Candidate:
    """A sender that so many mailboxes trust."""
    return Candidate(pattern, (Tally(pattern, by),))


def trusted(*senders: str, by: int = 2) -> list[Candidate]:
    return [voted(address(sender), by) for sender in senders]


def many(count: int) -> list[Candidate]:
    return trusted(*(f"sender{number}@aol.example" for number in range(count)))


def settings(path: Path, map_type: str = "", on_change: Iterable[str] = ()) -> postfix.PostfixSettings:
    return postfix.PostfixSettings.model_validate({"path": path, "map_type": map_type, "on_change": list(on_change)})


class Given(Nothing):
    """An aggregate of these candidates."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._candidates = list(candidates)

    def candidates(self, settings: Policy, now: datetime, at_least: int) -> Iterator[Candidate]:
        """All of them, whatever the settings say."""
        yield from self._candidates


def publish_to(
    target: Target, chosen: Any, candidates: Iterable[Candidate], policy: Policy | None = None, **options: bool
) -> Published:
    """Publish with the default policy."""
    return publish(Given(candidates), policy or Policy(), target, chosen, lambda: NOW, **options)


class Rendered(NamedTuple):
    """The map as Postfix would read it."""

    text: bytes
    keys: tuple[str, ...]
    refused: tuple[LeftOut, ...]


def rendered(rulings: Iterable[Ruling], chosen: postfix.PostfixSettings) -> Rendered:
    """What the map would hold; needs no Postfix."""
    proven, left_out = unproven.for_everybody(list(rulings), lambda each: postfix.not_asked(each, chosen))
    made = postfix.map_lines(proven, chosen)
    keys = tuple(line.split()[0].decode() for line in made.lines)
    return Rendered(postfix.HEADER + b"".join(made.lines), keys, (*left_out, *made.left_out))


def write(path: Path, candidates: Iterable[Candidate], map_type: str = "texthash", **options: bool) -> Published:
    """Publish with the default policy."""
    return publish_to(postfix.TARGET, settings(path, map_type), candidates, None, **options)


def postmap(*arguments: str, given: bytes = b"") -> tuple[int, list[bytes]]:
    """The real one's exit code and lines."""
    assert POSTMAP
    done = subprocess.run([POSTMAP, *arguments], input=given, capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout.splitlines()


def listed(map_type: str, path: Path) -> dict[bytes, bytes]:
    """Everything that the real ``postmap -s`` finds."""
    code, lines = postmap("-s", f"{map_type}:{path}")
    assert code == 0
    return dict(line.split(b"\t") for line in lines)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def state(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Name, inode, modification time and content of every file: what "nothing was touched" compares."""
    files = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    return {name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for name, path in files.items()}


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to write everywhere."""
    if os.getuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users and mount: sudo make test")


def fill(disk: Path) -> None:
    """Leave no room on it."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return
