"""Runs the installed ``safelist`` as its users do: another process, no terminal (as cron)."""

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelist.config import toml
from safelist.demo import DemoServer


@dataclass(frozen=True)
class Done:
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Command:
    """The command with a configuration of its own in ``directory``."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "safelist.toml"

    @property
    def map(self) -> Path:
        return self.directory / "map"

    @property
    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith(("COVERAGE", "PATH"))}
        return kept | {"HOME": str(self.directory), "SAFELIST_CONFIG": str(self.config)}

    def configure(self, server: DemoServer, addresses: list[str], **keys: dict[str, Any]) -> None:
        account = server.organisation.account
        sections: dict[str, dict[str, Any]] = {
            "exchange": {
                "endpoint": server.url, "authentication": "basic", "username": account.principal,
                "secret": account.password, "timeout": 10,
            },
            "mailboxes": {"addresses": addresses},
            "database": {"url": f"sqlite:///{self.directory}/state/safelist.db"},
            "publish.postfix": {"path": str(self.map), "map_type": "texthash"},
        }  # fmt: skip
        for name, values in keys.items():
            sections[name] = sections.get(name, {}) | values
        lines = [f"[{name}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in s.items()) for name, s in sections.items()]
        self.config.write_text("\n".join(lines))
        self.config.chmod(0o600)

    def __call__(self, *arguments: str, **environment: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "safelist", *arguments],
            env=self._environment | environment,
            capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def on_a_terminal(self, *arguments: str, shell: str | None = None, **environment: str) -> tuple[int, str]:
        """Exit code and everything that a person at a terminal sees of the command, or of a line for the shell."""
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            ["sh", "-c", shell] if shell else [sys.executable, "-m", "safelist", *arguments],
            env=self._environment | {"TERM": "xterm"} | environment,
            stdin=follower, stdout=follower, stderr=follower,
        )  # fmt: skip
        os.close(follower)
        seen = b""
        try:
            while chunk := os.read(leader, 65536):
                seen += chunk
        except OSError:  # Linux's way of saying that the other side has closed
            pass
        os.close(leader)
        return process.wait(60), seen.decode()
