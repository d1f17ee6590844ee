"""An rspamd that serves a module of tests, with its lists in maps or in Redis."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from safelist.publisher.list_sums import ListSums
from safelist.publisher.sorting import in_order
from safelist.publisher.target import RecipientRuling, Ruling, Target
from safelist.publisher.targets import rspamd, rspamd_redis
from safelist.publisher.targets.rspamd import RspamdSettings
from safelist.publisher.targets.rspamd_redis import RspamdRedisSettings
from tests.rspamd import redis_server, servers
from tests.rspamd.servers import Rspamd


@dataclass(frozen=True)
class Served:
    """An rspamd with the rule of ``settings``, whose lists lie where these say."""

    settings: Any
    rspamd: Rspamd

    @property
    def target(self) -> Target:
        return rspamd.TARGET

    @property
    def path(self) -> Path:
        found: Path = self.settings.path
        return found

    def reads(self, everybody: int, recipients: int) -> bool:
        """Whether rspamd comes to have so many entries."""
        return self.rspamd.reads(everybody, recipients)

    def write(self, everybody: list[Ruling], recipients: list[RecipientRuling]) -> None:
        """Let rspamd read these rulings."""
        write(self.settings, everybody, recipients)
        assert self.reads(len(everybody), len(recipients))


class ServedByRedis(Served):
    """The same with Redis, which is asked for each mail."""

    @property
    def target(self) -> Target:
        return rspamd_redis.TARGET

    def reads(self, everybody: int, recipients: int) -> bool:
        with rspamd_redis.connected(self.settings) as there:
            names = [line.count(b"|") for line in there.lines()]
        return (names.count(0), names.count(1)) == (everybody, recipients)

    def write(self, everybody: list[Ruling], recipients: list[RecipientRuling]) -> None:
        sums = ListSums()
        lines = [*rspamd.sender_lines(everybody), *rspamd.pair_lines(recipients)]
        with rspamd_redis.connected(self.settings) as there:
            there.replace(list(sums.added(in_order(lines))), sums.entries, sums.mark)


only_maps = pytest.mark.parametrize("served", ["maps"], indirect=True)
only_redis = pytest.mark.parametrize("served", ["redis"], indirect=True)


def write(settings: RspamdSettings, everybody: list[Ruling], recipients: list[RecipientRuling]) -> None:
    """Write the maps, each at once."""
    for file in rspamd.render(everybody, recipients, settings).files:
        new = file.path.with_name("new")
        new.write_bytes(file.header + b"".join(file.lines))
        new.rename(file.path)


@pytest.fixture(scope="module", params=["maps", "redis"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """With the rule as it is without further settings; the lists do not exist when it starts."""
    yield from serve() if request.param == "maps" else serve_by_redis()


@pytest.fixture(scope="module")
def strict() -> Iterator[Served]:
    """With ``every_recipient``, and maps."""
    yield from serve(every_recipient=True)


def serve(*, every_recipient: bool = False) -> Iterator[Served]:
    if why := servers.missing():
        pytest.skip(f"rspamd is missing: {why}")
    with servers.directory() as root:
        settings = RspamdSettings(path=root / "senders", every_recipient=every_recipient)
        with servers.installed(rspamd.rule(settings)) as found, found.running() as running:
            yield Served(settings, running)


def serve_by_redis() -> Iterator[Served]:
    if why := servers.missing() or redis_server.missing():
        pytest.skip(f"rspamd or Redis is missing: {why}")
    with redis_server.redis_server() as redis:
        settings = RspamdRedisSettings(redis=redis.url, lock=redis.root / "lock")
        more = {"redis.conf": rspamd_redis.servers(settings)}
        with servers.installed(rspamd_redis.rule(settings), more) as found, found.running() as running:
            yield ServedByRedis(settings, running)
