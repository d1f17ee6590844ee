"""What the commands about overrides share: options, who is recorded, what speaks against one, and its words."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from safelist import domains, policy
from safelist.cli.terminal import actor as login
from safelist.config import Config
from safelist.errors import UsageError
from safelist.override import MAX_TEXT, Effect, Level, Terms
from safelist.override_file import Circumstances, plain
from safelist.policy import Settings
from safelist.sender import Form, domain_of

MAX_ACTOR = 100
FROM_WHEN = "from the next `safelist publish` on"

SenderArgument = Annotated[
    str,
    typer.Argument(
        metavar="SENDER",
        help="An address or a domain; .example.com is example.com --with-subdomains.",
        show_default=False,
    ),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept for the audit.", show_default=False)
]
WithSubdomainsOption = Annotated[
    bool, typer.Option("--with-subdomains", help="The domain's sub-domains are meant too.")
]
DomainOption = Annotated[
    str | None,
    typer.Option("--domain", metavar="OWN_DOMAIN", help="Only for recipients in this domain. Default: everybody."),
]
RecipientOption = Annotated[
    str | None, typer.Option("--recipient", metavar="ADDRESS", help="Only for this recipient. Default: everybody.")
]
TicketOption = Annotated[
    str | None, typer.Option("--ticket", metavar="TEXT", help="Where it was asked for; kept for the audit.")
]
ExpiresOption = Annotated[
    str | None,
    typer.Option(
        "--expires", metavar="WHEN",
        help="30d, 2w, 2027-01-31 (the end of that day, UTC) or never. Default: [overrides] expires.",
    ),
]  # fmt: skip
LevelOption = Annotated[
    Level,
    typer.Option("--level", help="enforced beats the users' own lists; a user's own list beats default."),
]
UnderstandOption = Annotated[
    bool, typer.Option("--i-understand", help="Do it although it is dangerous; without it the dangers are named.")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Replace what is in force about the same and says otherwise.")
]


class Manner(NamedTuple):
    """How a command was asked to do its work."""

    i_understand: bool
    replace: bool
    actor: str | None
    config_file: Path | None
    json: bool
    dry_run: bool = False


def circumstances(config: Config, settings: Settings, at: datetime) -> Circumstances:
    return Circumstances(at, settings.own_domains, settings.authentication, config.overrides.expires)


def recorded_actor(name: str | None) -> str:
    return login() if name is None else f"{plain_text(name, '--actor', MAX_ACTOR)} (by {login()})"


def plain_text(text: str, option: str, limit: int = MAX_TEXT) -> str:
    try:
        return plain(text, limit)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def objections(terms: Terms, settings: Settings, *, i_understand: bool) -> Iterator[str]:
    domain = domain_of(terms.pattern)
    is_wide_allow = terms.effect is Effect.ALLOW and terms.pattern.form is Form.SUBDOMAINS
    if is_wide_allow and domains.is_public_suffix(domain):
        yield f"{domain} is a public suffix: everything below it is never allowed at once; allow the domains you mean"
    elif not i_understand:
        for danger in policy.dangers(terms, settings):
            yield f"{danger}; add --i-understand if you mean it"


def minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
