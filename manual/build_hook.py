"""Builds the manual pages, and the completion for bash, into the wheel: below share/, as the system has them."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShareHook(BuildHookInterface[Any]):
    """Called by hatchling with every wheel; a checkout that is only linked into an environment has no use for it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the files, and say where they go in the wheel."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)  # the build's own directory is not among those where Python looks
        from manual import completion, written

        self._made = tempfile.TemporaryDirectory()
        share = Path(self._made.name)
        written.write(share / "man", self.metadata.version)
        completion.write(share / "bash-completion" / "completions")
        build_data["shared_data"][str(share)] = "share"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was only made for the wheel."""
        if version != "editable":
            self._made.cleanup()
