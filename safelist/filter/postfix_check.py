"""What is wrong with where a Postfix asks block lists and the filter: the remarks of ``filter check``. Pure."""

from collections.abc import Iterator, Sequence

from safelist.filter import postfix_block_lists as block_lists
from safelist.filter import postfix_placement as placement
from safelist.filter.postfix_configuration import PostfixConfiguration, judges_all_mail, policy_checks, secret_labels
from safelist.postfix.master_entries import inbound_services, merged
from safelist.postfix.postscreen import about_postscreen
from safelist.postfix.relaying import before_relay_control
from safelist.postfix.restrictions import MasterEntry, Restriction
from safelist.postfix.server_errors import server_errors
from safelist.remark import Remark


def remarks(installed: PostfixConfiguration) -> Iterator[Remark]:
    """What is wrong with the places of DNSBLs and of the filter."""
    yield from about_postscreen(installed.main, installed.postscreens, secret_labels(installed.providers))
    judged = inbound_services(installed.services)
    if not judged:
        yield Remark(True, "master.cf runs no smtpd that takes mail from strangers: nobody would ask the filter")
    yield from merged((service, _about_service(service, installed)) for service in judged)
    yield from _about_limits(installed)


def _about_service(service: MasterEntry, installed: PostfixConfiguration) -> Iterator[Remark]:
    places = policy_checks(service, installed)
    judging = [place for place in places if judges_all_mail(service, place)]
    yield from server_errors(service.restrictions, installed.unopened)
    yield from placement.about_the_lists(service, installed, places)
    for place in places:
        yield from placement.about_answer(service, place, installed.mode)
        yield from placement.about_failure(service, place)
        yield from placement.about_patience(service, place, installed.timeout)
        yield from placement.about_maps(service.restrictions, place, installed.own_maps)
        yield from placement.about_allow_lists(service.restrictions, place, secret_labels(installed.providers))
    running = {place.answer.mode for place in places} | {installed.mode}
    if "observe" in running:
        yield from block_lists.kept_lists(service, installed, judging)
    elif judging and not any(place.answer.fault for place in places):  # else nothing would be left that rejects
        yield from block_lists.lists_to_remove(service, installed, min(place.at for place in judging))
    for provider in installed.providers:
        yield from block_lists.differing_codes(service.restrictions, provider)
    yield from block_lists.domain_lists(service, secret_labels(installed.providers))
    yield from _about_relaying(service.restrictions)


def _about_relaying(them: Sequence[Restriction]) -> Iterator[Remark]:
    for it in before_relay_control(them):
        yield Remark(
            False,
            f"{it.name} stands before reject_unauth_destination in {it.where}: an OK or a number in that map lets "
            "whoever forges a sender relay",
        )


def _about_limits(installed: PostfixConfiguration) -> Iterator[Remark]:
    limit = installed.main.get("default_process_limit", "")
    if limit.isdecimal() and int(limit) > installed.max_connections:
        yield Remark(
            False,
            f"Postfix may run {limit} smtpd processes with a connection each, the filter takes "
            f"{installed.max_connections}: raise max_connections, or some mail passes unasked",
        )
    delimiter, mine = installed.main.get("recipient_delimiter", ""), installed.recipient_delimiter
    if bool(delimiter) != bool(mine) or mine not in delimiter:
        yield Remark(
            True,
            f"Postfix's recipient_delimiter is {delimiter!r}, the filter's {mine!r}: what a recipient allows or blocks "
            "does not count for an address with an extension; make them the same",
        )
