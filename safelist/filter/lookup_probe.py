"""Asks for a look-up as others would, to see that the filter answers there, and that it has a snapshot."""

import json
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any

from safelist.filter.lookup_question import PATH
from safelist.policy import Reason
from safelist.postfix.policy_probe import SECONDS, connected

_MAX_ANSWER = 8192


def fault_at(address: str, seconds: float = SECONDS) -> str:
    """What is wrong at ``inet:HOST:PORT`` or ``unix:PATH``, where a wait ends after ``seconds``; empty: nothing is.

    It asks about the null sender, who is nobody's: that is about no mail, and known without any list.
    """
    client = HTTPConnection("localhost", timeout=seconds)
    try:
        with closing(client):
            client.sock = connected(address, seconds)
            client.request("GET", f"{PATH}?sender=", headers={"Accept": "application/json", "Connection": "close"})
            return _fault_of(json.loads(client.getresponse().read(_MAX_ANSWER)))
    except TimeoutError:
        return f"no answer in {seconds:g} seconds"
    except (HTTPException, ValueError, RecursionError):  # the last of what is nested too deep
        return _STRANGER
    except OSError as error:
        return str(error.strerror or error)


_STRANGER = "what answers there is no safelist"


def _fault_of(answer: Any) -> str:
    if not isinstance(answer, dict) or answer.get("safe") is not False:
        return _STRANGER
    return "" if answer.get("reason") == Reason.NOT_A_SENDER else str(answer.get("why"))
