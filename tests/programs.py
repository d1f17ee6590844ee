"""Whether the programs that tests talk to are installed, and by which packages they come."""

import shutil
import subprocess
from collections.abc import Mapping
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})
_PATH = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin"
"""A user's PATH may lack the directories of root's programs."""


def installation(programs: Mapping[str, str], modules: Mapping[str, str] = _NONE) -> str:
    """Look for programs and modules of Perl's; the command that installs what is missing, by its package, or empty."""
    packages = [package for program, package in programs.items() if not shutil.which(program, path=_PATH)]
    packages += [package for module, package in modules.items() if not _has(module)]
    return "apt-get install " + " ".join(dict.fromkeys(packages)) if packages else ""


def _has(module: str) -> bool:
    """Whether Perl finds it. Without Perl it does not."""
    perl = shutil.which("perl")
    return bool(perl) and subprocess.run([str(perl), f"-M{module}", "-e1"], capture_output=True).returncode == 0
