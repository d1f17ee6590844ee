"""Values as programs write them into logs of their own: a time by the local clock, a client's address. Pure."""

from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address

from safelist.rejections.format import LogOrigin, UnreadLineError


def time_of(text: str, origin: LogOrigin) -> datetime:
    """A time such as ``2026-11-27 09:00:00.123 +0100``, in UTC; one without a zone is of the log's.

    Raises UnreadLineError for a time that there is not.
    """
    date, _, clock = text.replace("T", " ", 1).partition(" ")
    try:
        at = datetime.fromisoformat(f"{date}T{clock.replace(' ', '')}")
        return (at if at.tzinfo is not None else at.replace(tzinfo=origin.zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnreadLineError("expected a date and a time that there are") from None


@lru_cache(maxsize=1 << 12)
def client_of(text: str) -> str:
    """An IP address as it is written, without an interface. Raises UnreadLineError for what is none."""
    found = text.partition("%")[0]
    try:
        ip_address(found)
    except ValueError:
        raise UnreadLineError("expected the IP address of a client") from None
    return found
