"""Whom ``safelist rejections`` asks beside the logs: the aggregate, and DNS."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safelist.cli.terminal import now
from safelist.errors import UsageError
from safelist.rejections.collected import CollectedMails
from safelist.runs.rejections import AskedPolicy

Prove = Callable[[CollectedMails], None]


@contextmanager
def policy(
    config_file: Path | None, recipient_delimiter: str, prove: Prove, *, logs_only: bool
) -> Iterator[AskedPolicy | None]:
    """The aggregate of the configuration; None where there is no configuration yet, or nobody wants it."""
    if logs_only:
        yield None
        return
    from safelist import config as configuration  # and the database: who asks none waits for none
    from safelist import store
    from safelist.cli.configuration import load_config

    if config_file is None and not configuration.default_path().exists():
        yield None
        return
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        yield AskedPolicy(opened, config.policy.settings(opened.own_domains()), recipient_delimiter, now(), prove)


def spf(is_wanted: bool, nameservers: list[str]) -> Prove:
    """What asks SPF about mails, if that is wanted. Raises UsageError where a nameserver is none."""
    if not is_wanted:
        return lambda _: None
    import asyncio

    from safelist.filter.resolver import Resolver  # DNS and SPF are imported where they are asked
    from safelist.filter.settings import nameserver
    from safelist.rejections.spf_today import ask_spf

    try:
        servers = [nameserver(text) for text in nameservers]
    except ValueError as fault:
        raise UsageError(f"--nameserver: {fault}") from None

    async def ask(mails: CollectedMails) -> None:
        resolver = Resolver(servers or None)
        try:
            await ask_spf(mails, resolver)
        finally:
            resolver.close()

    return lambda mails: asyncio.run(ask(mails))
