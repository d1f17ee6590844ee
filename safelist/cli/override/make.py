"""``safelist override allow`` and ``block``: say something about a sender."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from safelist import store
from safelist.audit import json_form
from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.override.options import (
    FROM_WHEN,
    DomainOption,
    ExpiresOption,
    LevelOption,
    ReasonOption,
    RecipientOption,
    ReplaceOption,
    SenderArgument,
    TicketOption,
    UnderstandOption,
    WithSubdomainsOption,
    recorded_actor,
)
from safelist.cli.terminal import ActorOption, ConfigOption, JsonOption, complain, now, print_json, shown
from safelist.errors import UsageError
from safelist.override import Authentication, Effect, Level, sentence
from safelist.override_file import InvalidTermsError
from safelist.runs import overrides
from safelist.runs.overrides import Consent
from safelist.sender import Form, parse
from safelist.store import Made


def allow(
    sender: SenderArgument,
    reason: ReasonOption,
    with_subdomains: WithSubdomainsOption = False,
    domain: DomainOption = None,
    recipient: RecipientOption = None,
    ticket: TicketOption = None,
    expires: ExpiresOption = None,
    level: LevelOption = Level.ENFORCED,
    authentication: Annotated[
        Authentication | None,
        typer.Option("--authentication", help="What a mail must prove. Default: [policy] authentication."),
    ] = None,
    i_understand: UnderstandOption = False,
    replace: ReplaceOption = False,
    actor: ActorOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make SENDER safe: the DNS blocklists do not count for it."""
    cells = _cells(
        Effect.ALLOW, sender, reason, domain, recipient, ticket, expires, level, with_subdomains=with_subdomains
    )
    cells["authentication"] = authentication or ""
    _make(cells, Consent(i_understand, replace), actor, config_file, json=json)


def block(
    sender: SenderArgument,
    reason: ReasonOption,
    with_subdomains: WithSubdomainsOption = False,
    domain: DomainOption = None,
    recipient: RecipientOption = None,
    ticket: TicketOption = None,
    expires: ExpiresOption = None,
    level: LevelOption = Level.ENFORCED,
    i_understand: UnderstandOption = False,
    replace: ReplaceOption = False,
    actor: ActorOption = None,
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Never let SENDER become safe, whoever trusts it: the DNS blocklists count for it."""
    cells = _cells(
        Effect.BLOCK, sender, reason, domain, recipient, ticket, expires, level, with_subdomains=with_subdomains
    )
    _make(cells, Consent(i_understand, replace), actor, config_file, json=json)


def _cells(
    effect: Effect, sender: str, reason: str, domain: str | None, recipient: str | None, ticket: str | None,
    expires: str | None, level: Level, *, with_subdomains: bool,
) -> dict[str, str]:  # fmt: skip
    for option, text in (("--ticket", ticket), ("--expires", expires)):
        if text is not None and not text.strip():
            raise UsageError(f"{option}: is empty; write something, or leave it out")
    return {
        "effect": effect, "sender": sender, "with_subdomains": str(with_subdomains), "scope": _scope(domain, recipient),
        "level": level, "expires": expires or "", "reason": reason, "ticket": ticket or "",
    }  # fmt: skip


def _scope(domain: str | None, recipient: str | None) -> str:
    """Empty for everybody, only where neither option is there: an empty variable of a script must not widen it."""
    if domain is not None and recipient is not None:
        raise UsageError("--domain and --recipient: write one of them")
    if recipient is not None:
        return addresses_in([recipient], "--recipient")[0]
    if domain is None:
        return ""
    if parse(domain).form is not Form.DOMAIN:
        raise UsageError(f"--domain: {domain!r} is not a domain")
    return domain


def _make(
    cells: Mapping[str, str], consent: Consent, actor: str | None, config_file: Path | None, *, json: bool
) -> None:  # fmt: skip
    config, by = load_config(config_file), recorded_actor(actor)
    with store.open_store(config.database.url) as opened, _named_as_options(cells):
        made, found = overrides.make(opened, config, cells, now(), by, consent)
    if json:
        print_json(json_form.made(made) | {"notes": found})
    else:
        print(shown(_told(made)))
    for note in found:
        complain(f"note: {note}")


@contextmanager
def _named_as_options(cells: Mapping[str, str]) -> Iterator[None]:
    """Raise what is wrong with a column as a UsageError that names the option."""
    options = {"sender": "SENDER", "scope": "--recipient" if "@" in cells["scope"] else "--domain"}
    try:
        yield
    except InvalidTermsError as error:
        faults = ((options.get(at, f"--{at.replace('_', '-')}"), sentence) for at, sentence in error.faults)
        raise UsageError("\n".join(f"{option}: {sentence}" for option, sentence in faults)) from None


def _told(made: Made) -> str:
    number, words = made.override.id, sentence(made.override.terms)
    if not made.is_new:
        return f"override {number} already {words}; nothing was changed"
    instead = f" instead of override {made.replaced.id}" if made.replaced else ""
    return f"override {number} {words}{instead}; it counts {FROM_WHEN}"
