"""``safelist demo``: the main job and the filter on a sample organisation, with nothing but this machine's loopback."""

import os
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safelist import audit, store
from safelist.cli.audit.who import print_sender
from safelist.cli.configuration import load_config
from safelist.cli.init import write_new
from safelist.cli.publish import end, publish_all
from safelist.cli.sync import SyncReport
from safelist.cli.terminal import JsonOption, actor, complain, now, print_json, shown
from safelist.config import Config
from safelist.errors import UnavailableError, UsageError
from safelist.filter import settings
from safelist.publisher import program
from safelist.runs import json_form

if TYPE_CHECKING:
    from safelist.demo import DemoServer
    from safelist.demo.configuration import DemoPlace
    from safelist.demo.filtering import AnsweredQuestion

SENDERS = ("accounts.desk@aol.com", "orders.north@yahoo.com")
_STANDS_IN = (
    "A nameserver on loopback stands in: zen.spamhaus.org lists each of these clients, and aol.com's SPF record names\n"
    "192.0.2.25 alone. Postfix asks, at RCPT TO:"
)


def demo(
    directory: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="Where to leave the files. Default: a new one.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Keep Exchange and the filter running until Ctrl-C.")] = False,
    json: JsonOption = False,
) -> None:
    """Collect a sample organisation, publish it, and ask the map and the DNSBL filter about some senders."""
    from safelist.demo import DemoServer, sample  # these take longer to import than most commands to run
    from safelist.demo.filtering import QUESTIONS, RunningFilter
    from safelist.demo.nameserver import DemoNameserver

    place = _place(directory)
    _leave_proxies_out()
    with DemoServer(sample()) as server, DemoNameserver() as nameserver:
        config = _write_files(place, server, nameserver.address)
        with store.open_store(config.database.url) as opened:
            done = _run(opened, config) if json else _show(opened, config, place, server)
        with RunningFilter(settings.load(place.filter_config), now) as running:
            _end(place, server, done, [running.ask(question) for question in QUESTIONS], json=json)
            if serve:
                _wait(place)


def _leave_proxies_out() -> None:
    """Let no proxy of the environment be asked for this machine's loopback, which it cannot reach."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{given},127.0.0.1".lstrip(",")


def _wait(place: "DemoPlace") -> None:
    sys.stdout.flush()
    complain(f"Exchange and the filter keep running until Ctrl-C: safelist sync -c {place.config}")
    complain(
        f"and safelist filter ask -c {place.filter_config} --client 192.0.2.25 --sender accounts.desk@aol.com "
        "--recipient support1@corp.example"
    )
    threading.Event().wait()


def _place(directory: Path | None) -> "DemoPlace":
    from safelist.demo.configuration import DemoPlace

    place = DemoPlace((directory or Path(tempfile.mkdtemp(prefix="safelist-demo-"))).absolute())
    try:
        place.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{place.directory} cannot be a directory: {error.strerror}; choose another with --directory"
        ) from None
    if there := place.there():
        raise UsageError(
            f"{place.directory} holds {', '.join(there)} already; choose an empty directory, nothing was changed"
        )
    return place


def _write_files(place: "DemoPlace", server: "DemoServer", nameserver: str) -> Config:
    """Write what the demo needs, and make its database."""
    from safelist.demo.configuration import filter_text, main_text
    from safelist.demo.filtering import free_port
    from safelist.demo.mail_log import mail_log

    place.filter.mkdir(mode=0o700)
    write_new(place.config, main_text(place, server.organisation, server.url))
    write_new(place.filter_config, filter_text(place, free_port(), nameserver))
    write_new(place.log, "".join(f"{line}\n" for line in mail_log(now())))
    config = load_config(place.config)
    store.upgrade(config.database.url)
    return config


def _say_how_to_open_the_page(command: str, config: str) -> None:
    from safelist.demo.configuration import WEB_USER

    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        print("The page for a browser needs an extra: in safelist's checkout, pip install '.[web]'")
        return
    print(f"""
