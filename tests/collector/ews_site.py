"""An Exchange on loopback and the collector's way to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from safelist.collector.sources.ews.exchange import ExchangeServer
from safelist.collector.sources.ews.retry import RetryPolicy
from safelist.collector.sources.ews.soap import Rule
from safelist.config import Exchange as Settings
from tests.exchange import DemoServer, Mailbox, Organisation

QUICK = RetryPolicy(first=0.001, longest=0.002, longest_asked=0.02)
ALICE, BOB = "alice@corp.example", "bob@corp.example"


def organisation(*addresses: str) -> Organisation:
    """Each mailbox has a rule whose condition is its own address."""
    return Organisation.of([Mailbox(address, address.encode()) for address in addresses or (ALICE, BOB)])


def settings(server: DemoServer, **changes: Any) -> Settings:
    account = server.organisation.account
    keys = {"endpoint": server.url, "authentication": "basic", "username": account.principal, "timeout": 20}
    keys |= {"secret": account.password} | changes
    return Settings.model_validate({name: value for name, value in keys.items() if value is not None})


@contextmanager
def exchange(server: DemoServer, *, secret: str | None = None, **changes: Any) -> Iterator[ExchangeServer]:
    retry_policy = changes.pop("retry_policy", QUICK)
    pause = changes.pop("pause", None)
    made = settings(server, **changes)
    with ExchangeServer(
        made, secret or server.organisation.account.password, retry_policy=retry_policy, pause=pause
    ) as opened:
        yield opened


def rule_of(found: object) -> Rule:
    assert isinstance(found, Rule)
    return found


def operations(server: DemoServer) -> list[str]:
    return [asked.operation for asked in server.requests]
