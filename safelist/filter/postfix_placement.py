"""Whether Postfix asks the filter where it helps: in which list, behind what, how long, and what if it is down. Pure.

Postfix evaluates client and sender restrictions at RCPT TO by default (smtpd_delay_reject).
"""

import re
from collections.abc import Collection, Iterator, Sequence

from safelist.filter.postfix_configuration import (
    AT_DATA,
    Mode,
    PolicyCheck,
    PostfixConfiguration,
)
from safelist.postfix.lookup_domain import shown
from safelist.postfix.master_entries import EXAMPLE, is_too_early, real_address, without_brackets
from safelist.postfix.relaying import before_the_filter
from safelist.postfix.restrictions import MasterEntry, Restriction, policy_service, seconds
from safelist.remark import Remark

_ALLOW_LISTS = ("permit_dnswl_client", "permit_rhswl_client")
_TIMEOUT = "smtpd_policy_service_timeout"


def about_the_lists(
    service: MasterEntry, installed: PostfixConfiguration, places: Sequence[PolicyCheck]
) -> Iterator[Remark]:
    them = service.restrictions
    if not places:
        yield _asked_nowhere(service, installed)
    certain = [place for place in places if place.it.is_certain]
    if places and not certain:
        yield Remark(
            True,
            f"the filter is asked only in {places[0].it.where}, where an access map applies it: other mail never meets "
            "it; ask it in smtpd_recipient_restrictions itself, behind reject_unauth_destination, and leave every "
            "reject_rbl_client where it is until then",
        )
    for place in certain:
        before = [it.name for it in them[: place.at] if it.place == place.it.place]
        behind = [it.name for it in them[place.at :] if it.place == place.it.place]
        if place.it.only_warns:
            yield Remark(True, f"warn_if_reject stands before the filter in {place.it.where}: it rejects nobody there")
        if is_too_early(service, place.it):
            yield Remark(
                True,
                f"smtpd_delay_reject is not yes: in {place.it.where} no recipient is known yet, and the filter lets "
                "all mail pass there; ask it in smtpd_recipient_restrictions, or set smtpd_delay_reject = yes",
            )
        elif place.it.place != "smtpd_recipient_restrictions":
            yield Remark(
                place.it.place in AT_DATA,
                f"the filter is asked in {place.it.where}: it decides for each recipient; ask it in "
                "smtpd_recipient_restrictions",
            )
        elif "reject_unauth_destination" not in before and "reject_unauth_destination" in behind:
            yield Remark(
                False,
                "the filter is asked before reject_unauth_destination: put it behind it, for relaying is refused first",
            )


def _asked_nowhere(service: MasterEntry, installed: PostfixConfiguration) -> Remark:
    here = ", ".join(installed.addresses)
    asked = [
        policy_service(it.argument).address
        for it in service.restrictions
        if it.name == "check_policy_service" and it.argument
    ]
    for address in asked:
        if address in installed.addresses:  # then it is a path, and leads elsewhere
            real = real_address(address, service)
            return Remark(
                True,
                f"Postfix asks {address}, but its smtpd is chrooted (master.cf) and looks for {real}: let the filter "
                f"listen on {_inside_queue(service)} and name unix:private/safelist in main.cf, or use {EXAMPLE}",
            )
    if asked:
        return Remark(
            True,
            f"Postfix asks {', '.join(asked)}, the filter listens on {here}: name that address in main.cf, or correct "
            "`listen` in filter.toml and restart the filter",
        )
    address = installed.addresses[0] if installed.addresses else EXAMPLE
    return Remark(
        True,
        "the filter is asked nowhere: write, in smtpd_recipient_restrictions after reject_unauth_destination, "
        f"check_policy_service {{ {address}, timeout=10s, default_action=DUNNO }}",
    )


def _inside_queue(service: MasterEntry) -> str:
    return real_address("unix:private/safelist", service)


