"""The filter's answers: gathers the facts that a verdict needs, logs and counts it, and says it in Postfix's words."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from safelist import policy, sender
from safelist.entry import Holding
from safelist.filter.authentication import Authenticator
from safelist.filter.decision import Action, Choices, Facts, Need, Verdict, judge
from safelist.filter.providers import Providers
from safelist.filter.settings import Filter
from safelist.override import Override
from safelist.policy import Decision, Tally
from safelist.postfix.policy_probe import PROBE, PROBED
from safelist.sender import Pattern
from safelist.used import Key, UseBuffer

_log = logging.getLogger("safelist.filter")
NOTHING = "DUNNO"
MAX_SHOWN = 320
_MAX_CACHED = 1 << 14
_MAX_PREPENDED = 10_000


class Attributes(Protocol):
    """A request of the policy protocol."""

    def get(self, name: str) -> str:
        """The value of an attribute; empty where it has none."""
        ...


class Safety(Protocol):
    """Who answers whether a sender is safe."""

    def decide(self, sender: Pattern, recipient: str | None, now: datetime) -> Decision:
        """What the policy says."""
        ...


class Mail(NamedTuple):
    """What Postfix says of one recipient of one mail."""

    client: IPv4Address | IPv6Address | None
    helo: str
    sender: str
    recipient: str
    has_logged_in: bool
    instance: str = ""
    """What the requests about the same mail have in common."""


class Service:
    """Answers requests of Postfix. ``counts`` are of verdicts by action and reason."""

    def __init__(
        self,
        chosen: Filter,
        lists: Providers,
        safety: Safety,
        authenticator: Authenticator,
        uses: UseBuffer,
        now: Callable[[], datetime],
    ) -> None:
        self._chosen = chosen
        self._choices = Choices(chosen.reject_blocked_senders, chosen.defer_unproven)
        self._trusted, self._allowed = chosen.networks("trusted_networks"), chosen.networks("allow_list")
        self._bypassed = frozenset(chosen.bypassed_recipients)
        self._lists, self._safety, self._authenticator, self._uses, self._now = lists, safety, authenticator, uses, now
        self._prepended: set[tuple[str, str]] = set()
        self._standing = lru_cache(maxsize=_MAX_CACHED)(self._standing_of)
        self.counts: Counter[tuple[str, str]] = Counter()

    def answer(self, request: Attributes) -> str | Awaitable[str]:
        """The action for a request: at once where everything is known, else when it is."""
        if request.get("protocol_state") not in ("RCPT", ""):
            return NOTHING
        if request.get("policy_context") == PROBE and not request.get("instance"):
            return f"{NOTHING} {PROBED}{self._chosen.mode}"
        began = perf_counter()
        mail = mail_of(request)
        facts = self.begin(mail)
        while isinstance(found := judge(facts, self._choices), Need):
            known = self._at_once(found, facts, mail)
            if known is None:
                return self._answer_later(facts, mail, began)
            facts = known
        return self._say(facts, found, mail, began)

    async def _answer_later(self, facts: Facts, mail: Mail, began: float) -> str:
        facts, verdict = await self.examine(facts, mail)
        return self._say(facts, verdict, mail, began)

    async def examine(self, facts: Facts, mail: Mail) -> tuple[Facts, Verdict]:
        """Ask until there is a verdict."""
        while isinstance(found := judge(facts, self._choices), Need):
            facts = self._at_once(found, facts, mail) or await self._ask(found, facts, mail)
        return facts, found

    def begin(self, mail: Mail) -> Facts:
        """What is known of a mail without asking anybody."""
        is_trusted, is_allowed = self._standing(mail.client)
        return Facts(
            mail.client, mail.sender, mail.recipient,
            is_trusted=mail.has_logged_in or is_trusted,
            is_bypassed=bool(self._bypassed) and not self._bypassed.isdisjoint(self._names(mail)),
            is_allowed=is_allowed,
        )  # fmt: skip

    def _standing_of(self, client: IPv4Address | IPv6Address | None) -> tuple[bool, bool]:
        """Whether a client is in a trusted network, and whether it is on the IP allow list."""
        if client is None:
            return False, False
        return any(client in net for net in self._trusted), any(client in net for net in self._allowed)

    def _at_once(self, need: Need, facts: Facts, mail: Mail) -> Facts | None:
        if need is Need.SAFETY:
            decision = self._safety.decide(sender.envelope(mail.sender), self._recipient(mail), self._now())
            return facts._replace(safety=decision)
        if need is Need.LISTINGS and facts.client is not None and (found := self._lists.peek(facts.client)) is not None:
            return facts._replace(listings=found)
        return None

    async def _ask(self, need: Need, facts: Facts, mail: Mail) -> Facts:
        if facts.client is None:
            raise AssertionError("without a client nothing is asked")
        if need is Need.LISTINGS:
            return facts._replace(listings=await self._lists.ask(facts.client))
        found = await self._authenticator.authenticate(facts.client, mail.sender, mail.helo)
        return facts._replace(authentication=found)

    def _names(self, mail: Mail) -> set[str | None]:
        """The recipient's address with and without its extension."""
        return {sender.envelope(mail.recipient).text, self._recipient(mail)}

    def _recipient(self, mail: Mail) -> str | None:
        return sender.mailbox_of(mail.recipient, self._chosen.recipient_delimiter)

    def _say(self, facts: Facts, verdict: Verdict, mail: Mail, began: float) -> str:
        self.counts[verdict.action, verdict.reason] += 1
        if verdict.action is Action.LIFT and facts.safety is not None and self._chosen.mode == "enforce":
            self._uses.note(_key(facts.safety), self._now())
        if _log.isEnabledFor(logging.INFO):
            milliseconds = (perf_counter() - began) * 1000
            _log.info("%s", json.dumps(self.as_json(facts, verdict) | {"ms": round(milliseconds, 3)}))
        return NOTHING if self._chosen.mode == "observe" else self._once(self.action(facts, verdict), mail.instance)

    def _once(self, action: str, instance: str) -> str:
        """The header that one recipient of a mail has brought, the next need not bring again."""
        if not (instance and action.startswith("PREPEND ")):
            return action
        key = instance, action
        if key in self._prepended:
            return NOTHING
        if len(self._prepended) >= _MAX_PREPENDED:
            self._prepended.clear()
        self._prepended.add(key)
        return action

    def as_json(self, facts: Facts, verdict: Verdict) -> dict[str, Any]:
        """A verdict as one line of the log."""
        found = facts.listings
        return {
            "at": self._now().isoformat(timespec="milliseconds"),
            "action": verdict.action,
            "reason": verdict.reason,
            "mode": self._chosen.mode,
            "client": str(facts.client) if facts.client else None,
            "sender": facts.sender[:MAX_SHOWN],
            "recipient": facts.recipient[:MAX_SHOWN],
            "providers": [provider.name for provider, _ in found.block] if found else [],
            "failed": list(found.failed) if found else [],
            "safe": facts.safety.reason if facts.safety else None,
            "why": verdict.sentence,
        }  # fmt: skip

    def action(self, facts: Facts, verdict: Verdict) -> str:
        """The verdict in the words of access(5)."""
        if verdict.action in (Action.REJECT, Action.DEFER):
            return verdict.reply
        if verdict.action is Action.LIFT and self._chosen.header and facts.safety and facts.listings:
            names = ", ".join(provider.name for provider, _ in facts.listings.block)
            result = facts.authentication.result if facts.authentication else "not asked for"
            told = f"lifted the listing by {names} ({facts.safety.reason}, authentication {result})"
            return f"PREPEND {self._chosen.header}: {told}"[:500]
        return NOTHING


