"""Where in a Postfix configuration the map lifts a DNSBL, and where it cannot: reads what postconf prints. Pure.

A result that permits ends the list in which it stands and no other one (SMTPD_ACCESS_README), so the map has to stand
before the reject_rbl_client in the same list. A map that cannot be opened is a 451 for all mail that gets that far.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from safelist.postfix.lookup_domain import shown
from safelist.postfix.master_entries import inbound_services, is_too_early, merged, real_address
from safelist.postfix.postscreen import about_postscreen
from safelist.postfix.relaying import RELAY_CONTROL, RELAY_LISTS, before_relay_control, before_the_filter
from safelist.postfix.restrictions import MasterEntry, Restriction, policy_service
from safelist.postfix.server_errors import ANSWERS_451, server_errors
from safelist.remark import Remark


class Map(NamedTuple):
    """The map that safelist publishes: its ``name`` as main.cf has to write it (type:path), and its ``path``.

    ``faults``: of ``name``, and each that main.cf has for it, why it cannot be looked up, or nothing. ``accepting``:
    the maps that give some key an OK or a number. ``unopened``: of other tables that Postfix cannot open, what follows.
    ``filters``: the real addresses of policy services at which a filter of ours answers.
    """

    name: str
    path: str
    faults: Mapping[str, str]
    accepting: Collection[str] = ()
    unopened: Mapping[str, str] = {}
    filters: Collection[str] = ()


def remarks(
    main: Mapping[str, str], services: Sequence[MasterEntry], postscreens: Sequence[MasterEntry], published: Map
) -> Iterator[Remark]:
    """What keeps the map from lifting a DNSBL, or lets it do more than that."""
    yield from about_postscreen(main, postscreens)
    judged = inbound_services(services)
    if not judged:
        yield Remark(True, "master.cf runs no smtpd that takes mail from strangers: nobody would ask the map")
    yield from merged((service, _about_service(service, published)) for service in judged)


def names_of(services: Sequence[MasterEntry], path: str) -> list[str]:
    """Every ``type:path`` by which a restriction of one of ``services`` names the file."""
    found = (it.argument for service in services for it in service.restrictions if _names(it.argument, path))
    return list(dict.fromkeys(found))


def forgeable(services: Sequence[MasterEntry]) -> list[str]:
    """The sender maps that are asked before relaying is refused, each once."""
    return list(dict.fromkeys(it.argument for each in services for it in before_relay_control(each.restrictions)))


def _names(argument: str, path: str) -> bool:
    """Whether a restriction's argument means the file: with a type, ``proxy:`` before it, neither, or as its index."""
    plain = argument if argument.endswith(path) else _INDEX.sub("", argument)
    return path in (plain.partition(":")[2], plain.rpartition(":")[2])


def misnamed(argument: str, name: str) -> str:
    """What is wrong with how main.cf names a map that is to be called ``name``, whatever its type; else nothing."""
    if ":" not in argument:
        return f"the type is missing: write {name}"
    index = _INDEX.search(argument)
    return f"leave `{index[0]}` off: write {name}" if index and not name.endswith(index[0]) else ""


def without_index(argument: str) -> str:
    """``type:path`` without the ending of an index, which Postfix adds itself."""
    return _INDEX.sub("", argument)


_INDEX = re.compile(r"\.(?:db|lmdb|cdb)\Z")


def _about_service(service: MasterEntry, published: Map) -> Iterator[Remark]:
    them = service.restrictions
    yield from server_errors(them, published.unopened)
    named = [(at, it) for at, it in enumerate(them) if _names(it.argument, published.path)]
    has_lists = any(it.rejects_listed for it in them)
    if not named and not has_lists:
        lifted = "Postfix asks no DNSBL by reject_rbl_client, so this map has nothing to lift"
        yield Remark(False, f"{lifted}: [publish.postfix] can go, unless you may go back from safelist's own filter")
    elif not named:
        if fault := published.faults.get(published.name):
            yield Remark(True, f"{published.name}: {fault}")
        yield Remark(
            True,
            f"the map is asked nowhere: write check_sender_access {published.name} directly before the "
            "reject_rbl_client that it is to lift",
        )
    for _, it in named:
        yield from _about_name(it, published)
    asking = [(at, it) for at, it in named if it.name == "check_sender_access"]
    if asking:
        yield from _about_dnsbls(them, asking)
        yield from _about_early_lists(service, [it for _, it in asking])
        yield from _about_filters(service, asking, published.filters)
    yield from _about_relaying(them, published)


