"""``safelist filter``: the DNSBL filter: one file a command."""

import typer

from safelist.cli.filter import ask, check, run, sample

app = typer.Typer(
    help="The DNSBL filter for Postfix that honours the safelist.", no_args_is_help=True, rich_markup_mode=None
)
app.command()(run.run)
app.command()(ask.ask)
app.command()(check.check)
app.command()(sample.sample)
