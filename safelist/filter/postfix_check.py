"""Where in a Postfix configuration the filter helps, and where nothing can: reads what postconf prints. Pure.

Postfix evaluates client and sender restrictions at RCPT TO by default (smtpd_delay_reject), but postscreen decides
before MAIL FROM (POSTSCREEN_README), and an OK in a list that also controls relaying opens a relay
(SMTPD_ACCESS_README, "Dangerous use of smtpd_recipient_restrictions").
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Literal, NamedTuple

from safelist.filter.postfix_restrictions import (
    EARLY_LISTS,
    MasterEntry,
    PolicyService,
    Restriction,
    counted,
    has_unreadable_codes,
    policy_service,
    seconds,
    words,
    zone_of,
)

CLIENT_LISTS = ("reject_rbl_client", "reject_rbl", "reject_maps_rbl")
"""Restrictions that reject by a DNSBL of clients; the latter two are old names."""
_READABLE = "write numbers of 0 to 255, or ranges in brackets, as in =127.0.0.[2..11;20]"
_ALLOW_LISTS = ("permit_dnswl_client", "permit_rhswl_client")
RELAY_CONTROL = ("reject_unauth_destination", "defer_unauth_destination")
RELAY_LISTS = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
EXAMPLE = "inet:127.0.0.1:10045"
_REFUSES_RELAYING = (*RELAY_CONTROL, "reject", "defer", "defer_if_permit", "check_relay_domains")
_ENDS = ("permit", "permit_auth_destination")
"""For mail to this site's domains, which is all that gets so far."""
_ASKING = (*CLIENT_LISTS, "check_policy_service", "check_sender_access")
_TIMEOUT = "smtpd_policy_service_timeout"
_AT_DATA = ("smtpd_data_restrictions", "smtpd_end_of_data_restrictions")
ANSWERS_451 = "Postfix answers 451 to all mail that gets there"
ENDS_AT_ONCE = "smtpd ends at once and greets nobody"
_ASKS_A_LIST = re.compile(r"(?:reject|permit)_(?:rbl|rhsbl|dnswl|rhswl)")
_RESTRICTION = re.compile(r"check_|permit|reject|defer|sleep\Z")
"""How every restriction begins (postconf(5)); a table of whole names would call those of a later Postfix unknown."""

Mode = Literal["enforce", "observe"]


class Remark(NamedTuple):
    """Something that an administrator should know. ``is_fault``: it cannot work as it is, or a relay is open."""

    is_fault: bool
    text: str


class BlockList(NamedTuple):
    """A block list that the filter asks; only ``public_domain`` is ever shown. ``counts``: whether an answer does."""

    name: str
    lookup_domain: str
    public_domain: str
    counts: Callable[[IPv4Address], bool] | None = None


class PolicyAnswer(NamedTuple):
    """What a policy request got at an address: ``fault`` says why nothing, ``mode`` is that of a filter of ours."""

    fault: str = ""
    mode: str = ""


class PostfixConfiguration(NamedTuple):
    """Postfix as it is (``main``: main.cf; its smtpd and postscreen services), and the filter as it is configured.

    ``answers`` is by :func:`real_address`; ``own_maps`` are the maps (type:path) that safelist wrote; ``unopened``
    says of each table that Postfix cannot open what follows, and what to do; ``timeout`` is the filter's, in seconds.
    """

    main: Mapping[str, str]
    services: Sequence[MasterEntry]
    postscreens: Sequence[MasterEntry]
    addresses: Sequence[str]
    mode: Mode = "enforce"
    providers: Sequence[BlockList] = ()
    answers: Mapping[str, PolicyAnswer] = {}
    max_connections: int = 200
    recipient_delimiter: str = ""
    own_maps: Collection[str] = ()
    unopened: Mapping[str, str] = {}
    timeout: float = 0.0


