"""``safelist db``: the schema of the aggregate, and a recount of what is maintained in it."""

from typing import Annotated

import typer

from safelist import store
from safelist.cli.configuration import database_url, load_config, url_of
from safelist.cli.terminal import ConfigOption, DatabaseOption, JsonOption, now, print_json, say
from safelist.errors import TemporaryError

UpgradedOption = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="FILE|URL", show_default=False,
        help="Upgrade this one, such as the copy of an old backup. Default: the configured one.",
    ),
]  # fmt: skip


def upgrade(config_file: ConfigOption = None, database: UpgradedOption = None, json: JsonOption = False) -> None:
    """Create the database or bring its schema to this version; nothing in it is lost."""
    url = load_config(config_file).database.url if database is None else url_of(database)
    with store.hold(url, "db upgrade", now()):
        before, after = store.upgrade(url)
    if json:
        print_json({"database": store.shown_url(url), "before": before, "after": after})
        return
    say(f"{store.shown_url(url)}: {'already at' if before == after else 'upgraded to'} schema {after}")


def verify(config_file: ConfigOption = None, database: DatabaseOption = None, json: JsonOption = False) -> None:
    """Recount how many mailboxes trust each sender and compare with the maintained counts."""
    with store.open_store(database_url(config_file, database)) as opened:
        wrong = opened.recount()
    if json:
        print_json({"wrong": [{"sender": m.text, "maintained": m.maintained, "counted": m.counted} for m in wrong]})
    if wrong:
        first = wrong[0]
        raise TemporaryError(
            f"{len(wrong)} counts differ from the entries, first {first.text}: {first.maintained} kept, "
            f"{first.counted} counted; do not publish, and report it"
        )
    if not json:
        say("every count agrees with the entries", is_answer=True)
