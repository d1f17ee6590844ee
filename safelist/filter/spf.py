"""Whether a client may send mail for the domain of its envelope sender: SPF (RFC 7208), as pyspf evaluates it.

pyspf never waits here: an evaluation that lacks DNS answers breaks off, they are looked up, and the evaluation starts
anew with what is known by then. It is deterministic, and what it has parsed once it does not parse again, so this
costs less than a thread to wait in, and slow nameservers of senders hold nothing up. All that one mail makes it do
comes out of one :class:`Work`, so that no record holds the thread.
"""

import asyncio
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from safelist import domains
from safelist.filter import address_space
from safelist.filter.address_space import EVERYBODY, Ranges
from safelist.filter.dns_message import DnsAnswer, Status
from safelist.filter.resolver import Resolver
from safelist.sender import MAX_ADDRESS, Form, domain_of, parse

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its docstrings hold invalid escapes, of which Python warns when it compiles them
    import spf  # type: ignore[import-untyped]

MAX_SECONDS = 20.0
"""RFC 7208 4.6.4: at least 20 seconds should be allowed before giving up with temperror."""
MAX_EXPLANATION = 200

_MAX_SENDER = MAX_ADDRESS
_MAX_HELO = 255
_MAX_QUERIES = 150
"""More than the limits of RFC 7208 4.6.4 allow, so never reached by a record within them."""
_MAX_WORK = 16_384
"""Octets of records, with their macros, of one evaluation."""
MAX_PROOF = 4 * _MAX_WORK
"""The same of all that is evaluated about one mail, for its client and for others; and, apart from it, of all that was
begun and lacked a DNS answer. What lies in a cache must not decide whether a record can be evaluated."""
_READ_AGAIN = 4
"""Parts of the first time's cost that a record's octets cost when they are read again, without parsing."""
_VALUE_COSTS = 8
"""Octets of record that take as long as an address, or a name, in a DNS answer."""
_MACRO_COSTS = 64
"""Octets of record whose evaluation takes as long as a macro's."""
_SLOW = re.compile(rb"[^ ]{513}|[0-9A-Za-z]{129}")
"""Terms, and labels in them, that no name can hold: pyspf takes time with the square of their length."""
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)", re.DOTALL)
_BY_THE_CLIENT = re.compile(r"%\{[hp][^}]*\}\.?([^%/]*?)\.?(?:/[0-9/]*)?\Z", re.IGNORECASE)
"""A macro of a name that the client chooses, and the rest of the domain behind it."""
_OF_THE_CLIENT = re.compile(r"%\{[ip]", re.IGNORECASE)
"""Macros that differ from client to client (RFC 7208 7.2)."""


class SpfResult(StrEnum):
    """RFC 7208 2.6."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class SpfCheck(NamedTuple):
    """``explanation`` is one line of printable ASCII, never the sender's own words (``exp=``).

    ``domain`` is what was checked, in A-labels; empty where there is nothing to check. ``is_null_sender``: it was the
    domain of HELO, for want of another (RFC 7208 2.4).
    """

    result: SpfResult
    explanation: str
    domain: str = ""
    is_null_sender: bool = False
    milliseconds: float = 0.0

    @property
    def authenticated(self) -> bool:
        """Whether the domain of the envelope sender vouches for the client.

        Only a pass of the MAIL FROM identity counts. A null sender is nobody: that its HELO name passes makes no
        bounce safe, for anybody can pass with a name of his own.
        """
        return self.result is SpfResult.PASS and not self.is_null_sender


class Work:
    """What evaluating may cost about one mail, and what it has parsed so far. ``limit`` is in octets of record.

    ``begun`` is what was spent on evaluations that have to begin again; it has the same limit.
    """

    def __init__(self, limit: int = MAX_PROOF) -> None:
        self.limit = limit
        self.spent = 0
        self.begun = 0
        self.evaluations = 0
        self.ranges: dict[tuple[str, int], Ranges] = {}
        self.mechanisms: dict[tuple[str, str], tuple[Any, ...]] = {}
        self.records: dict[str, str] = {}
        self._read: set[bytes] = set()

    @property
    def is_exceeded(self) -> bool:
        """Whether something was left undone: nothing that was found then is a proof."""
        return self.spent > self.limit or self.is_slow

    @property
    def is_slow(self) -> bool:
        """Whether that was for want of DNS answers, which may be there at the next try."""
        return self.begun > self.limit

    def begin_again(self, spent: int) -> None:
        """Count what was spent since ``spent`` as spent on what lacked an answer."""
        self.begun += self.spent - spent
        self.spent = spent

    def spend(self, cost: int) -> None:
        """Count the cost; raise pyspf's PermError where that is more than was left."""
        self.spent += cost
        if self.is_exceeded:
            raise spf.PermError(TOO_MUCH_WORK)

    def read(self, text: bytes) -> None:
        """Take the text of a record, or raise pyspf's PermError."""
        size = len(text) if text not in self._read else len(text) // _READ_AGAIN
        self.spend(size + _MACRO_COSTS * text.count(b"%"))
        if text not in self._read and _SLOW.search(text):
            raise spf.PermError(_TOO_LONG)
        self._read.add(text)


