"""``safelist db``: the schema of the aggregate, and a recount of what is maintained in it."""

from safelist import store
from safelist.cli.configuration import load_config
from safelist.cli.terminal import ConfigOption, JsonOption, now, print_json, say
from safelist.errors import TemporaryError


def upgrade(config_file: ConfigOption = None, json: JsonOption = False) -> None:
    """Create the database or bring its schema to this version; nothing in it is lost."""
    url = load_config(config_file).database.url
    with store.hold(url, "db upgrade", now()):
        before, after = store.upgrade(url)
    if json:
        print_json({"database": store.shown_url(url), "before": before, "after": after})
        return
    say(f"{store.shown_url(url)}: {'already at' if before == after else 'upgraded to'} schema {after}")


def verify(config_file: ConfigOption = None, json: JsonOption = False) -> None:
    """Recount how many mailboxes trust each sender and compare with the maintained counts."""
    with store.open_store(load_config(config_file).database.url) as opened:
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
