"""Names the machine that a benchmark ran on."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """One line: processor, cores, system, Python."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = names[0].partition(":")[2].strip() if names else platform.processor()
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )
