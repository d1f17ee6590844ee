"""The four states that the page about monitoring shows, each brought about for real."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from tests.filter.dns_server import unused_address
from tests.status.site import BOSS, Watched

FILTER = "inet:127.0.0.1:10045"
"""As the page has it; here nobody listens at a port that is free."""


def well(site: Watched) -> None:
    site.run(timedelta(minutes=12))


def warning(site: Watched) -> None:
    site.run(timedelta(minutes=72))
    site.organisation.mailboxes[BOSS].impersonation = False
    site.run(timedelta(minutes=12))
    with site.safelist.map.open("a") as file:
        file.write("stranger@example.net permit_auth_destination\n")


def critical(site: Watched) -> None:
    site.run(timedelta(hours=3))
    site.configure(status={"filters": [f"inet:127.0.0.1:{unused_address()[1]}"]})


def unknown(site: Watched) -> None:
    site.run(timedelta(minutes=12))
    site.of_a_schema("0099")


STATES: Mapping[str, tuple[int, Callable[[Watched], None]]] = {
    "OK": (0, well), "WARNING": (1, warning), "CRITICAL": (2, critical), "UNKNOWN": (3, unknown),
}  # fmt: skip
"""By the heading on the page: the exit code, and what brings it about."""


def as_on_the_page(text: str, site: Watched) -> str:
    """What was printed, with the places that the page has."""
    for here, there in (
        (str(site.safelist.map), "/var/lib/safelist-map/postfix"),
        (str(site.safelist.database), "/var/lib/safelist/safelist.db"),
        (next(iter(site.config.status.filters), FILTER), FILTER),
    ):
        text = text.replace(here, there)
    return text
