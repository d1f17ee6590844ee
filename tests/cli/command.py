"""Runs ``safelist`` as its users do, without a terminal (as cron) or on one: in this process, or in one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from safelist.config import toml
from safelist.demo import DemoServer
from tests import exchange
from tests.cli import in_process


@dataclass(frozen=True)
class Done:
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @classmethod
    def of(cls, code: int, out: bytes, err: bytes) -> Self:
        return cls(code, out.decode(), err.decode())


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
    def database(self) -> Path:
        return self.directory / "state" / "safelist.db"

    @property
    def environment(self) -> dict[str, str]:
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
            "database": {"url": f"sqlite:///{self.database}"},
            "publish.postfix": {"path": str(self.map), "map_type": "texthash"},
        }  # fmt: skip
        for name, values in keys.items():
            sections[name] = sections.get(name, {}) | values
        lines = [f"[{name}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in s.items()) for name, s in sections.items()]
        self.config.write_text("\n".join(lines))
        self.config.chmod(0o600)

    def __call__(self, *arguments: str, given: bytes | None = None, **environment: str) -> Done:
        """Run it in this process, as cron would: no terminal, and nothing to read but what is ``given``."""
        return Done.of(*in_process.run(arguments, self.environment | environment, given))

    def in_a_process(self, *arguments: str, given: bytes | None = None, **environment: str) -> Done:
        """The same in a process of its own, for what is about the process: start-up, signals, who is told what."""
        done = subprocess.run(
            self.line(*arguments), env=self.environment | environment, input=given or b"",
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        return Done.of(done.returncode, done.stdout, done.stderr)

    @staticmethod
    def line(*arguments: str) -> list[str]:
        """What starts it in a process of its own."""
        return [sys.executable, "-m", "safelist", *arguments]

    def on_a_terminal(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Exit code and everything that a person at a terminal sees of the command."""
        code, seen = in_process.on_a_terminal(arguments, self.environment | {"TERM": "xterm"} | environment)
        return code, seen.decode()

    def in_a_process_on_a_terminal(self, *line: str, **environment: str) -> tuple[int, str]:
        """The same of a line that is started in a process."""
        leader, follower = os.openpty()
        process = subprocess.Popen(
            line, env=self.environment | {"TERM": "xterm"} | environment,
            stdin=follower, stdout=follower, stderr=follower,
        )  # fmt: skip
        os.close(follower)
        seen = in_process.all_of(leader)
        os.close(leader)
        return process.wait(60), seen.decode()


@contextmanager
def synced(directory: Path, people: Sequence[exchange.Mailbox]) -> Iterator[Command]:
    """The command whose database has the lists of these people; nothing is published."""
    with exchange.DemoServer(exchange.Organisation.of(people)) as server:
        command = Command(directory)
        command.configure(server, [each.address for each in people])
        assert command("db", "upgrade").code == 0
        assert command("sync").code == 0
        yield command
