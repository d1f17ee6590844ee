"""``safelist filter check``: whether the filter can work as it and Postfix are configured."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import typer

from safelist.cli.filter.configured import FilterConfigOption, be_quiet, load_filter, resolver_of
from safelist.cli.terminal import JsonOption, complain, now, print_json, shown
from safelist.errors import EX_CONFIG, SafelistError
from safelist.filter import placement
from safelist.filter.holder import CLOCKS_DIFFER
from safelist.filter.lists import Lists
from safelist.filter.placement import Remark
from safelist.filter.settings import Filter
from safelist.override import days
from safelist.publisher import program
from safelist.publisher.targets import postfix
from safelist.snapshot import Snapshot


def check(config_file: FilterConfigOption = None, json: JsonOption = False) -> None:
    """Look at the snapshot, ask the lists for their test points, and read where Postfix asks the filter."""
    be_quiet()
    chosen = load_filter(config_file)
    found = [*_about_the_snapshot(chosen), *asyncio.run(_about_the_lists(chosen))]
    found += [*_about_the_service(chosen), *_about_postfix(chosen)]
    if json:
        print_json([{"fault": remark.is_fault, "text": remark.text} for remark in found])
    for remark in found if not json else ():
        if remark.is_fault:
            complain(remark.text)
        else:
            print(shown(f"note: {remark.text}"))
    if any(remark.is_fault for remark in found):
        raise typer.Exit(EX_CONFIG)
    if not json:
        print("no faults")


def _about_the_snapshot(chosen: Filter) -> Iterator[Remark]:
    try:
        with Snapshot(chosen.snapshot) as snapshot:
            made = snapshot.made
    except SafelistError as error:
        yield Remark(True, f"{error}; `safelist publish` writes it")
        return
    age: timedelta = now() - made
    if -age > CLOCKS_DIFFER:
        yield Remark(
            True, f"{chosen.snapshot}: was published in the future, so it makes nobody safe; correct the clock"
        )
    if age > days(chosen.max_age):
        yield Remark(
            True, f"{chosen.snapshot}: was published {age.days} days ago, so it makes nobody safe; see max_age"
        )


async def _about_the_lists(chosen: Filter) -> list[Remark]:
    resolver = resolver_of(chosen)
    try:
        lists = Lists(resolver, chosen.providers, chosen.allow_providers, chosen.timeout)
        troubles = await lists.check_test_points()
        are_all_silent = len({each.name for each in chosen.providers if each.enabled}) <= len(
            [trouble for trouble in troubles if "cannot be asked" in trouble]
        )
        return [Remark(are_all_silent, trouble) for trouble in troubles]
    finally:
        resolver.close()


def _about_postfix(chosen: Filter) -> Iterator[Remark]:
    postconf = program.find("postconf")
    if postconf is None:
        yield Remark(False, "Postfix is not installed here, so where it asks the filter was not looked at")
        return
    settings = placement.parse(program.run([postconf, *placement.NAMES]).output.decode(errors="backslashreplace"))
    master = program.run([postconf, "-M"]).output.decode(errors="backslashreplace").splitlines()
    postscreens = [line for line in master if line.split()[7:8] == ["postscreen"]]
    own = frozenset(filter(_is_own, placement.words(settings.get("smtpd_recipient_restrictions", ""))))
    installed = placement.Installed(postscreens, chosen.listen, chosen.max_connections, chosen.recipient_delimiter, own)
    yield from placement.remarks(settings, installed)


def _is_own(word: str) -> bool:
    """Whether a word of main.cf names a map that safelist wrote."""
    path = Path(word.partition(":")[2] or "/")
    try:
        with path.open("rb") as file:
            return file.read(len(postfix.HEADER)) == postfix.HEADER
    except OSError:
        return False


def _about_the_service(chosen: Filter) -> Iterator[Remark]:
    """Whether somebody answers where the filter is to listen."""
    for address in chosen.listen:
        kind, _, rest = address.partition(":")
        host, _, port = rest.rpartition(":")
        try:
            with (
                socket.socket(socket.AF_UNIX)
                if kind == "unix"
                else socket.create_connection((host.strip("[]"), int(port)), 2) as peer
            ):
                if kind == "unix":
                    peer.connect(rest)
        except OSError as error:
            yield Remark(False, f"nobody listens on {address} ({error.strerror}): is safelist-filter.service running?")
    if chosen.used is not None and not chosen.used.parent.is_dir():
        yield Remark(True, f"used: there is no directory {chosen.used.parent}")