def remarks(installed: PostfixConfiguration) -> Iterator[Remark]:
    """What is wrong with the places of DNSBLs and of the filter."""
    yield from about_postscreen(installed.main, installed.postscreens, _secrets(installed.providers))
    judged = inbound_services(installed.services)
    if not judged:
        yield Remark(True, "master.cf runs no smtpd that takes mail from strangers: nobody would ask the filter")
    yield from merged((service, _about_service(service, installed)) for service in judged)
    yield from _about_limits(installed)


def inbound_services(services: Iterable[MasterEntry]) -> list[MasterEntry]:
    """The smtpd services at which mail of strangers arrives: on port 25, or where there is none, on any other."""
    open_to = [it for it in services if not it.turns_strangers_away]
    world = [it for it in open_to if it.is_for_the_world]
    return world or [it for it in open_to if not it.is_for_submission]


def merged(told: Iterable[tuple[MasterEntry, Iterable[Remark]]]) -> Iterator[Remark]:
    """Each remark once, with the services that it is about where it is not about all."""
    by_remark: dict[Remark, list[str]] = {}
    names = []
    for service, found in told:
        names.append(service.name)
        for remark in dict.fromkeys(found):
            by_remark.setdefault(remark, []).append(service.name)
    for (is_fault, text), about in by_remark.items():
        yield Remark(is_fault, text if about == names else f"master.cf, {', '.join(about)}: {text}")


def policy_addresses(services: Iterable[MasterEntry]) -> list[str]:
    """The real address of every policy service that is asked, each once."""
    found = (
        real_address(policy_service(it.argument).address, service)
        for service in services
        for it in service.restrictions
        if it.name == "check_policy_service"
    )
    return list(dict.fromkeys(found))


def real_address(address: str, service: MasterEntry) -> str:
    """Where ``service`` gets to: ``inet:HOST:PORT`` without brackets, or ``unix:`` and an absolute path.

    A UNIX socket is named from the queue directory, and a chrooted smtpd finds nothing outside it. Of an inet address
    the host may be missing, which is localhost (host_port(3)).
    """
    kind, _, rest = address.partition(":")
    if kind != "unix":
        return _normal(address)
    queue = service.settings.get("queue_directory", "/var/spool/postfix").rstrip("/")
    is_inside = not rest.startswith("/") or service.is_chrooted
    return f"unix:{queue}/{rest.lstrip('/')}" if is_inside else address


def _normal(address: str) -> str:
    kind, _, rest = address.partition(":")
    if kind != "inet":
        return address
    host, _, port = rest.rpartition(":")
    host = host.strip("[]").lower()
    return f"inet:{'127.0.0.1' if host in ('', 'localhost') else host}:{port}"


def is_same(asked: str, listening: str) -> bool:
    """Whether who connects to ``asked`` gets to who listens at ``listening``, which may be every address."""
    kind, _, rest = _normal(listening).partition(":")
    host, _, port = rest.rpartition(":")
    is_everywhere = kind == "inet" and host in ("0.0.0.0", "::", "*")  # noqa: S104
    return asked == f"{kind}:{rest}" or (is_everywhere and asked.startswith("inet:") and asked.endswith(f":{port}"))


class _PolicyCheck(NamedTuple):
    """The ``at``-th restriction of a service asks the filter."""

    at: int
    it: Restriction
    asked: PolicyService
    answer: PolicyAnswer


def _places(service: MasterEntry, installed: PostfixConfiguration) -> list[_PolicyCheck]:
    found = []
    for at, it in enumerate(service.restrictions):
        if it.name == "check_policy_service":
            asked = policy_service(it.argument)
            real = real_address(asked.address, service)
            answer = installed.answers.get(real, PolicyAnswer())
            if answer.mode or any(is_same(real, address) for address in installed.addresses):
                found.append(_PolicyCheck(at, it, asked, answer))
    return found


