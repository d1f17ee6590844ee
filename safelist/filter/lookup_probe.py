"""Asks for a look-up as others would, to see that the filter answers there, and that it has a snapshot."""

import json
from time import monotonic

from safelist.filter.lookup_question import PATH
from safelist.policy import Reason
from safelist.postfix.policy_probe import SECONDS, connected, receive

_REQUEST = (
    f"GET {PATH}?sender= HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
).encode()


def fault_at(address: str, seconds: float = SECONDS) -> str:
    """What is wrong at ``inet:HOST:PORT`` or ``unix:PATH``, asked for ``seconds`` in all; empty: nothing is.

    It asks about the null sender, who is nobody's: that is about no mail, and known without any list.
    """
    until = monotonic() + seconds
    try:
        with connected(address, seconds) as peer:
            peer.sendall(_REQUEST)
            return _fault_of(receive(peer, until))
    except TimeoutError:
        return f"no answer in {seconds:g} seconds"
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)


_STRANGER = "what answers there is no safelist"


def _fault_of(said: bytes) -> str:
    """What is wrong with an answer of HTTP."""
    head, _, body = said.partition(b"\r\n\r\n")
    try:
        answer = json.loads(body) if head.startswith(b"HTTP/1.") else None
    except (ValueError, RecursionError):  # the latter of what is nested too deep
        return _STRANGER
    if not isinstance(answer, dict) or answer.get("safe") is not False:
        return _STRANGER
    return "" if answer.get("reason") == Reason.NOT_A_SENDER else str(answer.get("why"))
