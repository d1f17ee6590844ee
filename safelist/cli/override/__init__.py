"""``safelist override``: what an administrator allows or blocks: one file a matter."""

import typer

from safelist.cli.override import exchange, make, revoke, show

app = typer.Typer(
    help="What an administrator allows or blocks, for everybody, a domain or a recipient.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command()(make.allow)
app.command()(make.block)
app.command("list")(show.list_)
app.command()(show.show)
app.command()(revoke.revoke)
app.command("import")(exchange.import_)
app.command()(exchange.export)
