"""Containerfile, line by line, on this machine's own files, copied on write.

What cannot be had without a network is simulated: apt-get says which packages there are, uv what it would install.
"""

import re
import subprocess
from pathlib import Path

import pytest

from safelist.cli.commands import COMMANDS
from tests.docs.documents import PAGES, ROOT
from tests.systemd.machine import PYTHON, overlaid, unmountable
from tests.test_packaging import build

LINES = re.sub(r"\\\n(?:#.*\n)*", "", (ROOT / "Containerfile").read_text()).splitlines()
PAGE = PAGES["docs/container.md"]
UV = Path(".venv/bin/uv")

SIMULATED = {
    "apt-get update": "true",
    "apt-get install": "apt-get install --simulate",
    "/opt/uv/bin/pip install --no-cache-dir uv": f"cp {ROOT / UV} /opt/uv/bin/uv",
    "uv sync": "uv sync --offline --dry-run",
}


def instructions(name: str) -> list[str]:
    """The words behind each instruction of that name, in their order."""
    return [line.split(maxsplit=1)[1] for line in LINES if line.startswith(f"{name} ")]


def simulated(line: str) -> str:
    for real, stand_in in SIMULATED.items():
        line = line.replace(real, stand_in)
    return line


def copied(source: str) -> list[str]:
    """Lines that put into a directory what the build stage has."""
    copies = [words.split() for words in instructions("COPY") if not words.startswith("--from")]
    lines = (f"cp -r {' '.join(names)} {source}/{place.removeprefix('./')}" for *names, place in copies)
    return [f"cd {ROOT}", *lines]


def health_check() -> str:
    """The lines of Python that ask the filter."""
    (check,) = re.findall(r'CMD \["python", "-c", "(.+)"\]$', LINES[-1])
    return str(check)


@pytest.mark.skipif(bool(unmountable()), reason=unmountable())
def test_every_line_runs_and_makes_three_users(tmp_path: Path) -> None:
    """In the order of both stages; the users cannot reach what is another's."""
    script = ["mkdir -p /src", *copied("/src"), "cd /src"]
    script += ["rm -rf /var/lib/safelist* /etc/safelist /opt/uv", *map(simulated, instructions("RUN"))]
    script += [
        "id -nG safelist safelist-publish safelist-filter",
        "stat -c '%a %U %G %n' /etc/safelist /var/lib/safelist*",
    ]
    done = subprocess.run(overlaid("\n".join(script), tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Would install" in done.stderr or "Would download" in done.stderr, done.stderr
    assert done.stdout.splitlines()[-5:] == [
        "2755 root safelist /etc/safelist",
        "2770 safelist safelist /var/lib/safelist",
        "750 safelist-filter safelist-filter /var/lib/safelist-filter",
        "755 safelist-publish safelist /var/lib/safelist-map",
        "2750 safelist-publish safelist-filter /var/lib/safelist-snapshot",
    ]


def test_what_is_copied_is_enough_for_the_wheel(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    subprocess.run(["sh", "-euc", "\n".join(copied(str(tmp_path / "src")))], check=True)
    build(tmp_path / "src", tmp_path / "dist", "-t", "wheel")
    assert list((tmp_path / "dist").glob("safelist-*.whl"))


def test_the_health_check_asks_the_filter(tmp_path: Path) -> None:
    """Nobody answers here; ``test_units`` asks where the filter runs."""
    check = health_check()
    done = subprocess.run(
        [ROOT / ".venv/bin/python", "-c", check], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (1, "Connection refused\n")


def test_the_page_names_what_the_image_has() -> None:
    made = [part.split() for line in instructions("RUN") for part in line.split("&&") if "useradd" in part]
    assert len(made) == 3
    for words in made:
        assert f"`{words[-1]}` ({words[words.index('--uid') + 1]})" in PAGE.text
    text = (ROOT / "Containerfile").read_text()
    assert {"sync", "publish", "filter"} <= COMMANDS.keys()
    assert "debian:13-slim" in text
    assert "Debian 13" in PAGE.text
    assert PYTHON in text
