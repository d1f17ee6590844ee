"""``safelist filter ask``: run one decision and explain it."""

import asyncio
from typing import Annotated

import typer

from safelist import sender as senders
from safelist.cli.filter.configured import FilterConfigOption, be_quiet, load_filter, resolver_of
from safelist.cli.table import print_table
from safelist.cli.terminal import JsonOption, now, print_json, shown
from safelist.errors import UsageError
from safelist.filter.authentication import Authenticator
from safelist.filter.current_snapshot import CurrentSnapshot
from safelist.filter.decision import Facts, Listings, Verdict
from safelist.filter.providers import Providers
from safelist.filter.service import Service, mail_of
from safelist.filter.settings import Filter
from safelist.override import days
from safelist.sender import Form
from safelist.used import UseBuffer


def ask(
    client: Annotated[str, typer.Option(metavar="IP", help="The client's IP address.")],
    sender: Annotated[str, typer.Option(metavar="ADDRESS", help="The envelope sender; empty: the null sender.")],
    recipient: Annotated[str, typer.Option(metavar="ADDRESS", help="The recipient.")],
    helo: Annotated[str, typer.Option(metavar="NAME", help="What the client says in HELO.")] = "",
    config_file: FilterConfigOption = None,
    json: JsonOption = False,
) -> None:
    """What the filter would do with a mail, and why; it asks the real lists and the real SPF records."""
    be_quiet()
    chosen = load_filter(config_file)
    addresses = {"sender": _handed_over(sender), "recipient": _handed_over(recipient)}
    request = {"client_address": client, "helo_name": helo} | addresses
    service, facts, verdict = asyncio.run(_examine(chosen, request))
    if facts.client is None:
        raise UsageError(f"--client: {client!r} is no IP address")
    action = service.action(facts, verdict)
    if json:
        print_json(service.as_json(facts, verdict) | {"says": action})
        return
    print(shown(f"{verdict.action} ({verdict.reason}): {verdict.sentence}"))
    listings = facts.listings
    figures = [
        ("Postfix is told", action if chosen.mode == "enforce" else f"DUNNO (observe; else {action})"),
        ("lists", _told(listings) if listings else "not asked"),
        ("not answering", ", ".join(listings.failed) if listings else ""),
        ("safelist", facts.safety.sentence if facts.safety else "not asked"),
        ("SPF", facts.authentication.told if facts.authentication else "not asked"),
    ]
    print_table(("", ""), [row for row in figures if row[1]])


def _handed_over(text: str) -> str:
    """The address that a person types as Postfix would say it; what is none as it is."""
    found = senders.typed(text)
    return senders.unquoted(found) if found.form is Form.ADDRESS else text


def _told(listings: Listings) -> str:
    return "; ".join(it.why for _, it in (*listings.block, *listings.allow)) or "nobody lists the client"


async def _examine(chosen: Filter, request: dict[str, str]) -> tuple[Service, Facts, Verdict]:
    resolver = resolver_of(chosen)
    current = CurrentSnapshot(chosen.snapshot, days(chosen.max_age))
    await current.refresh()
    try:
        lists = Providers(resolver, chosen.providers, chosen.allow_providers, chosen.timeout)
        await lists.check_test_points()  # as the service does: it believes no list that lists everybody
        authenticator = Authenticator(resolver, chosen.timeout)
        service = Service(chosen, lists, current, authenticator, UseBuffer(), now)
        mail = mail_of(_TypedRequest(request))
        facts, verdict = await service.examine(service.begin(mail), mail)
        return service, facts, verdict
    finally:
        current.close()
        resolver.close()


class _TypedRequest:
    """A request that nobody sent."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self._attributes = attributes

    def get(self, name: str) -> str:
        """The value of an attribute; empty where it has none."""
        return self._attributes.get(name, "")