def _about_service(service: MasterEntry, installed: PostfixConfiguration) -> Iterator[Remark]:
    places = _places(service, installed)
    judging = [place for place in places if _judges_all_mail(service, place)]
    yield from server_errors(service.restrictions, installed.unopened)
    yield from _about_the_filter(service, installed, places)
    for place in places:
        yield from _about_answer(service, place, installed.mode)
        yield from _about_failure(service, place)
        yield from _about_patience(service, place, installed.timeout)
        yield from _about_maps(service.restrictions, place, installed.own_maps)
        yield from _about_allow_lists(service.restrictions, place, _secrets(installed.providers))
    running = {place.answer.mode for place in places} | {installed.mode}
    if "observe" in running:
        yield from _about_kept_lists(service, installed, judging)
    elif judging and not any(place.answer.fault for place in places):  # else nothing would be left that rejects
        yield from _about_lists_to_remove(service, installed, min(place.at for place in judging))
    for provider in installed.providers:
        yield from _about_codes(service.restrictions, provider)
    yield from _about_domain_lists(service, _secrets(installed.providers))
    yield from _about_relaying(service.restrictions)


def _judges_all_mail(service: MasterEntry, place: _PolicyCheck) -> bool:
    """Whether what gets so far is rejected there if the filter says so."""
    it = place.it
    is_ended = any(
        one.place == it.place and one.name in _ENDS and not one.classes for one in service.restrictions[: place.at]
    )
    return it.is_certain and not (it.only_warns or is_ended or it.place in _AT_DATA or is_too_early(service, it))


def is_too_early(service: MasterEntry, it: Restriction) -> bool:
    """Whether it is asked before a recipient is known."""
    return it.place in EARLY_LISTS and service.settings.get("smtpd_delay_reject", "yes") != "yes"


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
    yield from _about_options(them)
    yield from _about_unreadable_codes(them)
    yield from _about_relay_control(them)
    yield from _about_permits(them)
    for it in them:
        if it.name.endswith("_access") and (why := unopened.get(it.argument)):
            yield Remark(True, f"main.cf names {it.argument} in {it.where}, which Postfix cannot open: {why}")


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
                f"whenever it gets there; {_READABLE}",
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
        if it.name in _ENDS and not it.classes:
            ends.setdefault(it.place, it)