def about_answer(service: MasterEntry, place: PolicyCheck, mode: Mode) -> Iterator[Remark]:
    address = place.asked.address
    if place.answer.fault:
        real = real_address(address, service)
        where = address if real == without_brackets(address) else f"{address} ({real})"
        yield Remark(
            True,
            f"Postfix asks the filter at {where}, where nobody answers: {place.answer.fault}; is "
            "safelist-filter.service running, and does it listen there?",
        )
    elif place.answer.mode and place.answer.mode != mode:
        yield Remark(
            True,
            f'filter.toml says mode = "{mode}", but the filter that answers at {address} runs in mode '
            f"{place.answer.mode}: restart it (systemctl restart safelist-filter), and leave every reject_rbl_client "
            "where it is until then",
        )


def about_failure(service: MasterEntry, place: PolicyCheck) -> Iterator[Remark]:
    """What Postfix does when the filter is down; options that are none are another fault (:func:`server_errors`)."""
    if place.asked.malformed or any("=" in it.name for it in service.restrictions[place.at + 1 : place.at + 2]):
        return
    default = service.settings.get("smtpd_policy_service_default_action", "")
    action = place.asked.options.get("default_action", default)
    if _first(action) != "DUNNO":
        yield Remark(
            True,
            f"{place.it.where} asks the filter without default_action=DUNNO: {_while_down(action)} while it is down",
        )


def _first(action: str) -> str:
    return (action.split() or [""])[0].upper()


def _while_down(action: str) -> str:
    """What becomes of mail by an action of access(5) that is not DUNNO."""
    word = _first(action)
    if re.match("REJECT|5[0-9][0-9]", word):
        return f"`{shown(action)}` rejects all mail for good"
    if re.match("DEFER|4[0-9][0-9]", word) or not word:
        return "all mail is deferred"
    if re.fullmatch("OK|PERMIT|PERMIT_AUTH_DESTINATION|[0-9]+", word):
        return f"`{shown(action)}` accepts all mail, whatever stands behind it,"
    return f"`{shown(action)}` decides about all mail"


def about_patience(service: MasterEntry, place: PolicyCheck, timeout: float) -> Iterator[Remark]:
    """Postfix gives up before a filter that waits for its lists, and then for SPF, has answered."""
    own = place.asked.options.get("timeout")
    waits = seconds(own or service.settings.get(_TIMEOUT, ""))
    if waits is not None and waits <= 2 * timeout:
        yield Remark(
            True,
            f"Postfix waits {waits} s for the filter in {place.it.where} ({'timeout' if own else _TIMEOUT}), which may "
            f"take {2 * timeout:g} (twice its own `timeout`): such mail fares as if the filter were down; write a "
            "longer timeout= into the braces, or lower `timeout` in filter.toml and restart the filter",
        )


def about_maps(them: Sequence[Restriction], place: PolicyCheck, own: Collection[str]) -> Iterator[Remark]:
    """Maps that accept a sender before the filter could ask for a proof."""
    for it in them[: place.at]:
        if it.name == "check_sender_access" and it.place == place.it.place:
            yield before_the_filter(it, is_own=it.argument in own)


def about_allow_lists(them: Sequence[Restriction], place: PolicyCheck, secrets: Collection[str]) -> Iterator[Remark]:
    """Allow lists that Postfix asks first: what they permit ends the list in which the filter is asked.

    Postfix makes an exception of relaying alone (postconf(5)), and believes whatever it is answered.
    """
    for it in them[: place.at]:
        if it.name in _ALLOW_LISTS and it.place == place.it.place:
            doubt = "" if "=" in it.argument else ", whatever that answers (a refusal such as 127.0.0.255, too)"
            yield Remark(
                False,
                f"{it.name} {shown(it.argument, secrets)} stands before the filter in {it.where}: whom that list holds"
                f"{doubt} never meets the filter, nor the recipient's Blocked Senders; "
                + (
                    "make it an [[allow_providers]] of the filter, which tests it, and take it out"
                    if it.name == "permit_dnswl_client"
                    else "put it behind the filter"
                ),
            )
