"""What the real Exim finds in a list, by its own expansions (``exim4 -be``); it needs no configuration for that."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

EXIM = Path("/opt/safelist-tests/exim4-daemon-heavy/usr/sbin/exim4")
_MISSING = ".ci/unpack exim4-daemon-heavy" if not EXIM.exists() else "apt-get install tinycdb"
needs_exim = pytest.mark.skipif(not EXIM.exists() or not shutil.which("cdb"), reason=_MISSING)


def looked_up(lookup: str, path: Path, senders: Iterable[str], behind: str = "") -> dict[str, str]:
    """What each sender (an address, without its tags) has to prove; empty where the list does not say.

    ``lookup`` is ``lsearch`` or ``cdb``; ``behind`` is what follows the sender in each key.
    """
    asked = list(senders)
    file = f"{path}.cdb" if lookup == "cdb" else str(path)
    texts = "".join(_looked_up(each, behind, lookup, file) for each in asked)
    done = subprocess.run(
        [EXIM, "-C", "/dev/null", "-be"], input=texts.encode(), capture_output=True, check=True, timeout=120
    )
    found = [line.removeprefix("> ").strip() for line in done.stdout.decode().split("\n")]
    assert len(found) >= len(asked), done
    return dict(zip(asked, found, strict=False))


def _looked_up(sender: str, behind: str, lookup: str, file: str) -> str:
    domain = sender.rpartition("@")[2]
    by_domain = f"${{lookup{{\\N{domain}{behind}\\N}}partial2(.){lookup}{{{file}}}}}"
    return f"${{lookup{{\\N{sender}{behind}\\N}}{lookup}{{{file}}}{{$value}}{{{by_domain}}}}}\n"