TOO_MUCH_WORK = "to evaluate it takes more work than any one mail is given"
_TOO_LONG = "SPF records longer than names or the limits of RFC 7208 can make them"


class Reach(NamedTuple):
    """Whom a record permits, as far as that can be measured.

    ``share`` of the public addresses of the client's IP version, between 0 and 1. ``is_whole``: no term depends on the
    client in a way that only asking for it shows, and every term could be read.
    """

    share: float
    is_whole: bool


async def check(
    resolver: Resolver,
    client: IPv4Address | IPv6Address,
    sender: str,
    helo: str,
    timeout: float = MAX_SECONDS,
    *,
    is_probe: bool = False,
    work: Work | None = None,
) -> SpfCheck:
    """Evaluate the SPF record of ``sender``'s domain, or for the null sender (empty) that of ``helo``, for ``client``.

    ``sender`` is as in MAIL FROM, without ``<>``; a domain in other letters is asked for in A-labels. Never raises:
    a DNS failure or ``timeout`` seconds passed are TEMPERROR, and whatever pyspf stumbles over is PERMERROR. (Where
    the client's reverse names cannot be looked up, ``ptr`` does not match, as RFC 7208 5.5 has it.) ``is_probe``: the
    client is made up, so its reverse names, which are somebody else's, are not looked up. ``work``: what the mail
    may cost, and has cost; beyond it the result is PERMERROR.
    """
    began = monotonic()
    local, domain = _identity(sender, helo)
    if not domain:
        return SpfCheck(SpfResult.NONE, "there is no domain name in the sender or HELO", "", not sender)
    question = _HostCheck(_plain(client), local, domain, helo[:_MAX_HELO], is_probe)
    try:
        async with asyncio.timeout(timeout):
            result, text = await _evaluate(resolver, question, work or Work())
    except TimeoutError:
        result, text = SpfResult.TEMPERROR, f"no result within {timeout:g} s"
    return SpfCheck(result, _one_line(text), domain, not sender, (monotonic() - began) * 1000)


async def measure(
    resolver: Resolver, client: IPv4Address | IPv6Address, sender: str, helo: str, work: Work | None = None
) -> Reach:
    """Measure how many of the clients of ``client``'s IP version may send as ``sender``: read every term, in order.

    A term that cannot be read (a DNS failure, a record in error) permits nobody, and so do those behind it.
    ``work.is_exceeded`` tells whether that was for want of more work.
    """
    work = work or Work()
    local, domain = _identity(sender, helo)
    question = _HostCheck(_plain(client), local, domain, helo[:_MAX_HELO])
    try:
        found = await _answered(
            resolver, work, lambda answers: _Measurement(question, answers, resolver.peek, work).measure()
        )
    except Exception:
        return Reach(0.0, is_whole=False)
    return found or Reach(0.0, is_whole=False)


