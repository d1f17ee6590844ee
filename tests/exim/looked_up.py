"""What the real Exim finds in a list, by its own expansions (``exim4 -be``); it needs no configuration for that."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

EXIM = Path("/opt/safelist-tests/exim4-daemon-heavy/usr/sbin/exim4")
_MISSING = ".ci/unpack exim4-daemon-heavy" if not EXIM.exists() else "apt-get install tinycdb"
needs_exim = pytest.mark.skipif(not EXIM.exists() or not shutil.which("cdb"), reason=_MISSING)


def looked_up(lookup: str, path: Path, keys: Iterable[str]) -> dict[str, str]:
    """The value of each key, empty where there is none; ``lookup`` is ``lsearch`` or ``cdb``."""
    asked = list(keys)
    file = f"{path}.cdb" if lookup.endswith("cdb") else str(path)
    texts = "".join(f"${{lookup{{\\N{key}\\N}}{lookup}{{{file}}}}}\n" for key in asked)
    done = subprocess.run(
        [EXIM, "-C", "/dev/null", "-be"], input=texts.encode(), capture_output=True, check=True, timeout=120
    )
    found = [line.removeprefix("> ").strip() for line in done.stdout.decode().split("\n")]
    assert len(found) >= len(asked), done
    return dict(zip(asked, found, strict=False))
