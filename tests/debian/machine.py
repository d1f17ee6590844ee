"""A bare Debian below a directory, where packages are installed and their programs run: without a network, as root."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

BARE = Path("/opt/safelist-tests/debian")
"""What ``packaging/debian/chroot`` makes."""

_ENTER = """\
ip link set lo up && mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"
"""
_NAMESPACES = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child")
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
}  # fmt: skip


def obstacle() -> str:
    """What keeps a bare Debian from being used here; empty where nothing does."""
    if os.geteuid():
        return "only root may enter another root directory: run the tests as root"
    if not (BARE / ".unpacked").exists():
        return "there is no bare Debian: apt-get install mmdebstrap iproute2; packaging/debian/chroot"
    if subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False).returncode:
        return "this kernel gives no namespaces (unshare), without which the other Debian would reach this one"
    return ""


@dataclass(frozen=True)
class Debian:
    """A Debian of its own below ``root``; nothing in it reaches this machine's files, processes or network."""

    root: Path

    @classmethod
    def in_(cls, directory: Path, like: Path = BARE) -> "Debian":
        """A new one, as the one in ``like`` is now."""
        subprocess.run(["cp", "-a", "--reflink=auto", str(like), str(directory)], check=True)
        return cls(directory)

    def run(self, *command: str, code: int = 0, **environment: str) -> str:
        """What the command prints, both streams in one; it has to end with that code."""
        done = subprocess.run(
            [*_NAMESPACES, "sh", "-c", _ENTER, str(self.root), *command], env=_ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=280,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def install(self, package: Path, *options: str) -> str:
        """Install or upgrade a package of a file on this machine."""
        shutil.copy(package, self.root / "root")
        return self.run("dpkg", "--force-unsafe-io", *options, "--install", f"/root/{package.name}")

    def path(self, name: str) -> Path:
        """Where its file of that absolute name is here."""
        return self.root / name.lstrip("/")