def _plain(client: IPv4Address | IPv6Address) -> str:
    """Without the zone of a link-local address."""
    return str(type(client)(int(client)))


def _identity(sender: str, helo: str) -> tuple[str, str]:
    """The local part and the domain to check (RFC 7208 2.4 and 4.3); the domain is empty where it is none."""
    local, _, domain = sender.rpartition("@") if sender else ("", "", helo)
    if max(len(sender), len(domain)) > _MAX_SENDER:
        return "", ""
    pattern = parse(f"postmaster@{domain}")
    return local or "postmaster", domain_of(pattern) if pattern.form is Form.ADDRESS else ""


class _HostCheck(NamedTuple):
    client: str
    local: str
    domain: str
    helo: str
    is_probe: bool = False


async def _evaluate(resolver: Resolver, question: _HostCheck, work: Work) -> tuple[SpfResult, str]:
    def evaluation(answers: "_Answers") -> tuple[SpfResult, str]:
        result, _, text = _Evaluation(question, answers, resolver.peek, work).check()
        return SpfResult(result), text

    try:
        found = await _answered(resolver, work, evaluation)
    except Exception as error:
        return SpfResult.PERMERROR, f"the record cannot be evaluated ({type(error).__name__})"
    return found or (SpfResult.PERMERROR, f"more than {_MAX_QUERIES} DNS queries")


_Answers = Mapping[tuple[str, str], DnsAnswer]
T = TypeVar("T")


async def _answered(resolver: Resolver, work: Work, evaluation: Callable[[_Answers], T]) -> T | None:
    """Evaluate until every answer that is missed is known, and return what it comes to; None where they are too many.

    Answers that are missed together are asked for at once, and others have their turn before each evaluation.
    """
    answers: dict[tuple[str, str], DnsAnswer] = {}
    while len(answers) < _MAX_QUERIES:
        await asyncio.sleep(0)
        work.evaluations += 1
        spent = work.spent
        try:
            return evaluation(answers)
        except _MissingError as missing:
            keys = missing.keys
            work.begin_again(spent)
        answers.update(zip(keys, await asyncio.gather(*(resolver.query(*key) for key in keys)), strict=True))
    return None


def _one_line(text: str) -> str:
    return re.sub("[^ -~]+", "?", text)[:MAX_EXPLANATION].strip() or "the domain has no SPF record"


class _MissingError(Exception):
    """The evaluation cannot go on without these answers: name and kind of each."""

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__(keys)
        self.keys = keys


