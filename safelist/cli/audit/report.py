"""``safelist audit report``: one page for an auditor."""

import os
import tempfile
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from safelist import store
from safelist.audit.report import AuditReport, RejectedMails, rejected_mails
from safelist.cli.configuration import load_config
from safelist.cli.moments import parse_zone
from safelist.cli.terminal import ConfigOption, DatabaseOption, complain, now, say
from safelist.config import Config
from safelist.errors import PermissionDeniedError, TamperedError, UnavailableError, UsageError
from safelist.policy import Settings
from safelist.rejections.collected import CollectedMails
from safelist.rejections.formats import FORMATS
from safelist.rejections.words import logs_with_nothing
from safelist.runs.rejections import AskedPolicy, LogOptions, open_logs, rejections, why_command
from safelist.runs.report import report as build
from safelist.store import Store, Verified


def report(
    html: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the page; - for standard output.")],
    log: Annotated[
        list[str] | None, typer.Option(metavar="LOG", help="Also what DNS blocklists rejected, from this mail log.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Of the logs' times that do not say. Default: this machine's.")
    ] = None,
    recipient_delimiter: Annotated[
        str, typer.Option(metavar="CHAR", help="Postfix's: with +, x+y@example.com is x@example.com.")
    ] = "",
    config_file: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """Write one self-contained page: totals, who is safe by whose trust, what was refused, overrides, problems."""
    from safelist.audit.report.page import render  # jinja2 takes its time, and no other command needs it

    logs = _logs(log or [], timezone, recipient_delimiter)
    config = load_config(config_file, database)
    with store.open_store(config.database.url) as opened:
        verified = opened.verify_chain()
        page = render(_built(opened, config, verified, logs))
    if str(html) == "-":
        print(page)
    else:
        _write(html, page)
        say(f"{html}: written")
    if verified.problem:
        raise TamperedError(f"the record was changed by something else than safelist: {verified.problem}; see the page")


class _Logs(NamedTuple):
    """Which logs are read for the report, and how."""

    names: list[str]
    zone: tzinfo
    recipient_delimiter: str


def _logs(names: list[str], timezone: str | None, recipient_delimiter: str) -> _Logs | None:
    if not names and (timezone or recipient_delimiter):
        raise UsageError("--timezone and --recipient-delimiter say how logs are read: name one with --log")
    return _Logs(names, parse_zone(timezone, "--timezone"), recipient_delimiter) if names else None


def _built(opened: Store, config: Config, verified: Verified, logs: _Logs | None) -> AuditReport:
    settings = config.policy.settings(opened.own_domains())
    rejected = _rejected(opened, settings, logs) if logs else None
    return build(opened, config, settings, now(), verified, rejected)


def _rejected(opened: Store, settings: Settings, logs: _Logs) -> RejectedMails:
    asked = AskedPolicy(opened, settings, logs.recipient_delimiter, now())
    options = LogOptions(FORMATS, logs.zone)
    with CollectedMails(logs.zone) as mails:
        found = rejections(mails, open_logs(logs.names, with_journal=False, now=now()), options, asked)
        for line in logs_with_nothing(found.logs):
            complain(line)
        return rejected_mails(mails, found, why_command(found, options, asked))


def _write(path: Path, page: str) -> None:
    """Write it for its owner only, and all or nothing: it says who writes to whom."""
    path = Path(os.path.realpath(path))
    if path.is_symlink() or (path.exists() and not path.is_file()):  # a link that is left leads in a circle
        raise UnavailableError(f"{path}: this is no regular file; name one, or - for standard output")
    try:
        handle, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
            Path(new).replace(path)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise
    except PermissionError as error:
        raise PermissionDeniedError(f"{path}: may not be written by this user ({error.strerror})") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written: {error.strerror}") from None
