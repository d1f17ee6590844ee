"""Where in a Postfix configuration the filter helps, and where nothing can: reads what postconf prints. Pure.

Postfix evaluates client and sender restrictions at RCPT TO by default (smtpd_delay_reject), but postscreen decides
before MAIL FROM (POSTSCREEN_README), and an OK in a list that also controls relaying opens a relay
(SMTPD_ACCESS_README, "Dangerous use of smtpd_recipient_restrictions").
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

LISTS = (
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
)
NAMES = (
    *LISTS, "default_process_limit", "postscreen_dnsbl_sites", "postscreen_dnsbl_action", "recipient_delimiter",
    "smtpd_delay_reject", "smtpd_policy_service_default_action",
)  # fmt: skip
_REJECTS = ("reject_rbl_client", "reject_rhsbl_client", "reject_rhsbl_sender", "reject_rhsbl_reverse_client")


class Remark(NamedTuple):
    """Something that an administrator should know. ``is_fault``: the filter cannot work, or a relay is open."""

    is_fault: bool
    text: str


def parse(output: str) -> dict[str, str]:
    """``name = value`` lines, as ``postconf NAME...`` prints them."""
    pairs = (line.partition("=") for line in output.splitlines())
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


def words(value: str) -> list[str]:
    """The restrictions of a list; ``{ ... }`` holds one with its settings, of which the first word counts."""
    grouped = re.sub(r"\{\s*([^\s,{}]+)[^{}]*\}", r"\1", value)
    return [word for word in re.split(r"[\s,]+", grouped) if word]


class Installed(NamedTuple):
    """What matters beside main.cf: the services that master.cf runs as postscreen, where the filter listens and how
    many connections it takes, its recipient_delimiter, and the maps (type:path) that safelist wrote.
    """

    postscreens: Sequence[str]
    addresses: Sequence[str]
    max_connections: int = 200
    recipient_delimiter: str = ""
    own_maps: Collection[str] = ()


def remarks(settings: Mapping[str, str], installed: Installed) -> Iterator[Remark]:
    """What is wrong with the places of DNSBLs and of the filter."""
    addresses = [_normal(address) for address in installed.addresses]
    lists = {name: words(settings.get(name, "")) for name in LISTS}
    yield from _about_postscreen(settings, installed.postscreens)
    yield from _about_the_filter(lists, addresses)
    yield from _about_failure(settings, addresses)
    yield from _about_maps(lists, addresses, installed.own_maps)
    yield from _about_dnsbls(lists)
    yield from _about_limits(settings, installed)


def _about_limits(settings: Mapping[str, str], installed: Installed) -> Iterator[Remark]:
    limit = settings.get("default_process_limit", "")
    if limit.isdecimal() and int(limit) > installed.max_connections:
        yield Remark(
            False,
            f"Postfix may run {limit} smtpd processes with a connection each, the filter takes "
            f"{installed.max_connections}: raise max_connections, or some mail passes unasked",
        )
    delimiter = settings.get("recipient_delimiter", "")
    mine = installed.recipient_delimiter
    if bool(delimiter) != bool(mine) or mine not in delimiter:
        yield Remark(
            True,
            f"Postfix's recipient_delimiter is {delimiter!r}, the filter's {installed.recipient_delimiter!r}: what a "
            "recipient allows or blocks does not count for an address with an extension; make them the same",
        )
    if settings.get("smtpd_delay_reject", "yes") != "yes":
        yield Remark(True, "smtpd_delay_reject is not yes: at the client's connection no sender is known yet")


def _about_postscreen(settings: Mapping[str, str], services: Sequence[str]) -> Iterator[Remark]:
    sites = words(settings.get("postscreen_dnsbl_sites", ""))
    if not sites:
        return
    action = settings.get("postscreen_dnsbl_action", "ignore")
    if not services:
        yield Remark(False, "postscreen_dnsbl_sites is set, but master.cf runs no postscreen: nothing asks them")
    elif action != "ignore":
        names = ", ".join(site.partition("=")[0].partition("*")[0] for site in sites)
        yield Remark(
            True,
            f"postscreen asks {_shown(names)} and decides before MAIL FROM: no sender list can lift that; "
            "take them out of postscreen_dnsbl_sites (or set postscreen_dnsbl_action = ignore) and let the filter ask "
            "them",
        )


def _about_the_filter(lists: Mapping[str, list[str]], addresses: Sequence[str]) -> Iterator[Remark]:
    found = [(name, place) for name, them in lists.items() for place in _places(them, addresses)]
    asked = [them[place + 1] for them in lists.values() for place in _policy_services(them)]
    if not found and asked:
        yield Remark(True, f"Postfix asks {', '.join(asked)}, the filter listens on {', '.join(addresses)}")
    elif not found:
        yield Remark(
            True,
            "the filter is asked nowhere: write, in smtpd_recipient_restrictions after reject_unauth_destination, "
            f"check_policy_service {{ {addresses[0] if addresses else 'inet:127.0.0.1:10045'}, timeout=10s, "
            "default_action=DUNNO }",
        )
    for name, place in found:
        them = lists[name]
        if name != "smtpd_recipient_restrictions":
            yield Remark(
                name == "smtpd_data_restrictions",
                f"the filter is asked in {name}: it decides for each recipient; ask it in smtpd_recipient_restrictions",
            )
        elif "reject_unauth_destination" not in them[:place] and "reject_unauth_destination" in them:
            yield Remark(
                False,
                "the filter is asked before reject_unauth_destination: put it behind it, for relaying is refused first",
            )


def _about_failure(settings: Mapping[str, str], addresses: Sequence[str]) -> Iterator[Remark]:
    """What Postfix does when the filter is down."""
    if settings.get("smtpd_policy_service_default_action", "").upper() == "DUNNO":
        return
    for name in LISTS:
        for _, address, options in _POLICY_SERVICE.findall(settings.get(name, "")):
            if _normal(address) in addresses and "default_action=DUNNO" not in re.sub(r"\s", "", options):
                yield Remark(
                    True,
                    f"{name} asks the filter without default_action=DUNNO: all mail is deferred while it is down",
                )


_POLICY_SERVICE = re.compile(r"check_policy_service\s+(\{)?\s*([^\s,{}]+)([^{}]*?(?=\})|)")


def _about_maps(lists: Mapping[str, list[str]], addresses: Sequence[str], own: Collection[str]) -> Iterator[Remark]:
    """Maps that accept a sender before the filter could ask for a proof."""
    them = lists["smtpd_recipient_restrictions"]
    for end in _places(them, addresses):
        for place, word in enumerate(them[:end]):
            if word == "check_sender_access" and place + 1 < end:
                is_own = them[place + 1] in own
                whose = "safelist's own map" if is_own else "a map"
                yield Remark(
                    is_own,
                    f"check_sender_access {them[place + 1]} stands before the filter: whom {whose} accepts there is "
                    f"never asked for a proof, and may be forged{'; take it out' if is_own else ''}",
                )


def _about_dnsbls(lists: Mapping[str, list[str]]) -> Iterator[Remark]:
    for name, them in lists.items():
        for place, word in enumerate(them):
            if word in _REJECTS:
                zone = them[place + 1] if place + 1 < len(them) else ""
                yield Remark(
                    True,
                    f"{word} {_shown(zone)} in {name} rejects whatever the filter says: take it out and make it a "
                    "[[providers]] of the filter",
                )
            unsafe = name in ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
            if unsafe and word == "check_sender_access" and "reject_unauth_destination" not in them[:place]:
                yield Remark(
                    False,
                    f"check_sender_access stands before reject_unauth_destination in {name}: an OK or a number in that "
                    "map lets whoever forges a sender relay",
                )


def _places(them: Sequence[str], addresses: Sequence[str]) -> Iterator[int]:
    return (place for place in _policy_services(them) if _normal(them[place + 1]) in addresses)


def _policy_services(them: Sequence[str]) -> Iterator[int]:
    return (place for place, word in enumerate(them[:-1]) if word == "check_policy_service")


def _normal(address: str) -> str:
    return address.replace("inet:localhost:", "inet:127.0.0.1:")


def _shown(text: str) -> str:
    """Bounded, and without what looks like the key of a subscription."""
    hidden = ".".join(
        "***" if re.fullmatch(r"(?=[a-z]*[0-9])[a-z0-9]{20,63}", label) else label for label in text.split(".")
    )
    return hidden[:200]
