"""``safelist audit``: who trusts whom, and why a sender is safe: one file a question."""

import typer

from safelist.cli.audit import changes, history, mailbox, report, used, verify, who, why

app = typer.Typer(
    help="Who trusts whom, first seen when, who overrode it, and why a sender is safe.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command()(who.who)
app.command()(mailbox.mailbox)
app.command()(why.why)
app.command()(history.history)
app.command()(changes.changes)
app.command()(report.report)
app.command()(verify.verify)
app.command("used")(used.used_)
