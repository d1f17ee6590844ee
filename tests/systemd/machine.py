"""A real systemd as PID 1: this machine's own files, copied on write, in a container of systemd-nspawn.

What is changed there is gone with it; of the network it has a loopback of its own. safelist is at ``/opt/safelist``,
made of this checkout and of the libraries that run the test.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.programs import installation
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PROGRAM = "/opt/safelist/bin/safelist"


def missing() -> str:
    """Why it cannot run here; empty where it can."""
    if absent := installation({"systemd-nspawn": "systemd-container", "postfix": "postfix", "curl": "curl"}):
        return absent
    version = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", version], check=False).returncode:
        return f"{PYTHON} is not the Python that runs this: units cannot run one in a home directory"
    return unmountable() or _refused(f"{_OVERLAY}\nexec {_NSPAWN} --directory=$1/root true")


def unmountable() -> str:
    """Why this machine's files cannot be copied on write; empty where they can."""
    if os.geteuid():
        return "only root may mount a copy of this machine's files: sudo make test"
    return _refused(_OVERLAY)


def _refused(script: str) -> str:
    """Why these lines cannot be run in a name space of their own; empty where they can."""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", "/mnt"], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"this machine lets nobody boot a copy of it: {done.stderr.strip()}"


_NSPAWN = "systemd-nspawn --quiet --private-network --register=no --keep-unit"


_OVERLAY = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/changed" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changed,workdir=$1/work" "$1/root"
"""
_BOOT = f"""
cd "$1/root"
rm -rf opt/safelist etc/safelist var/lib/safelist* etc/systemd/system/safelist* etc/sysusers.d/safelist.conf
mkdir -p opt/safelist opt/safelist-checkout opt/safelist-libraries
: >etc/machine-id
exec {_NSPAWN} --directory="$1/root" --console=read-only \
  --bind-ro="$1/../opt:/opt/safelist" --overlay="$2::/opt/safelist-checkout" --overlay="$3::/opt/safelist-libraries" \
  --boot systemd.unit=basic.target
"""


class Said(NamedTuple):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Machine:
    """A machine that has booted; ``leader`` is its systemd's process id out here."""

    leader: int

    def __call__(self, command: str, given: str = "") -> Said:
        """Run lines of a shell there, as root, in a directory that nobody knows."""
        done = subprocess.run(
            ["nsenter", f"--target={self.leader}", "--all", "--", "/usr/bin/env", "-i", "HOME=/root", f"PATH={_PATH}",
             "sh", "-euc", command],
            input=given, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    def ok(self, command: str, given: str = "") -> str:
        """The same of what must succeed: what it printed."""
        said = self(command, given)
        assert said.code == 0, f"{command}\n{said.out}{said.err}"
        return said.out

    def property(self, unit: str, name: str) -> str:
        """What systemd says of a unit."""
        return self.ok(f"systemctl show --value --property={name} {unit}").strip()

    def journal(self, unit: str) -> str:
        """What a unit has said."""
        return self.ok(f"journalctl --unit={unit} --no-pager --output=cat")

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Put a file there."""
        self.ok(f"install -D -m {mode} /dev/stdin {path}", text)


PYTHON = "/usr/bin/python3"
_PATH = "/opt/safelist/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def overlaid(script: str, directory: Path) -> list[str]:
    """The command that runs lines of a shell on a copy of this machine's files, which ``directory`` is for."""
    enter = 'exec chroot "$1/root" sh -euc "$2"'
    return ["unshare", "--mount", "sh", "-c", _OVERLAY + enter, "sh", str(directory), script]


@contextmanager
def booted(directory: Path) -> Iterator[Machine]:
    """A machine whose systemd has started all that basic.target wants; ``directory`` is for its files out here."""
    _environment(directory / "opt")
    (directory / "machine").mkdir()
    libraries = sysconfig.get_path("purelib")
    places = [str(directory / "machine"), str(ROOT), libraries]
    command = ["unshare", "--mount", "sh", "-c", _OVERLAY + _BOOT, "sh", *places]
    with (directory / "console").open("wb") as console:
        container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    try:
        assert until(lambda: _leader(container.pid)), (directory / "console").read_text()
        machine = Machine(_leader(container.pid))
        assert until(lambda: machine("systemctl is-active basic.target").code == 0), machine("systemctl --failed").out
        yield machine
    finally:
        container.terminate()
        try:
            container.wait(30)
        except subprocess.TimeoutExpired:
            container.kill()
            container.wait()


def _environment(place: Path) -> None:
    """A virtual environment that is to lie at /opt/safelist."""
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(place)], check=True)
    (site,) = place.glob("lib/python3*/site-packages")
    (site / "safelist.pth").write_text("/opt/safelist-checkout\n/opt/safelist-libraries\n")
    script = place / "bin/safelist"
    script.write_text("#!/opt/safelist/bin/python\nfrom safelist.__main__ import main\nmain()\n")
    script.chmod(0o755)
    place.chmod(0o755)


def _leader(container: int) -> int:
    """The process id out here of what is PID 1 in there; 0 where there is none yet."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:  # it has ended
            continue
        if lines.get("NSpid", "").split()[1:] == ["1"] and int(lines["PPid"]) in (container, *_children(container)):
            return int(lines["Pid"])
    return 0


def _children(parent: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()))
    except OSError:
        return []
