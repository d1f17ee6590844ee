"""``safelist rejections``: what logs say was rejected, by whom, and what the safelist would have let through."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safelist.cli.moments import parse_time, parse_zone
from safelist.cli.table import print_table
from safelist.cli.terminal import ConfigOption, CsvOption, JsonOption, complain, now, print_csv, print_json, shown
from safelist.errors import UsageError
from safelist.rejections import json_form, words
from safelist.rejections.collected import CollectedMails, RefusedMail
from safelist.rejections.format import LogFormat
from safelist.rejections.formats import FORMATS
from safelist.rejections.judging import LIFTABLE
from safelist.rejections.reading import UnreadLine
from safelist.rejections.rescue import Rescue
from safelist.rejections.summary import Refused, RejectionSummary
from safelist.rejections.why_command import WhyCommand
from safelist.runs.rejections import AskedPolicy, LogOptions, open_logs, why_command
from safelist.runs.rejections import rejections as read_rejections

if TYPE_CHECKING:  # the database
    from safelist.store import KeptDay

_MOST_UNREAD = 1000
_SAVED = f"rescue = '{Rescue.LIFTED}'"


def rejections(
    logs: Annotated[
        list[str] | None, typer.Argument(metavar="[LOG]...", help="Files, directories of them, - for standard input.")
    ] = None,
    journal: Annotated[bool, typer.Option("--journal", help="Read systemd's journal, too.")] = False,
    format_: Annotated[
        list[str] | None, typer.Option("--format", metavar="NAME", help=f"Only these forms: {', '.join(FORMATS)}.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only what was refused from that day (UTC) on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only what was refused until that day's end (UTC).")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Of times that do not say. Default: this machine's.")
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
    if not logs and not journal:
        raise UsageError("name a log, such as /var/log/mail.log, or - for standard input, or ask for the --journal")
    if keep:
        _refuse_parts({"--since": since, "--until": until, "--format": format_, "--logs-only": logs_only})
    noted: list[UnreadLine] = []

    def note(line: UnreadLine) -> None:
        if unread and len(noted) < _MOST_UNREAD:
            noted.append(line)

    zone = parse_zone(timezone, "--timezone")
    options = LogOptions(
        _formats(format_ or []), zone, _time(since, "--since"), _time(until, "--until", end=True),
        note,
    )  # fmt: skip
    with CollectedMails(zone) as mails, _policy(config_file, logs_only=logs_only) as policy:
        asked = policy and replace(policy, recipient_delimiter=recipient_delimiter, prove=_spf(spf, nameserver or []))
        if keep:
            _refuse_unjudged(asked)
        opened = open_logs(logs or [], with_journal=journal, now=now())
        found = read_rejections(mails, opened, options, asked)
        days = _keep(mails, asked, config_file) if keep and asked else None
        if csv:
            print_csv(json_form.REFUSED_MAIL, map(json_form.refused_mail, mails.mails()))
        elif json:
            _print_json(found, mails, noted, days, saved=saved, unread=unread)
        else:
            _print(found, tables=tables)
            if saved and asked:
                _print_saved(mails, why_command(found, options, asked))
            _print_unread(noted)
            _print_kept(days or [])


def _refuse_parts(options: dict[str, object]) -> None:
    """What is kept is whole days, judged: anything else would look like that afterwards."""
    for name, value in options.items():
        if value:
            raise UsageError(f"--keep: whole days are kept, all that the logs tell of them, judged; leave {name} out")


def _refuse_unjudged(asked: AskedPolicy | None) -> None:
    from safelist.runs.kept_rejections import refuse_unjudged  # and the database

    refuse_unjudged(asked)


def _keep(mails: CollectedMails, asked: AskedPolicy, config_file: Path | None) -> "list[KeptDay]":
    from safelist.cli.configuration import load_config
    from safelist.runs.kept_rejections import keep

    days = keep(mails, asked.store, load_config(config_file).database.url, now())
    for day in days:
        if not day.is_replaced:
            complain(
                f"{day.day}: {day.seen:,} seen are fewer than the {day.kept:,} mails that are kept of that day, which "
                "stay; was the log rotated? Give the one before beside it"
            )
    return days


def _formats(names: list[str]) -> dict[str, LogFormat]:
    if unknown := [name for name in names if name not in FORMATS]:
        raise UsageError(f"--format: {unknown[0]!r} is none of {', '.join(FORMATS)}")
    return {name: each for name, each in FORMATS.items() if not names or name in names}


def _time(text: str | None, option: str, *, end: bool = False) -> datetime | None:
    return None if text is None else parse_time(text, option, end=end)


@contextmanager
def _policy(config_file: Path | None, *, logs_only: bool) -> Iterator[AskedPolicy | None]:
    """The aggregate of the configuration; None where there is no configuration yet, or nobody wants it."""
    if logs_only:
        yield None
        return
    from safelist import config as configuration  # and the database: who asks none waits for none
    from safelist import store
    from safelist.cli.configuration import load_config

    if config_file is None and not configuration.default_path().exists():
        yield None
        return
    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        yield AskedPolicy(opened, config.policy.settings(opened.own_domains()), "", now())


def _spf(is_wanted: bool, nameservers: list[str]) -> Callable[[CollectedMails], None]:
    if not is_wanted:
        return lambda _: None
    from safelist.filter.resolver import Resolver  # DNS and SPF are imported where they are asked
    from safelist.filter.settings import nameserver
    from safelist.rejections.spf_today import ask_spf

    try:
        servers = [nameserver(text) for text in nameservers]
    except ValueError as fault:
        raise UsageError(f"--nameserver: {fault}") from None

    async def ask(mails: CollectedMails) -> None:
        resolver = Resolver(servers or None)
        try:
            await ask_spf(mails, resolver)
        finally:
            resolver.close()

    return lambda mails: asyncio.run(ask(mails))


def _print_json(
    found: RejectionSummary, mails: CollectedMails, unread_: list[UnreadLine], days: "list[KeptDay] | None",
    *, saved: bool, unread: bool,
) -> None:  # fmt: skip
    answer = json_form.rejection_summary(found)
    if days is not None:
        answer["kept"] = [json_form.kept_day(each) for each in days]
    if saved:
        answer["saved"] = list(map(json_form.refused_mail, mails.mails(_SAVED)))
    if unread:
        answer["unread_lines"] = list(map(json_form.unread_line, unread_))
    print_json(answer)


def _print(found: RejectionSummary, *, tables: bool) -> None:
    for line in words.in_words(found):
        print(shown(line))
    for line in words.logs_with_nothing(found.logs):
        complain(line)
    if tables:
        _print_tables(found)


def _print_unread(lines: list[UnreadLine]) -> None:
    for each in lines:
        print(shown(f"{each.place.file}:{each.place.line}: {each.why}: {each.text}"))


def _print_kept(days: "list[KeptDay]") -> None:
    if replaced := [each for each in days if each.is_replaced]:
        mails = sum(each.kept for each in replaced)
        what = "1 day" if len(replaced) == 1 else f"{len(replaced):,} days"
        print(f"Kept: the counts of {what}, {mails:,} that DNS blocklists rejected.")


def _print_tables(found: RejectionSummary) -> None:
    tables = (("DNS blocklist", found.providers), ("sender's domain", found.domains), ("recipient", found.recipients))
    for what, rows in tables:
        if rows:
            print()
            print_table((what, "mails", "attempts", "saved"), map(_cells, rows))


def _cells(row: Refused) -> tuple[str, ...]:
    lifted = "" if row.lifted is None else f"{row.lifted:,}"
    return row.name or "(not told)", f"{row.mails:,}", f"{row.attempts:,}", lifted


def _print_saved(mails: CollectedMails, why: WhyCommand) -> None:
    rows = list(mails.mails(f"{LIFTABLE} AND {_SAVED}"))
    if not rows:
        return
    print()
    print_table(
        ("when (UTC)", "sender", "recipient", "client", "refused by", "because", "SPF today"), map(_saved_cells, rows)
    )
    print(shown(f"Why: {why.of(rows[0])}"))


def _saved_cells(mail: RefusedMail) -> tuple[str, ...]:
    it = mail.rejection
    return (
        f"{it.at:%Y-%m-%d %H:%M}", it.sender or "", it.recipient or "", it.client or "", it.provider or "",
        mail.reason or "", mail.spf_today or "",
    )  # fmt: skip
