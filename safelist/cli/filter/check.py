"""``safelist filter check``: whether the filter can work as it and Postfix are configured."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import typer

from safelist.cli.filter.configured import FilterConfigOption, be_quiet, load_filter, resolver_of
from safelist.cli.terminal import JsonOption, complain, now, print_json, shown
from safelist.errors import EX_CONFIG, SafelistError
from safelist.filter import placement
from safelist.filter.lists import Lists
from safelist.filter.placement import Remark
from safelist.filter.settings import Filter
from safelist.override import days
from safelist.publisher import program
from safelist.snapshot import Snapshot


def check(config_file: FilterConfigOption = None, json: JsonOption = False) -> None:
    """Look at the snapshot, ask the lists for their test points, and read where Postfix asks the filter."""
    be_quiet()
    chosen = load_filter(config_file)
    found = [*_about_the_snapshot(chosen), *asyncio.run(_about_the_lists(chosen)), *_about_postfix(chosen)]
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
        yield Remark(True, str(error))
        return
    age: timedelta = now() - made
    if age > days(chosen.max_age):
        yield Remark(
            True, f"{chosen.snapshot}: was published {age.days} days ago, so it makes nobody safe; see max_age"
        )


async def _about_the_lists(chosen: Filter) -> list[Remark]:
    resolver = resolver_of(chosen)
    try:
        lists = Lists(resolver, chosen.providers, chosen.allow_providers, chosen.timeout)
        return [Remark(False, trouble) for trouble in await lists.check_test_points()]
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
    yield from placement.remarks(settings, postscreens, chosen.listen, chosen.max_connections)
