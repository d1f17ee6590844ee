"""``safelist failure``: mailboxes that cannot be read, and which of them are known to fail."""

from collections.abc import Sequence
from typing import Annotated

import typer

from safelist import store
from safelist.cli import completion
from safelist.cli.audit.options import print_answer
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.override.options import ReasonOption, TicketOption, minute, plain_text, recorded_actor
from safelist.cli.table import print_table
from safelist.cli.terminal import ActorOption, ConfigOption, CsvOption, JsonOption, complain, now, print_json
from safelist.override import until_sentence
from safelist.runs import failures, json_form
from safelist.runs.failures import EXPIRES, Failing

AddressArguments = Annotated[
    list[str],
    typer.Argument(
        metavar="ADDRESS",
        help="Mailboxes, as `safelist failure list` shows them.",
        autocompletion=completion.mailboxes,
    ),
]
UntilOption = Annotated[
    str, typer.Option("--expires", metavar="WHEN", help="30d, 2w or 2027-01-31 (the end of that day, UTC).")
]


def list_(config_file: ConfigOption = None, json: JsonOption = False, csv: CsvOption = False) -> None:
    """Every mailbox that failed when it was asked last, and what was said of it."""
    with store.open_store(load_config(config_file).database.url) as opened:
        found = failures.failing(opened, now())
    rows = list(map(json_form.failure, found))
    print_answer(json, csv, lambda: rows, json_form.FAILURE, lambda: rows, lambda: _print(found))


def _print(found: Sequence[Failing]) -> None:
    if not found:
        complain("no mailbox failed when it was asked last")
        return
    columns = ("mailbox", "source", "failure", "answered", "acknowledged until", "by", "reason", "ticket")
    print_table(columns, map(_texts, found))


def _texts(failing: Failing) -> tuple[str, ...]:
    trouble, given = failing
    answered = minute(trouble.answered) if trouble.answered else "never"
    first = (trouble.address, trouble.source, trouble.reason or "", answered)
    if given is None:
        return (*first, "", "", "", "")
    known = given.known
    return (*first, minute(known.expires), given.actor, known.reason, known.ticket or "")


def acknowledge(
    mailboxes: AddressArguments,
    reason: ReasonOption,
    expires: UntilOption = EXPIRES,
    ticket: TicketOption = None,
    actor: ActorOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let these mailboxes fail no run for what they fail with now, until a day; another failure does."""
    config, by, at = load_config(config_file), recorded_actor(actor), now()
    addresses, why = addresses_in(mailboxes, "ADDRESS"), plain_text(reason, "--reason")
    where, end = None if ticket is None else plain_text(ticket, "--ticket"), failures.until(expires, at)
    with store.open_store(config.database.url) as opened:
        made = failures.acknowledge(opened, addresses, why, where, end, at, by)
    if json:
        print_json(list(map(json_form.acknowledgement, made)))
    for known in (each.known for each in made if not json):
        print(f"{known.mailbox}: {known.failure} is acknowledged {until_sentence(known.expires)}")


def revoke(
    mailboxes: AddressArguments,
    reason: ReasonOption,
    actor: ActorOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take acknowledgements back; the past stays in the audit."""
    config, by, why = load_config(config_file), recorded_actor(actor), plain_text(reason, "--reason")
    addresses = addresses_in(mailboxes, "ADDRESS")
    with store.open_store(config.database.url) as opened:
        failures.revoke(opened, addresses, why, now(), by)
    if json:
        print_json({"revoked": addresses})
    for address in addresses if not json else ():
        print(f"{address}: what it fails with fails a run again")
