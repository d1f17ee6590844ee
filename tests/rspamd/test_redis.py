"""An rspamd whose Redis fails it: nobody is safe then, mail goes on, and the next mail asks again."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from safelist.publisher.targets import rspamd_redis
from safelist.publisher.targets.rspamd_redis import RspamdRedisSettings
from tests.mail.world import BOB, DESK, OFFERS, Offer
from tests.rspamd import redis_server, servers
from tests.rspamd.conftest import ServedByRedis
from tests.rspamd.redis_server import RedisServer
from tests.rspamd.test_mail import pair

WHY_NOT = servers.missing() or redis_server.missing()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@dataclass
class Pair:
    """An rspamd and its Redis, which the desk's one safe sender is in."""

    served: ServedByRedis
    redis: RedisServer
    log: Path
    seen: int = 0

    def is_lifted(self, name: str = "trusted pair") -> bool:
        return self.served.rspamd.answer(OFFERS[name]).is_lifted

    def faults(self) -> list[str]:
        """What the log says since it was looked at last, before the test."""
        lines = self.log.read_bytes()[self.seen :].decode().splitlines()
        return [line.rpartition("for this mail: ")[2] for line in lines if "safelist: nobody is safe" in line]


@pytest.fixture(scope="module")
def started() -> Iterator[Pair]:
    with redis_server.redis_server() as redis:
        settings = RspamdRedisSettings(redis=redis.url, lock=redis.root / "lock")
        more = {"redis.conf": rspamd_redis.servers(settings)}
        with servers.installed(rspamd_redis.rule(settings), more) as found, found.running() as running:
            yield Pair(ServedByRedis(settings, running), redis, found.root / "log")


@pytest.fixture
def site(started: Pair) -> Pair:
    started.served.write([], [pair(BOB)])
    started.seen = started.log.stat().st_size
    assert started.is_lifted()
    assert started.faults() == []
    return started


def test_before_the_first_publication_nobody_is_safe_and_the_log_says_so(site: Pair) -> None:
    with site.redis.client() as client:
        client.flushall()
    assert not site.is_lifted()
    assert site.faults() == [f"127.0.0.1:{site.redis.port}: there is no safelist:senders"]
    site.served.write([], [pair(BOB)])
    assert site.is_lifted()


def test_a_list_that_holds_nobody_is_no_fault(site: Pair) -> None:
    site.served.write([], [])
    assert not site.is_lifted()
    assert site.faults() == []


def test_while_redis_is_away_nobody_is_safe_and_the_first_mail_after_it_is_asked_for_again(site: Pair) -> None:
    """However many mails came meanwhile."""
    site.redis.stop()
    try:
        assert [site.is_lifted() for _ in range(12)] == [False] * 12
        faults = site.faults()
        assert len(faults) == 12, "one line for a mail"
        assert all(each.startswith(f"127.0.0.1:{site.redis.port}: ") for each in faults)
    finally:
        site.redis.start()
    site.served.write([], [pair(BOB)])
    assert site.is_lifted()


def test_a_redis_that_does_not_answer_holds_no_mail_up(site: Pair) -> None:
    """The mail is rated while Redis is still silent."""
    os.kill(site.redis.process_id, signal.SIGSTOP)
    try:
        assert not site.is_lifted()
        assert len(site.faults()) == 1
        assert "timeout" in site.faults()[0]
    finally:
        os.kill(site.redis.process_id, signal.SIGCONT)
    assert site.is_lifted()


def test_a_key_of_another_kind_makes_nobody_safe(site: Pair) -> None:
    with site.redis.client() as client:
        client.set("safelist:senders", "x")
        assert not site.is_lifted()
        assert "WRONGTYPE" in site.faults()[0]
        client.delete("safelist:senders")


def test_a_mail_for_which_too_many_names_had_to_be_asked_for_is_from_nobody_safe(site: Pair) -> None:
    """Of a long domain there are as many as it has parts, for each recipient."""
    many = (DESK, *(f"r{number}@corp.example" for number in range(400)))
    assert site.served.rspamd.answer(Offer(BOB, many)).is_lifted
    assert not site.served.rspamd.answer(Offer(f"bob@{'a.' * 60}partner.example", many)).is_lifted
    assert site.faults() == ["it asks for too many names"]


def test_the_whole_of_what_is_asked_is_one_command(site: Pair) -> None:
    """Pairs, domains and everybody: one look, as of one moment."""
    with site.redis.client() as client:
        client.config_resetstat()
        assert site.served.rspamd.answer(Offer(BOB, (DESK, "front@corp.example"))).is_lifted
        commands = {name.removeprefix("cmdstat_"): each["calls"] for name, each in client.info("commandstats").items()}
    assert commands["hmget"] == 1
    assert commands.keys().isdisjoint({"hget", "hgetall", "multi", "eval", "get"})
