"""What Postfix asks block lists beside the filter, which cannot lift what rejects there. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import IPv4Address

from safelist.filter.postfix_configuration import BlockList, PolicyCheck, PostfixConfiguration, secret_labels
from safelist.postfix.lookup_domain import shown
from safelist.postfix.restrictions import CLIENT_LISTS, MasterEntry, Restriction, counted, zone_of
from safelist.remark import Remark


def lists_to_remove(service: MasterEntry, installed: PostfixConfiguration, at: int) -> Iterator[Remark]:
    """Where the filter enforces, whatever rejects beside it cannot be lifted."""
    secrets, asked = secret_labels(installed.providers), {it.lookup_domain for it in installed.providers}
    for it in service.restrictions:
        if it.rejects_listed:
            is_asked = zone_of(it.argument) in asked
            who = "" if it.is_certain else ", where an access map applies it,"
            yield Remark(
                True,
                f"{it.name} {shown(it.argument, secrets)} in {it.where}{who} rejects whatever the filter says: "
                + ("take it out" if is_asked else "make it a [[providers]] of the filter and then take it out"),
            )
    are_left = any(it.name in CLIENT_LISTS for it in service.restrictions)
    for it in service.restrictions[at:]:
        if it.name == "check_sender_access" and it.argument in installed.own_maps:
            why = "lifts only reject_rbl_client" if are_left else "has nothing left to lift"
            advice = "take it out together with the last of those" if are_left else "take it out"
            yield Remark(
                False,
                f"check_sender_access {it.argument} in {it.where} {why}, and skips what stands behind it: {advice}",
            )


def kept_lists(
    service: MasterEntry, installed: PostfixConfiguration, judging: Sequence[PolicyCheck]
) -> Iterator[Remark]:
    """Where the filter observes, every list that it would ask has to reject behind it as before."""
    secrets, them = secret_labels(installed.providers), service.restrictions
    first = min((place.at for place in judging), default=0)
    for it in them[:first]:
        if it.name in CLIENT_LISTS and not it.only_warns:
            yield Remark(
                True,
                f"{it.name} {shown(it.argument, secrets)} in {it.where} stands before the filter, which never sees "
                "whom it rejects: move it behind check_policy_service in smtpd_recipient_restrictions",
            )
    for provider in installed.providers:
        asking = [it for it in them if it.name in CLIENT_LISTS and zone_of(it.argument) == provider.lookup_domain]
        if any(it.is_certain and not it.only_warns for it in asking):
            continue
        told = ""
        if asking:
            told = (
                " (where it stands now, warn_if_reject keeps it from rejecting)"
                if asking[0].only_warns
                else (f" (only {asking[0].where} does, where an access map applies it)")
            )
        yield Remark(
            True,
            f"the filter observes and rejects nobody, and no reject_rbl_client asks {provider.name}{told}: until the "
            f"filter enforces, write reject_rbl_client {provider.public_domain} behind check_policy_service",
        )


def differing_codes(them: Sequence[Restriction], provider: BlockList) -> Iterator[Remark]:
    """A list of which Postfix counts certain answers, and the filter others; a line without any counts them all."""
    lines = [it for it in them if it.name in CLIENT_LISTS and zone_of(it.argument) == provider.lookup_domain]
    read = [counted(it.argument) for it in lines if not it.only_warns]
    patterns = [places for places in read if places is not None]
    if provider.counts is None or not patterns or len(patterns) < len(read):
        return
    postfix = _answers(patterns)
    filters = {a for a in _ANSWERS if provider.counts(IPv4Address(bytes(a)))}
    only = [
        f"only {who} counts {_some(codes)}"
        for who, codes in (("the filter", filters - postfix), ("Postfix", postfix - filters))
        if codes
    ]
    if only:
        yield Remark(
            False,
            f"reject_rbl_client {provider.public_domain} in {lines[0].where} and the provider {provider.name} count "
            f"different answers: {', '.join(only)}; change the provider's ip_address_match (or bitmask_match) where "
            "the filter is to reject the same clients",
        )


def _answers(patterns: Iterable[Sequence[frozenset[int]]]) -> set[tuple[int, int, int, int]]:
    """Those of ``_ANSWERS`` that are of one of the patterns."""
    lasts: dict[int, set[int]] = {}
    for first, second, thirds, last in patterns:
        for third in thirds if 127 in first and 0 in second else ():
            lasts.setdefault(third, set()).update(last)
    return {(127, 0, third, last) for third in lasts for last in lasts[third]}


_ANSWERS = [(127, 0, third, last) for third in range(256) for last in range(256)]
"""What lists answer in practice (RFC 5782 2.1): only these are compared."""


def _some(codes: Collection[tuple[int, ...]]) -> str:
    texts = [".".join(map(str, code)) for code in sorted(codes)[:3]]
    return ", ".join(texts) + (f" and {len(codes) - 3} more" if len(codes) > 3 else "")


def domain_lists(service: MasterEntry, secrets: Collection[str]) -> Iterator[Remark]:
    for it in service.restrictions:
        if it.name.startswith("reject_rhsbl") and not it.only_warns:
            yield Remark(
                False,
                f"{it.name} {shown(it.argument, secrets)} in {it.where} lists domains, not clients: it cannot become a "
                "provider of the filter, and rejects safe senders, too; keep it only if that is meant",
            )