def mail_of(request: Attributes) -> Mail:
    """What a request says; an address that is none is None."""
    return Mail(
        client_of(request.get("client_address")), request.get("helo_name"), request.get("sender"),
        request.get("recipient"), bool(request.get("sasl_username")), request.get("instance"),
    )  # fmt: skip


@lru_cache(maxsize=_MAX_CACHED)
def client_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address of a client; None where the text is none. IPv4 over an IPv6 socket is IPv4."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv4Address):
        return found
    return found.ipv4_mapped or IPv6Address(int(found))  # without its zone, which may be any text


def _key(decision: Decision) -> Key:
    """What of the policy let a mail through."""
    fact: policy.Fact = decision.fact
    if isinstance(fact, Holding):
        return Key(decision.reason, fact.pattern.text, fact.mailbox)
    if isinstance(fact, Tally):
        return Key(decision.reason, fact.pattern.text, "")
    if isinstance(fact, Override):
        return Key(decision.reason, fact.terms.pattern.text, fact.terms.scope.text if fact.terms.scope else "")
    return Key(decision.reason, "", "")


async def write_used(
    uses: UseBuffer, write: Callable[[list[tuple[str | int, ...]]], None], every: float = 60.0
) -> None:
    """Write what the buffer collected, now and every so often, for ever. Where that fails the buffer has it again."""
    while True:
        rows = uses.take()
        try:
            await asyncio.to_thread(write, rows)
        except Exception:
            uses.put_back(rows)
            raise
        await asyncio.sleep(every)
