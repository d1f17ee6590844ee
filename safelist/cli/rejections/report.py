"""``safelist rejections``: the command."""

import os
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated

import typer

from safelist.cli import completion
from safelist.cli.moments import LastOption, parse_time, parse_zone, since_option
from safelist.cli.rejections import asked, kept
from safelist.cli.rejections.output import Output
from safelist.cli.terminal import ConfigOption, CsvOption, JsonOption, now
from safelist.errors import UsageError
from safelist.rejections.collected import CollectedMails
from safelist.rejections.format import LogFormat
from safelist.rejections.formats import FORMATS
from safelist.rejections.summary import RejectionSummary
from safelist.rejections.why_command import WhyCommand
from safelist.runs import rejections as reading
from safelist.runs.rejections import AskedPolicy, LogOptions


def rejections(
    logs: Annotated[
        list[str] | None, typer.Argument(metavar="LOG", help="Files, directories of them, - for standard input.")
    ] = None,
    journal: Annotated[bool, typer.Option("--journal", help="Read systemd's journal, too.")] = False,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help=f"Only these forms: {', '.join(FORMATS)}.",
            autocompletion=completion.formats,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only what was refused from that day on; yesterday, 24h.")
    ] = None,
    last: LastOption = None,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only what was refused until that day's end.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Of days, and of times that do not say. Default: this machine's.")
    ] = None,
    recipient_delimiter: Annotated[
        str, typer.Option(metavar="CHAR", help="Postfix's: with +, x+y@example.com is x@example.com.")
    ] = "",
    spf: Annotated[
        bool, typer.Option("--spf", help="Ask today's DNS whether SPF vouches for those that would be let through.")
    ] = False,
    nameserver: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="Ask this one for SPF. Default: as resolv.conf says.")
    ] = None,
    tables: Annotated[
        bool, typer.Option("--tables", help="Also by provider, by the sender's domain and by recipient.")
    ] = False,
    saved: Annotated[bool, typer.Option("--saved", help="Also each mail that would have been let through.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also who refused this site's mail, whose box it is, and what to do.")
    ] = False,
    unread: Annotated[
        bool, typer.Option("--unread", help="Also the first 1,000 lines that could not be read.")
    ] = False,
    logs_only: Annotated[bool, typer.Option("--logs-only", help="Ask no aggregate.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the counts of each whole day in the aggregate: numbers, no address.")
    ] = False,
    config_file: ConfigOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """What logs say was rejected, by whom, and what the safelist would have let through."""
    _refuse_nothing(logs, journal=journal)
    since = since_option(since, last)
    kept.refuse_parts(keep, {"--since": since, "--until": until, "--format": format_, "--logs-only": logs_only})
    zone = parse_zone(timezone, "--timezone")
    output = Output(tables=tables, saved=saved, explain=explain, unread=unread, json=json, csv=csv)
    begin, end = _time(since, "--since", zone), _time(until, "--until", zone, end=True)
    options = LogOptions(_formats(format_ or []), zone, begin, end, output.note)
    asking = asked.policy(config_file, recipient_delimiter, asked.spf(spf, nameserver or []), logs_only=logs_only)
    with CollectedMails(zone) as mails, asking as policy:
        keeping = kept.Keeping(keep, policy, config_file)
        logs_ = reading.open_logs(logs or [], with_journal=journal, now=now())
        found = reading.rejections(mails, logs_, options, policy)
        why = None if policy is None else _why(found, options, policy, config_file)
        output.print(found, mails, why, keeping.keep(mails))


def _refuse_nothing(logs: list[str] | None, *, journal: bool) -> None:
    if not logs and not journal:
        raise UsageError("name a log, such as /var/log/mail.log, or - for standard input, or ask for the --journal")


def _why(found: RejectionSummary, options: LogOptions, policy: AskedPolicy, config_file: Path | None) -> WhyCommand:
    """What explains a mail; it names the configuration where it would take another without that."""
    is_found = config_file is None or os.environ.get("SAFELIST_CONFIG") == str(config_file)
    why = reading.why_command(found, options, policy)
    return why._replace(config_file=None if is_found else str(config_file))


def _formats(names: list[str]) -> dict[str, LogFormat]:
    if unknown := [name for name in names if name not in FORMATS]:
        raise UsageError(f"--format: {unknown[0]!r} is none of {', '.join(FORMATS)}")
    return {name: each for name, each in FORMATS.items() if not names or name in names}


def _time(text: str | None, option: str, zone: tzinfo, *, end: bool = False) -> datetime | None:
    """Days are those of the logs, which the answer shows."""
    return None if text is None else parse_time(text, option, end=end, zone=zone)
