"""``safelist filter ask``: run one decision and explain it."""

import asyncio
from collections.abc import Iterator
from typing import Annotated

import typer

from safelist import sender as senders
from safelist.cli.filter.configured import FilterConfigOption, be_quiet, load_filter
from safelist.cli.table import print_table
from safelist.cli.terminal import JsonOption, now, print_json, shown
from safelist.errors import UsageError
from safelist.filter.decision import Facts, Listings
from safelist.filter.policy_service import Mail, client_of
from safelist.filter.running import examine
from safelist.filter.settings import Filter
from safelist.sender import Form


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
    mail = Mail(client_of(client), helo, _handed_over(sender), _handed_over(recipient), has_logged_in=False)
    if mail.client is None:
        raise UsageError(f"--client: {client!r} is no IP address")
    service, facts, verdict = asyncio.run(examine(chosen, mail, now))
    action = service.action(facts, verdict)
    if json:
        print_json(service.as_json(facts, verdict) | {"says": action})
        return
    print(shown(f"{verdict.action} ({verdict.reason}): {verdict.sentence}"))
    print_table(("", ""), list(_figures(chosen, facts, action)))


def _figures(chosen: Filter, facts: Facts, action: str) -> Iterator[tuple[str, str]]:
    """What the verdict rests on."""
    listings = facts.listings
    yield "Postfix is told", action if chosen.mode == "enforce" else f"DUNNO (observe; else {action})"
    yield "lists", _told(listings) if listings else "not asked"
    if listings and listings.failed:
        yield "not answering", ", ".join(listings.failed)
    yield "safelist", facts.safety.sentence if facts.safety else "not asked"
    yield "SPF", facts.authentication.told if facts.authentication else "not asked"


def _handed_over(text: str) -> str:
    """The address that a person types as Postfix would say it; what is none as it is."""
    found = senders.typed(text)
    return senders.unquoted(found) if found.form is Form.ADDRESS else text


def _told(listings: Listings) -> str:
    return "; ".join(it.why for _, it in (*listings.block, *listings.allow)) or "nobody lists the client"
