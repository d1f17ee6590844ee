"""``safelist filter check``: whether the filter can work as it and Postfix are configured."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from safelist.cli.filter.configured import FilterConfigOption, be_quiet, load_filter
from safelist.cli.remarks import report
from safelist.cli.terminal import JsonOption, now
from safelist.filter import answer_check, postfix_check, snapshot_check
from safelist.filter.dnsbl import Lookup
from safelist.filter.postfix_configuration import BlockList, PostfixConfiguration
from safelist.filter.providers import Providers
from safelist.filter.running import resolver_of
from safelist.filter.settings import Filter, is_local
from safelist.override import days
from safelist.postfix import policy_probe
from safelist.postfix.master_entries import PolicyAnswer, inbound_services, is_same, policy_addresses
from safelist.postfix.restrictions import MasterEntry
from safelist.publisher import program
from safelist.publisher.postconf import main_settings, services, unopened
from safelist.publisher.targets import postfix
from safelist.remark import Remark


def check(config_file: FilterConfigOption = None, json: JsonOption = False) -> None:
    """Look at the snapshot, ask the lists for their test points, and read where Postfix asks the filter."""
    be_quiet()
    chosen = load_filter(config_file)
    found = [*_about_the_snapshot(chosen), *asyncio.run(_about_the_lists(chosen))]
    found += [*_about_the_service(chosen), *_about_lookups(chosen)]
    if chosen.listen or not chosen.lookup:
        found += _about_postfix(chosen)
    report(found, json=json)


def _about_the_snapshot(chosen: Filter) -> Iterator[Remark]:
    for fault in snapshot_check.faults(chosen.snapshot, days(chosen.max_age), now()):
        yield Remark(True, fault)


async def _about_the_lists(chosen: Filter) -> list[Remark]:
    resolver = resolver_of(chosen)
    try:
        lists = Providers(resolver, chosen.providers, chosen.allow_providers, chosen.timeout)
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
        yield from _unreachable(chosen.listen)
        return
    smtpds = services(postconf, "smtpd")
    asked = policy_addresses(smtpds)
    main = main_settings(postconf)
    installed = PostfixConfiguration(
        main, smtpds, services(postconf, "postscreen"), chosen.listen, chosen.mode, _providers(chosen),
        {at: _as_smtpd(at, it, main.get("mail_owner", "postfix")) for at, it in policy_probe.ask_all(asked).items()},
        chosen.max_connections, chosen.recipient_delimiter, _own_maps(smtpds),
        unopened(postconf, program.find("postmap") or "postmap", inbound_services(smtpds)),
        chosen.timeout,
    )  # fmt: skip
    yield from postfix_check.remarks(installed)
    if not any(answer.mode for answer in installed.answers.values()):
        told = policy_addresses(inbound_services(smtpds))
        yield from _unreachable([it for it in chosen.listen if not any(is_same(each, it) for each in told)])


def _as_smtpd(address: str, answer: PolicyAnswer, user: str) -> PolicyAnswer:
    """What ``user`` gets there, as whom smtpd runs: root may connect to every socket."""
    kind, _, path = address.partition(":")
    if kind == "unix" and not answer.fault:
        return PolicyAnswer(fault=fault) if (fault := policy_probe.refuses(Path(path), user)) else answer
    return answer


def _unreachable(addresses: Sequence[str]) -> Iterator[Remark]:
    """Where the filter is to listen and nobody answers; of an address whose port it chooses itself nothing is known."""
    for address, answer in policy_probe.ask_all(it for it in addresses if not it.endswith(":0")).items():
        if fault := answer_check.policy_fault(address, answer):
            yield Remark(True, fault)


def _providers(chosen: Filter) -> list[BlockList]:
    return [
        BlockList(it.name, it.lookup_domain, it.public_domain, partial(_counts, it))
        for it in chosen.providers
        if it.enabled
    ]


def _counts(provider: Lookup, code: IPv4Address) -> bool:
    return provider.error_in(code) is None and provider.matches(code)


def _own_maps(smtpds: Sequence[MasterEntry]) -> frozenset[str]:
    names = {it.argument for service in smtpds for it in service.restrictions if it.name == "check_sender_access"}
    return frozenset(filter(_is_own, names))


def _is_own(name: str) -> bool:
    """Whether a ``type:path`` of main.cf names a map that safelist wrote."""
    path = Path(name.partition(":")[2] or "/")
    try:
        with path.open("rb") as file:
            return file.read(len(postfix.HEADER)) == postfix.HEADER
    except OSError:
        return False


def _about_lookups(chosen: Filter) -> Iterator[Remark]:
    """Whether the filter answers where `lookup` says; of a port that it chooses itself nothing is known."""
    for address in chosen.lookup:
        if not is_local(address):
            yield Remark(False, f"lookup: whoever reaches {address} may ask who trusts whom; keep a firewall before it")
        if not address.endswith(":0") and (fault := answer_check.lookup_fault(address)):
            yield Remark(True, fault)


def _about_the_service(chosen: Filter) -> Iterator[Remark]:
    if chosen.used is not None and not chosen.used.parent.is_dir():
        yield Remark(True, f"used: there is no directory {chosen.used.parent}; create it, or correct `used`")
