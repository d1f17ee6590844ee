"""What smtpd cannot evaluate, and what it never gets to: reads what postconf prints. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from safelist.postfix.lookup_domain import shown
from safelist.postfix.master_entries import EXAMPLE
from safelist.postfix.relaying import RELAY_CONTROL, RELAY_LISTS
from safelist.postfix.restrictions import CLIENT_LISTS, ENDS, Restriction, has_unreadable_codes, policy_service
from safelist.remark import Remark

ANSWERS_451 = "Postfix answers 451 to all mail that gets there"
ENDS_AT_ONCE = "smtpd ends at once and greets nobody"
WRITE_NUMBERS = "write numbers of 0 to 255, or ranges in brackets, as in =127.0.0.[2..11;20]"
_ASKING = (*CLIENT_LISTS, "check_policy_service", "check_sender_access")
_REFUSES_RELAYING = (*RELAY_CONTROL, "reject", "defer", "defer_if_permit", "check_relay_domains")
_ASKS_A_LIST = re.compile(r"(?:reject|permit)_(?:rbl|rhsbl|dnswl|rhswl)")
_RESTRICTION = re.compile(r"check_|permit|reject|defer|sleep\Z")
"""How every restriction begins (postconf(5)); a table of whole names would call those of a later Postfix unknown."""


def server_errors(them: Sequence[Restriction], unopened: Mapping[str, str]) -> Iterator[Remark]:
    """What smtpd cannot evaluate: it answers 451 to whoever gets there, so of each list only the first word counts."""
    strange = {it.place: it for it in reversed(them) if "=" in it.name or not _RESTRICTION.match(it.name)}
    for it in strange.values():
        advice = (
            "options of a policy service need braces, as in check_policy_service { "
            f"{EXAMPLE}, timeout=10s, default_action=DUNNO }}"
            if "=" in it.name
            else "correct it, name it in smtpd_restriction_classes, or take it out"
        )
        yield Remark(True, f"`{shown(it.name)}` in {it.where} is no restriction: {ANSWERS_451}; {advice}")
    yield from _about_missing_arguments(them)
    yield from _about_options(them)
    yield from _about_unreadable_codes(them)
    yield from _about_relay_control(them)
    yield from _about_permits(them)
    for it in them:
        if it.name.endswith("_access") and (why := unopened.get(it.argument)):
            yield Remark(True, f"main.cf names {it.argument} in {it.where}, which Postfix cannot open: {why}")


def _about_missing_arguments(them: Sequence[Restriction]) -> Iterator[Remark]:
    """The last word of a list that needs another one behind it."""
    for it in them:
        if it.lacks_argument:
            is_evaluated = it.name.startswith("check_") or it.name == "sleep"
            so = ANSWERS_451 if is_evaluated else "smtpd passes over it and asks nobody"
            yield Remark(
                True,
                f"{it.name} is the last word in {it.where}: {so}; write behind it what it is to ask, or take it out",
            )


def _about_options(them: Sequence[Restriction]) -> Iterator[Remark]:
    """Options of a policy service that smtpd cannot read, which it does before it greets anybody."""
    for it in them:
        if it.name == "check_policy_service" and (wrong := policy_service(it.argument).malformed):
            yield Remark(
                True,
                f"check_policy_service {shown(it.argument)} in {it.where}: `{shown(' '.join(wrong))}` is no option: "
                f"{ENDS_AT_ONCE}; write NAME=VALUE without blanks, or {{NAME = VALUE}} in braces of its own, as in "
                f"check_policy_service {{ {EXAMPLE}, timeout=10s, default_action=DUNNO }}",
            )


def _about_unreadable_codes(them: Sequence[Restriction]) -> Iterator[Remark]:
    """Answers of a list that smtpd cannot read: it ends there whoever asks, listed or not (ip_match.c)."""
    for it in them:
        if _ASKS_A_LIST.match(it.name) and has_unreadable_codes(it.argument):
            yield Remark(
                True,
                f"{it.name} in {it.where}: smtpd cannot read `={shown(it.argument.partition('=')[2])}`, and ends "
                f"whenever it gets there; {WRITE_NUMBERS}",
            )


def _about_relay_control(them: Sequence[Restriction]) -> Iterator[Remark]:
    """smtpd does not begin to work where no list refuses relaying."""
    if not any(it.place in RELAY_LISTS and it.name in _REFUSES_RELAYING for it in them):
        yield Remark(
            True,
            f"neither {RELAY_LISTS[0]} nor {RELAY_LISTS[1]} refuses relaying: {ENDS_AT_ONCE}; write "
            "reject_unauth_destination there",
        )


def _about_permits(them: Sequence[Restriction]) -> Iterator[Remark]:
    """What asks anybody behind a word that ends its list."""
    ends: dict[str, Restriction] = {}
    for it in them:
        end = ends.get(it.place)
        if end is not None and it.is_certain and it.name in _ASKING:
            yield Remark(
                True,
                f"{it.name} stands behind {end.name} in {it.where}, which ends that list: it is never asked; put "
                f"{end.name} last, or take it out",
            )
        if it.name in ENDS and not it.classes:
            ends.setdefault(it.place, it)
