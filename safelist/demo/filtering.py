"""The DNSBL filter of ``safelist demo``: the one that ``safelist filter run`` starts, asked as Postfix asks it."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple, Self

from safelist.demo.nameserver import AOL_SERVER, STRANGE_SERVER
from safelist.demo.sample import AOL_SENDER, DOMAIN, LONE_SENDER
from safelist.errors import UnavailableError
from safelist.filter.running import serve
from safelist.filter.settings import Filter
from safelist.postfix.policy_probe import connected, receive

_log = logging.getLogger("safelist.filter")
_SECONDS = 30.0
"""For the filter to come up, and for one answer."""


class PolicyQuestion(NamedTuple):
    """What Postfix asks about at RCPT TO; ``remark`` is for who reads it."""

    client: str
    sender: str
    recipient: str
    remark: str


QUESTIONS = (
    PolicyQuestion(AOL_SERVER, AOL_SENDER, f"support1@{DOMAIN}", "a server of AOL's"),
    PolicyQuestion(STRANGE_SERVER, AOL_SENDER, f"support1@{DOMAIN}", "not AOL's: the sender is forged"),
    PolicyQuestion(AOL_SERVER, LONE_SENDER, f"sales5@{DOMAIN}", "a sender whom sales5 alone trusts"),
    PolicyQuestion(AOL_SERVER, "stranger@aol.com", f"support1@{DOMAIN}", "a sender whom nobody trusts"),
)
"""All from clients that the DNSBL lists."""


class AnsweredQuestion(NamedTuple):
    """What Postfix is told, and the filter's own word for it: a reason code and a sentence."""

    question: PolicyQuestion
    action: str
    reason: str
    why: str


class RunningFilter(logging.Handler):
    """The filter in a thread of this process, from ``with`` to its end; it takes what the filter logs."""

    def __init__(self, chosen: Filter, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._chosen, self._now = chosen, now
        self._loop = asyncio.new_event_loop()
        self._is_up, self._fault = threading.Event(), ""
        self._verdict: Mapping[str, Any] = {}
        self._thread = threading.Thread(target=self._run, name="filter", daemon=True)
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        """Start it, and wait until it listens. Raises UnavailableError where it cannot."""
        self._level = _log.level
        _log.addHandler(self)
        _log.setLevel(logging.INFO)
        self._thread.start()
        if self._is_up.wait(_SECONDS) and not self._fault:
            return self
        self.__exit__()
        raise UnavailableError(f"the demo's filter does not answer: {self._fault or 'it did not come up'}")

    def __exit__(self, *_: object) -> None:
        """Stop it, when it has answered what is under way."""
        if self._task is not None:
            with suppress(RuntimeError):  # its loop has ended by itself
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        _log.removeHandler(self)
        _log.setLevel(self._level)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._serve())
            except Exception as error:
                self._fault = str(error)
            finally:
                self._is_up.set()

    async def _serve(self) -> None:
        self._task = asyncio.current_task()
        with suppress(asyncio.CancelledError):
            await serve(self._chosen, self._now)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line of the filter's log: that it listens, or a verdict, which it logs before it answers."""
        said = record.getMessage()
        if said.startswith("listening "):
            self._is_up.set()
        elif said.startswith("{"):
            self._verdict = json.loads(said)

    def ask(self, question: PolicyQuestion) -> AnsweredQuestion:
        """Ask about one mail over Postfix's policy protocol. Raises UnavailableError."""
        try:
            with connected(self._chosen.listen[0], _SECONDS) as peer:
                peer.sendall(request_of(question))
                action = receive(peer, monotonic() + _SECONDS, b"\n\n").decode().strip().removeprefix("action=")
        except OSError as error:
            raise UnavailableError(f"the demo's filter does not answer: {error}") from error
        return AnsweredQuestion(question, action, self._verdict["reason"], self._verdict["why"])


def request_of(question: PolicyQuestion) -> bytes:
    """A request as smtpd makes it (SMTPD_POLICY_README)."""
    attributes = {
        "request": "smtpd_access_policy", "protocol_state": "RCPT", "protocol_name": "ESMTP",
        "helo_name": "mail.example", "queue_id": "", "sender": question.sender, "recipient": question.recipient,
        "recipient_count": "0", "client_address": question.client, "client_name": "unknown",
        "reverse_client_name": "unknown", "instance": f"demo.{question.client}.{question.sender}",
        "sasl_username": "",
    }  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in attributes.items()).encode() + b"\n"


def free_port() -> int:
    """A TCP port of 127.0.0.1 at which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
