"""An rspamd that serves a module of tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from safelist.publisher.target import RecipientRuling, Ruling
from safelist.publisher.targets import rspamd
from safelist.publisher.targets.rspamd import RspamdSettings
from tests.rspamd import servers
from tests.rspamd.servers import Rspamd


@dataclass(frozen=True)
class Served:
    """An rspamd with the rule of ``settings``, whose maps lie in a directory that it may read."""

    settings: RspamdSettings
    rspamd: Rspamd

    @property
    def path(self) -> Path:
        return self.settings.path

    def write(self, everybody: list[Ruling], recipients: list[RecipientRuling]) -> None:
        """Let rspamd read these rulings."""
        write(self.settings, everybody, recipients)
        assert self.rspamd.reads(len(everybody), len(recipients))


def write(settings: RspamdSettings, everybody: list[Ruling], recipients: list[RecipientRuling]) -> None:
    """Write the maps, each at once."""
    for file in rspamd.render(everybody, recipients, settings).files:
        new = file.path.with_name("new")
        new.write_bytes(file.header + b"".join(file.lines))
        new.rename(file.path)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """With the rule as it is without further settings; the maps do not exist when it starts."""
    yield from serve()


@pytest.fixture(scope="module")
def strict() -> Iterator[Served]:
    """With ``every_recipient``."""
    yield from serve(every_recipient=True)


def serve(*, every_recipient: bool = False) -> Iterator[Served]:
    if why := servers.missing():
        pytest.skip(f"rspamd is missing: {why}")
    with servers.directory() as root:
        settings = RspamdSettings(path=root / "senders", every_recipient=every_recipient)
        with servers.installed(rspamd.rule(settings)) as found, found.running() as running:
            yield Served(settings, running)