class _Evaluation(spf.query):  # type: ignore[misc]
    """pyspf's, by the letter of RFC 7208 (``strict=True``), with the answers that are known so far.

    Nothing of pyspf's own applies: no best guess, no local policy, no trusted forwarders.
    """

    def __init__(
        self, question: _HostCheck, answers: _Answers, peek: Callable[[str, str], DnsAnswer | None], work: Work
    ) -> None:
        super().__init__(
            i=question.client, s=f"{question.local}@{question.domain}", h=question.helo, local=None, strict=True
        )
        self.l, self.o, self.d = question.local, question.domain, question.domain  # pyspf splits at the first @
        self._answers = answers
        self._peek = peek
        self._is_probe = question.is_probe
        self._work = work
        self._octets = 0
        self._ptrs: list[str] | None = None

    def dns(self, name: str, qtype: str, cnames: object = None, ignore_void: bool = False) -> list[Any]:
        """As pyspf's: addresses, (preference, name) of MX, names, or the one string of a TXT record in a tuple."""
        asked = _asked(name)
        if asked is None:
            return []
        answer = self._known(asked, qtype)
        if answer is None:
            raise _MissingError([(asked, qtype)])
        if answer.status is Status.FAILED:
            raise spf.TempError(f"DNS: {answer.why}")
        # A host that has only addresses of the other IP version exists; RFC 7208 4.6.4 is about names that do not.
        exists = answer.status is Status.NO_DATA and qtype in ("A", "AAAA")
        if not answer.values and not ignore_void and not exists:
            self._count_void_lookup()
        if qtype != "TXT":
            self._work.spend(_VALUE_COSTS * len(answer.values))
        return [self._value(qtype, text) for text in answer.values]

    def _known(self, asked: str, kind: str) -> DnsAnswer | None:
        return self._answers.get((asked, kind)) or self._peek(asked, kind)

    def _want(self, names: Iterable[str]) -> None:
        """Have the addresses of all these names asked for at once."""
        asked = dict.fromkeys(filter(None, map(_asked, names)))
        if missing := [(name, self.A) for name in asked if self._known(name, self.A) is None]:
            raise _MissingError(missing)

    def _count_void_lookup(self) -> None:
        self.void_lookups += 1
        if self.void_lookups > spf.MAX_VOID_LOOKUPS:
            raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} DNS queries without an answer")

    def _value(self, kind: str, text: str) -> object:
        if kind == "TXT":
            return (self._bearable(text.encode("latin-1")),)
        if kind == "MX":
            preference, _, host = text.partition(" ")
            return int(preference), host
        return text

    def _bearable(self, text: bytes) -> bytes:
        if text[:6].lower() == b"v=spf1":
            self._octets += len(text) + _MACRO_COSTS * text.count(b"%")
            if self._octets > _MAX_WORK:
                raise spf.PermError(_TOO_LONG)
            self._work.read(text)
        return text

    def check0(self, spf: str | None, recursion: int) -> tuple[str, int, str]:
        result: tuple[str, int, str] = super().check0(spf and self._with_modifiers_apart(spf), recursion)
        return result

    def _with_modifiers_apart(self, record: str) -> str:
        found = self._work.records.get(record)
        if found is None:
            found = self._work.records[record] = _with_modifiers_apart(record)
        return found

    def validate_mechanism(self, mech: str) -> tuple[Any, ...]:
        """As pyspf's; without macros it comes to the same for every client of an IP version."""
        key = mech, self.d
        found = self._work.mechanisms.get(key)
        if found is None:
            found = super().validate_mechanism(mech)
            if "%" not in mech:
                self._work.mechanisms[key] = found
        return found

    def cidrmatch(self, ipaddrs: Iterable[str], n: int) -> bool:
        """Whether the client is in a network of that prefix length around one of the addresses."""
        client = int(self.ipaddr)
        return any(first <= client <= last for ip in ipaddrs for first, last in self._network(ip, n))

    def _network(self, address: str, length: int) -> Ranges:
        """Its range where it is of the client's IP version; raises pyspf's PermError where it is no address."""
        key = address, length
        found = self._work.ranges.get(key)
        if found is None:
            found = address_space.network(address, length)
            if not found:
                raise spf.PermError(f"{address}/{length} is no network")
            self._work.ranges[key] = found
        return found

    def dns_mx(self, domainname: str) -> list[str]:
        """RFC 7208 4.6.4: more than ten are an error. A void lookup is a term's, not that of each of its hosts."""
        hosts = self.dns(domainname, "MX")
        if len(hosts) > spf.MAX_MX:
            raise spf.PermError(f"more than {spf.MAX_MX} MX records")
        self._want(host for _, host in hosts)
        return [address for _, host in sorted(hosts) for address in self.dns(host, self.A, ignore_void=True)]

    def validated_ptrs(self) -> list[str]:
        """RFC 7208 5.5: the first ten names of the client that lead back to it; a DNS error there is no match."""
        if self._is_probe:
            return []
        try:
            names = self.dns_ptr(self.i)[: spf.MAX_PTR]  # a void look-up counts as often as it is asked for
        except spf.TempError:
            return []
        if self._ptrs is None:
            self._want(names)
            self._ptrs = [name for name in names if self._leads_back(name)]
        return self._ptrs

    def _leads_back(self, name: str) -> bool:
        try:
            addresses = self.dns(name, self.A, ignore_void=True)
        except spf.TempError:
            return False
        return bool(self.cidrmatch(addresses, self.cidrmax))

    def get_explanation(self, spec: str) -> None:
        """Never asked for: it would be a stranger's text in our log."""
        return