def _about_the_filter(
    service: MasterEntry, installed: PostfixConfiguration, places: Sequence[_PolicyCheck]
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
                place.it.place in _AT_DATA,
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
    asked = [policy_service(it.argument).address for it in service.restrictions if it.name == "check_policy_service"]
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


def _about_answer(service: MasterEntry, place: _PolicyCheck, mode: Mode) -> Iterator[Remark]:
    address = place.asked.address
    if place.answer.fault:
        real = real_address(address, service)
        where = address if real == _normal(address) else f"{address} ({real})"
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


def _about_failure(service: MasterEntry, place: _PolicyCheck) -> Iterator[Remark]:
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


def _about_patience(service: MasterEntry, place: _PolicyCheck, timeout: float) -> Iterator[Remark]:
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


def _about_maps(them: Sequence[Restriction], place: _PolicyCheck, own: Collection[str]) -> Iterator[Remark]:
    """Maps that accept a sender before the filter could ask for a proof."""
    for it in them[: place.at]:
        if it.name == "check_sender_access" and it.place == place.it.place:
            yield before_the_filter(it, is_own=it.argument in own)


def _about_allow_lists(them: Sequence[Restriction], place: _PolicyCheck, secrets: Collection[str]) -> Iterator[Remark]:
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


def before_the_filter(it: Restriction, *, is_own: bool) -> Remark:
    """What a sender map does that stands before the filter in the same list."""
    whose = "safelist's own map" if is_own else "a map"
    return Remark(
        is_own,
        f"check_sender_access {it.argument} stands before the filter: whom {whose} accepts there is never asked for a "
        "proof, and may be forged"
        + ("; move it behind the filter, and take it out together with reject_rbl_client" if is_own else ""),
    )


def _about_lists_to_remove(service: MasterEntry, installed: PostfixConfiguration, at: int) -> Iterator[Remark]:
    """Where the filter enforces, whatever rejects beside it cannot be lifted."""
    secrets, asked = _secrets(installed.providers), {it.lookup_domain for it in installed.providers}
    for it in service.restrictions:
        if it.name in CLIENT_LISTS and not it.only_warns:
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


def _about_kept_lists(
    service: MasterEntry, installed: PostfixConfiguration, judging: Sequence[_PolicyCheck]
) -> Iterator[Remark]:
    """Where the filter observes, every list that it would ask has to reject behind it as before."""
    secrets, them = _secrets(installed.providers), service.restrictions
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


def _about_codes(them: Sequence[Restriction], provider: BlockList) -> Iterator[Remark]:
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


def _about_domain_lists(service: MasterEntry, secrets: Collection[str]) -> Iterator[Remark]:
    for it in service.restrictions:
        if it.name.startswith("reject_rhsbl") and not it.only_warns:
            yield Remark(
                False,
                f"{it.name} {shown(it.argument, secrets)} in {it.where} lists domains, not clients: it cannot become a "
                "provider of the filter, and rejects safe senders, too; keep it only if that is meant",
            )


def _about_relaying(them: Sequence[Restriction]) -> Iterator[Remark]:
    for it in before_relay_control(them):
        yield Remark(
            False,
            f"{it.name} stands before reject_unauth_destination in {it.where}: an OK or a number in that map lets "
            "whoever forges a sender relay",
        )


def before_relay_control(them: Sequence[Restriction]) -> list[Restriction]:
    """The sender maps of the lists that control relaying that are asked before relaying is refused."""
    found, guarded = [], set()
    for it in them:
        if it.name in RELAY_CONTROL:
            guarded.add(it.place)
        elif it.name == "check_sender_access" and it.place in RELAY_LISTS and it.place not in guarded:
            found.append(it)
    return found


def about_postscreen(
    main: Mapping[str, str], postscreens: Sequence[MasterEntry], secrets: Collection[str] = ()
) -> Iterator[Remark]:
    """Whether postscreen asks DNSBLs: no sender is known there."""
    if not postscreens and words(main.get("postscreen_dnsbl_sites", "")):
        yield Remark(False, "postscreen_dnsbl_sites is set, but master.cf runs no postscreen: nothing asks them")
    for service in postscreens:
        sites = words(service.settings.get("postscreen_dnsbl_sites", ""))
        for _, _, codes in (site.partition("*")[0].partition("=") for site in sites if _is_unreadable(site)):
            yield Remark(
                True,
                f"postscreen cannot read `={shown(codes)}` in postscreen_dnsbl_sites, so it ends at once and greets "
                f"nobody; {_READABLE}",
            )
        if sites and service.settings.get("postscreen_dnsbl_action", "ignore") != "ignore":
            names = ", ".join(shown(site.partition("=")[0].partition("*")[0], secrets) for site in sites)
            yield Remark(
                True,
                f"postscreen asks {names[:400]} and decides before MAIL FROM: no sender list can lift that; ask them "
                "with reject_rbl_client in smtpd_recipient_restrictions (while no filter enforces) or by the filter, "
                "then take them out of postscreen_dnsbl_sites (or set postscreen_dnsbl_action = ignore)",
            )


def _is_unreadable(site: str) -> bool:
    """Whether the answers of ``DOMAIN=ANSWERS*WEIGHT`` are none."""
    return has_unreadable_codes(site.partition("*")[0])


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


def _secrets(providers: Iterable[BlockList]) -> frozenset[str]:
    """The labels of the lookup domains that are never shown."""
    return frozenset(
        label
        for it in providers
        for label in it.lookup_domain.lower().split(".")
        if label not in it.public_domain.lower().split(".")
    )


def shown(text: str, secrets: Collection[str] = ()) -> str:
    """Bounded, and without what is, or looks like, the key of a subscription."""
    zone, sign, codes = text.partition("=")
    labels = ["***" if label.lower() in secrets or _KEY.fullmatch(label) else label for label in zone.split(".")]
    if zone.lower().rstrip(".").endswith(".dq.spamhaus.net"):  # whatever stands in front there is a key
        labels[0] = "***"
    return (".".join(labels) + sign + codes)[:200]


_KEY = re.compile(r"(?=[a-z]*[0-9])[a-z0-9]{20,63}", re.IGNORECASE)