def _about_name(it: Restriction, published: Map) -> Iterator[Remark]:
    if it.name != "check_sender_access":
        yield Remark(
            True, f"{it.name} {it.argument} in {it.where}: the map holds senders; write check_sender_access before it"
        )
    fault = published.faults.get(it.argument)
    if wrong := misnamed(it.argument, published.name):
        yield Remark(True, f"main.cf names {it.argument} in {it.where}: {wrong}; {ANSWERS_451} until then")
    elif it.argument.removeprefix("proxy:") != published.name:
        until = f"; {ANSWERS_451} until then, or knows nobody" if fault else ""
        yield Remark(
            True,
            f"main.cf names {it.argument}, `safelist publish` writes {published.name}: write that in main.cf, or set "
            f"[publish.postfix] map_type, and publish first{until}",
        )
    elif fault:
        yield Remark(True, f"{it.argument}: {fault}; {ANSWERS_451}, or knows nobody")


def _about_dnsbls(them: Sequence[Restriction], asking: Sequence[tuple[int, Restriction]]) -> Iterator[Remark]:
    lists = [(at, it) for at, it in enumerate(them) if it.rejects_listed]
    places = ", ".join(dict.fromkeys(it.where for _, it in asking))
    for at, it in lists:
        in_same = [place for place, one in asking if one.place == it.place and _is_met(one, it)]
        if not it.is_certain and not in_same:
            yield Remark(
                False,
                f"{it.name} {shown(it.argument)} in {it.where}, where an access map applies it, is lifted only if that "
                "map stands behind safelist's: put the line of safelist's map directly before it in the class, too",
            )
            continue
        if not in_same and not any(one.is_certain for _, one in asking):
            why = f"the map stands in {places}, where an access map applies it: put its line directly before this one"
        elif not in_same:
            why = f"the map stands in {places}, and what it permits ends that list only: put both into one list"
        elif min(in_same) > at:
            why = "it stands before the map: put the map's line directly before it"
        else:
            continue
        yield Remark(True, f"{it.name} {shown(it.argument)} in {it.where} is not lifted: {why}")
    if not lists:
        yield Remark(False, "no reject_rbl_client is left that the map could lift: its line can be taken out")


def _is_met(asked: Restriction, it: Restriction) -> bool:
    """Whether mail that meets ``it`` meets ``asked``, too; of a class that an access map applies, the order is open."""
    return asked.classes[:1] == it.classes[:1] or (asked.is_certain and it.is_certain)


def _about_early_lists(service: MasterEntry, asking: Sequence[Restriction]) -> Iterator[Remark]:
    for it in asking:
        if is_too_early(service, it):
            yield Remark(
                True,
                f"smtpd_delay_reject is not yes: in {it.where} no recipient is known yet, and the map lifts nothing; "
                "put its line, and the reject_rbl_client behind it, into smtpd_recipient_restrictions, or set "
                "smtpd_delay_reject = yes",
            )


def _about_filters(
    service: MasterEntry, asking: Sequence[tuple[int, Restriction]], filters: Collection[str]
) -> Iterator[Remark]:
    for at, it in asking:
        for later in service.restrictions[at:]:
            is_policy = later.name == "check_policy_service" and later.place == it.place
            if is_policy and real_address(policy_service(later.argument).address, service) in filters:
                yield before_the_filter(it, is_own=True)


def _about_relaying(them: Sequence[Restriction], published: Map) -> Iterator[Remark]:
    """A list that refuses to relay before anything in it accepts a stranger protects all of them."""
    guarded: set[str] = set()
    opened: dict[str, Restriction] = {}
    for it in them:
        accepts = it.name == "permit" or (it.name == "check_sender_access" and it.argument in published.accepting)
        if it.place in RELAY_LISTS and it.place not in guarded and accepts:
            opened.setdefault(it.place, it)
        elif it.name in (*RELAY_CONTROL, "reject") and it.place not in opened:
            guarded.add(it.place)
    for it in opened.values() if not guarded.intersection(RELAY_LISTS) else ():
        what = "permit" if it.name == "permit" else f"an OK or a number in {it.argument}"
        yield Remark(
            True,
            f"{what} stands before reject_unauth_destination in {it.where}, which controls relaying: whoever forges a "
            "sender may relay; put it behind, or let the map say permit_auth_destination",
        )