def _with_modifiers_apart(record: str) -> str:
    """The record with unknown modifiers under names of their own, and the known ones' names in lower case.

    pyspf takes any modifier that comes twice for an error, but RFC 7208 6 says so only of redirect and exp.
    """
    version, *terms = record.split(" ")
    for at, term in enumerate(terms):
        if found := _MODIFIER.fullmatch(term):
            name = found[1].lower()
            terms[at] = f"{name if name in ('redirect', 'exp') else f'unknown{at}'}={found[2]}"
    return " ".join((version, *terms))


class _Measurement(_Evaluation):
    """Reads every term of a record instead of stopping at the first that matches the client."""

    _is_whole = True
    _has_ended = False

    def measure(self) -> Reach:
        permitted = self._permitted(self.d)
        return Reach(address_space.share(permitted, self.ipaddr.version), self._is_whole)

    def _permitted(self, domain: str) -> Ranges:
        """Whom the record of a domain permits; what follows an error permits nobody (RFC 7208 4.6)."""
        terms: list[tuple[Ranges, bool]] = []
        outer, self.d = self.d, domain
        try:
            for term in self._terms(self._record_of(domain)):
                terms.append(term)
                if self._has_ended:
                    break
        except (spf.TempError, spf.PermError):
            self._has_ended, self._is_whole = True, False
        finally:
            self.d = outer
        return address_space.first_match(terms)

    def _record_of(self, domain: str) -> str:
        record: str | None = self.dns_spf(domain)
        if record is None:
            raise spf.PermError("no SPF record")
        return self._with_modifiers_apart(record)

    def _terms(self, record: str) -> Iterator[tuple[Ranges, bool]]:
        """Whom each term is about, and whether it permits them."""
        texts = [text for text in record.split(" ")[1:] if text]
        redirect = next((text[9:] for text in texts if text.startswith("redirect=")), None)
        terms = [self.validate_mechanism(text) for text in texts if not _MODIFIER.fullmatch(text)]
        for text, name, target, length, result in terms:
            yield self._matched(text, name, target, length), result == "pass"
            if name == "all":
                return
        if redirect is not None:
            yield self._matched(redirect, "include", self.expand_domain(redirect), 0), True

    def _matched(self, text: str, name: str, target: str, length: int) -> Ranges:
        """The clients that a mechanism matches; none where that depends on the client."""
        everybody = EVERYBODY[self.ipaddr.version]
        if name == "all":
            return everybody
        if name in ("ip4", "ip6"):
            is_of_this = name == f"ip{self.ipaddr.version}"
            return address_space.network(target, length) if is_of_this else ()
        self.check_lookups()
        if _is_named_by_the_client(text):
            return everybody
        if _OF_THE_CLIENT.search(text):
            self._is_whole = False
            return ()
        if name == "include":
            return self._permitted(target)
        if name == "exists":
            return everybody if self.dns_a(target, "A") else ()
        if name == "ptr":  # only whose names lead there and back; under a public suffix that is anybody
            return everybody if domains.is_public_suffix(target) else ()
        hosts = self.dns_a(target, self.A) if name == "a" else self.dns_mx(target)
        return tuple(each for host in hosts for each in self._network(host, length))


def _is_named_by_the_client(text: str) -> bool:
    """Whether the domain of a term ends in what whoever connects calls himself: his HELO, or his own reverse name."""
    found = _BY_THE_CLIENT.search(text)
    return found is not None and (not found[1] or domains.is_public_suffix(found[1].lower()))


def _asked(name: str) -> str | None:
    """The name to ask; None where it is none and so matches nothing (RFC 7208 4.8, RFC 8616 4 for non-ASCII).

    One that is too long for the DNS loses labels on its left (RFC 7208 7.3).
    """
    name = name.lower().removesuffix(".")
    while len(name) > 253:
        name = name.partition(".")[2]
    return name if name.isascii() and all(0 < len(label) < 64 for label in name.split(".")) else None
