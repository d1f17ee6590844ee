"""A Postfix's smtpd services: which take mail of strangers, and where each gets to with a policy request. Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from safelist.postfix.restrictions import EARLY_LISTS, MasterEntry, Restriction, policy_service
from safelist.remark import Remark

EXAMPLE = "inet:127.0.0.1:10045"


class PolicyAnswer(NamedTuple):
    """What a policy request got at an address: ``fault`` says why nothing, ``mode`` is that of a filter of ours."""

    fault: str = ""
    mode: str = ""


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


def is_too_early(service: MasterEntry, it: Restriction) -> bool:
    """Whether it is asked before a recipient is known."""
    return it.place in EARLY_LISTS and service.settings.get("smtpd_delay_reject", "yes") != "yes"


def policy_addresses(services: Iterable[MasterEntry]) -> list[str]:
    """The real address of every policy service that is asked, each once."""
    found = (
        real_address(policy_service(it.argument).address, service)
        for service in services
        for it in service.restrictions
        if it.name == "check_policy_service" and it.argument
    )
    return list(dict.fromkeys(found))


def real_address(address: str, service: MasterEntry) -> str:
    """Where ``service`` gets to: ``inet:HOST:PORT`` without brackets, or ``unix:`` and an absolute path.

    A UNIX socket is named from the queue directory, and a chrooted smtpd finds nothing outside it. Of an inet address
    the host may be missing, which is localhost (host_port(3)).
    """
    kind, _, rest = address.partition(":")
    if kind != "unix":
        return without_brackets(address)
    queue = service.settings.get("queue_directory", "/var/spool/postfix").rstrip("/")
    is_inside = not rest.startswith("/") or service.is_chrooted
    return f"unix:{queue}/{rest.lstrip('/')}" if is_inside else address


def without_brackets(address: str) -> str:
    kind, _, rest = address.partition(":")
    if kind != "inet":
        return address
    host, _, port = rest.rpartition(":")
    host = host.strip("[]").lower()
    return f"inet:{'127.0.0.1' if host in ('', 'localhost') else host}:{port}"


def is_same(asked: str, listening: str) -> bool:
    """Whether who connects to ``asked`` gets to who listens at ``listening``, which may be every address."""
    kind, _, rest = without_brackets(listening).partition(":")
    host, _, port = rest.rpartition(":")
    is_everywhere = kind == "inet" and host in ("0.0.0.0", "::", "*")  # noqa: S104
    return asked == f"{kind}:{rest}" or (is_everywhere and asked.startswith("inet:") and asked.endswith(f":{port}"))