In a browser, as {WEB_USER}, who may see everything: run this, and open http://127.0.0.1:8025/
  {command} web --demo {WEB_USER} -c {config}""")


def _run(opened: store.Store, config: Config) -> dict[str, Any]:
    """The main job; its figures, and what Postfix finds for each sender."""
    from safelist.runs.sync import SyncOptions
    from safelist.runs.sync import sync as collect

    options = SyncOptions(config.collect.lists, workers=4)
    (collected,) = collect(opened, config, options, SyncReport(opened, options, json=False), now, actor())
    done = publish_all(opened, config, [])
    end(done)
    found = {sender: _look_up(sender, config.publish["postfix"].path) for sender in (*SENDERS, "stranger@aol.com")}
    (published,) = (each for each in done if each.done.target == "postfix")
    return {"summary": collected.summary.figures(), "published": json_form.publishing(published), "found": found}


def _show(opened: store.Store, config: Config, place: "DemoPlace", server: "DemoServer") -> dict[str, Any]:
    print(f"An Exchange-like endpoint with {len(server.organisation.mailboxes)} mailboxes answers at {server.url}\n")
    print("$ safelist sync --publish")
    done = _run(opened, config)
    print(", ".join(f"{count} {name}" for name, count in done["summary"].items() if count))
    print(f"{place.map}: {done['published']['entries']} entries")
    print("(The one that failed denies access on purpose: so you see what a run says of it.)")
    for sender in SENDERS:
        print(f"\n$ safelist audit who {sender}")
        print_sender(audit.who(opened, sender, config.policy.settings(opened.own_domains()), now()))
    print(f"\nWhat Postfix finds in {place.map}:")
    for sender, result in done["found"].items():
        print(f"  {sender:<28} {result or '(nothing: the DNSBLs decide)'}")
    return done


def _look_up(sender: str, path: Path) -> str:
    """The answer of Postfix's own postmap; where there is none that works, of the text."""
    if postmap := program.find("postmap"):
        with suppress(UnavailableError):
            outcome = program.run([postmap, "-q", sender, f"texthash:{path}"], seconds=10)
            if outcome.code == 0 and outcome.output:
                return outcome.output.decode(errors="replace").strip()
    lines = (line.partition(" ") for line in path.read_text(encoding="ascii").splitlines())
    return next((result for key, _, result in lines if key == sender), "")


def _end(
    place: "DemoPlace", server: "DemoServer", done: dict[str, Any], answers: Sequence["AnsweredQuestion"], *, json: bool
) -> None:
    """Say what the filter answered; for a person also what to try."""
    if json:
        asked = [
            each.question._asdict() | {"says": each.action, "reason": each.reason, "why": each.why} for each in answers
        ]
        print_json(done | {"filter": asked, "directory": str(place.directory), "endpoint": server.url})
        return
    print(f"\n$ safelist filter run\n{_STANDS_IN}")
    for number, each in enumerate(answers, 1):
        mail = each.question
        print(f"  {number}. from {mail.client} ({mail.remark}): {mail.sender} to {mail.recipient}")
        print(f"     Postfix is told: {shown(each.action)}")
        print(f"     {each.reason}: {shown(each.why)}")
    _say_what_to_try(place)


def _say_what_to_try(place: "DemoPlace") -> None:
    # In a checkout the command lies in .venv/bin, which is in nobody's PATH.
    command = "safelist" if shutil.which("safelist") else sys.argv[0]
    config, log = shlex.quote(str(place.config)), shlex.quote(str(place.log))
    print(f"""
The files are in {place.directory}. Try, on them:
  {command} audit who aol.com -c {config}
  {command} audit mailbox reception@corp.example -c {config}
  {command} audit used -c {config}
  {command} publish --dry-run -c {config}
  {command} rejections {log} --saved -c {config}""")
    _say_how_to_open_the_page(command, config)
    print(f"""
Go on with the log of your own mail server. It needs nothing else, stores nothing and sends nothing:
  {command} rejections /var/log/mail.log
Then collect your own lists: {_guide()}""")


def _guide() -> Path:
    """The page that says how: in the checkout, or where a wheel puts it."""
    checkout = Path(__file__).parents[2] / "docs" / "install.md"
    return checkout if checkout.exists() else Path(sys.prefix, "share", "doc", "safelist", "install.md")
