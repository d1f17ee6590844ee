"""What the commands about overrides share: options, and who is recorded."""

from datetime import datetime
from typing import Annotated

import typer

from safelist.cli import completion
from safelist.cli.terminal import actor as login
from safelist.errors import UsageError
from safelist.override import MAX_TEXT, Level
from safelist.override_file import plain

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
    typer.Option(
        "--domain",
        metavar="OWN_DOMAIN",
        help="Only for recipients in this domain. Default: everybody.",
        autocompletion=completion.own_domains,
    ),
]
RecipientOption = Annotated[
    str | None,
    typer.Option(
        "--recipient",
        metavar="ADDRESS",
        help="Only for this recipient. Default: everybody.",
        autocompletion=completion.mailboxes,
    ),
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


def recorded_actor(name: str | None) -> str:
    """Who is recorded: the login, behind the name that ``--actor`` gives."""
    return login() if name is None else f"{plain_text(name, '--actor', MAX_ACTOR)} (by {login()})"


def plain_text(text: str, option: str, limit: int = MAX_TEXT) -> str:
    """The text of an option. Raises UsageError where nobody can read it."""
    try:
        return plain(text, limit)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def minute(moment: datetime) -> str:
    """A moment to the minute, for tables."""
    return f"{moment:%Y-%m-%d %H:%M}"
