"""Postfix as it is and the filter as it is configured, side by side: which restrictions ask the filter. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Literal, NamedTuple

from safelist.postfix.master_entries import PolicyAnswer, is_same, is_too_early, real_address
from safelist.postfix.restrictions import ENDS, MasterEntry, PolicyService, Restriction, policy_service

Mode = Literal["enforce", "observe"]


class BlockList(NamedTuple):
    """A block list that the filter asks; only ``public_domain`` is ever shown. ``counts``: whether an answer does."""

    name: str
    lookup_domain: str
    public_domain: str
    counts: Callable[[IPv4Address], bool] | None = None


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


class PolicyCheck(NamedTuple):
    """The ``at``-th restriction of a service asks the filter."""

    at: int
    it: Restriction
    asked: PolicyService
    answer: PolicyAnswer


AT_DATA = ("smtpd_data_restrictions", "smtpd_end_of_data_restrictions")


def policy_checks(service: MasterEntry, installed: PostfixConfiguration) -> list[PolicyCheck]:
    """Every restriction of the service that asks the filter, in the order of evaluation."""
    found = []
    for at, it in enumerate(service.restrictions):
        if it.name == "check_policy_service":
            asked = policy_service(it.argument)
            real = real_address(asked.address, service)
            answer = installed.answers.get(real, PolicyAnswer())
            if answer.mode or any(is_same(real, address) for address in installed.addresses):
                found.append(PolicyCheck(at, it, asked, answer))
    return found


def judges_all_mail(service: MasterEntry, place: PolicyCheck) -> bool:
    """Whether what gets so far is rejected there if the filter says so."""
    it = place.it
    is_ended = any(
        one.place == it.place and one.name in ENDS and not one.classes for one in service.restrictions[: place.at]
    )
    return it.is_certain and not (it.only_warns or is_ended or it.place in AT_DATA or is_too_early(service, it))


def secret_labels(providers: Iterable[BlockList]) -> frozenset[str]:
    """The labels of the lookup domains that are never shown."""
    return frozenset(
        label
        for it in providers
        for label in it.lookup_domain.lower().split(".")
        if label not in it.public_domain.lower().split(".")
    )
