"""``safelist demo``: the main job on a sample organisation, with an Exchange-like endpoint on loopback."""

import shutil
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safelist import audit, store
from safelist.cli.audit.who import print_sender
from safelist.cli.configuration import load_config
from safelist.cli.init import write_new
from safelist.cli.publish import end, publish_all
from safelist.cli.sync import SyncReport
from safelist.cli.terminal import JsonOption, actor, complain, now, print_json
from safelist.config import Config, toml
from safelist.errors import UnavailableError, UsageError
from safelist.publisher import program
from safelist.runs import json_form

if TYPE_CHECKING:
    from safelist.demo import Organisation

SENDERS = ("accounts.desk@aol.com", "orders.north@yahoo.com")
_FILES = ("safelist.toml", "safelist.db", "safelist_map")


def demo(
    directory: Annotated[Path | None, typer.Option(help="Where to leave the files. Default: a new one.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Keep the endpoint running until Ctrl-C.")] = False,
    json: JsonOption = False,
) -> None:
    """Collect a sample organisation, show who trusts whom, publish a Postfix map and look two senders up."""
    from safelist.demo import DemoServer  # these take longer to import than most commands to run
    from safelist.demo.sample import sample

    place, organisation = _place(directory), sample()
    with DemoServer(organisation) as server:
        config = _write_config(place, organisation, server.url)
        store.upgrade(config.database.url)
        with store.open_store(config.database.url) as opened:
            if json:
                print_json(_run(opened, config) | {"directory": str(place), "endpoint": server.url})
            else:
                _show(opened, config, place, f"{len(organisation.mailboxes)} mailboxes answers at {server.url}")
        if serve:
            _wait(place)


def _wait(place: Path) -> None:
    complain(f"the endpoint keeps running: safelist sync -c {place / _FILES[0]} (Ctrl-C ends it)")
    threading.Event().wait()


def _place(directory: Path | None) -> Path:
    place = (directory or Path(tempfile.mkdtemp(prefix="safelist-demo-"))).absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{place} cannot be a directory: {error.strerror}; choose another with --directory") from None
    there = [name for name in _FILES if (place / name).exists()]
    if there:
        raise UsageError(f"{place} holds {', '.join(there)} already; choose an empty directory, nothing was changed")
    return place


def _write_config(place: Path, organisation: "Organisation", url: str) -> Config:
    path, account = place / _FILES[0], organisation.account
    groups = [group for group in organisation.groups if group.startswith("everyone@")]
    text = f"""\
# Written by `safelist demo`. `safelist init` writes one in which every key is explained.
[exchange]
endpoint = {toml(url)}
authentication = "basic"
username = {toml(account.principal)}
secret = {toml(account.password)}

[mailboxes]
groups = {toml(groups)}

[database]
url = {toml(f"sqlite:///{place / _FILES[1]}")}

[policy]
quorum = 2

[publish.postfix]
path = {toml(str(place / _FILES[2]))}
# A plain text map, and no question to this machine's Postfix, which may not be there or not be set up.
map_type = "texthash"
parent_domain_matches_subdomains = true
"""
    write_new(path, text)
    return load_config(path)


def _run(opened: store.Store, config: Config) -> dict[str, Any]:
    """The main job; its figures, and what Postfix finds for each sender."""
    from safelist.runs.sync import SyncOptions
    from safelist.runs.sync import sync as collect

    options = SyncOptions(config.collect.lists, workers=4)
    (collected,) = collect(opened, config, options, SyncReport(opened, options, json=False), now, actor())
    (published,) = done = publish_all(opened, config, [])
    end(done)
    found = {sender: _look_up(sender, config.publish["postfix"].path) for sender in (*SENDERS, "stranger@aol.com")}
    return {"summary": collected.summary.figures(), "published": json_form.publishing(published), "found": found}


def _show(opened: store.Store, config: Config, place: Path, endpoint: str) -> None:
    print(f"An Exchange-like endpoint with {endpoint}\n")
    print("$ safelist sync --publish")
    done = _run(opened, config)
    path, entries = done["published"]["path"], done["published"]["entries"]
    print(", ".join(f"{count} {name}" for name, count in done["summary"].items() if count))
    print(f"{path}: {entries} entries")
    for sender in SENDERS:
        print(f"\n$ safelist audit who {sender}")
        print_sender(audit.who(opened, sender, config.policy.settings(opened.own_domains()), now()))
    print(f"\nWhat Postfix finds in {path}:")
    for sender, result in done["found"].items():
        print(f"  {sender:<28} {result or '(nothing: the DNSBLs decide)'}")
    _say_what_to_try(place)


def _look_up(sender: str, path: Path) -> str:
    """The answer of Postfix's own postmap; where there is none that works, of the text."""
    if postmap := program.find("postmap"):
        with suppress(UnavailableError):
            outcome = program.run([postmap, "-q", sender, f"texthash:{path}"], seconds=10)
            if outcome.code == 0 and outcome.output:
                return outcome.output.decode(errors="replace").strip()
    lines = (line.partition(" ") for line in path.read_text(encoding="ascii").splitlines())
    return next((result for key, _, result in lines if key == sender), "")


def _say_what_to_try(place: Path) -> None:
    # In a checkout the command lies in .venv/bin, which is in nobody's PATH.
    command = "safelist" if shutil.which("safelist") else sys.argv[0]
    config = place / _FILES[0]
    print(f"""
The files are in {place}. Try, on them:
  {command} audit who aol.com -c {config}
  {command} audit mailbox reception@corp.example -c {config}
  {command} publish --dry-run -c {config}""")
