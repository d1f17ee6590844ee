"""What SpamAssassin's address lists can hold, and the directives that say it (Mail::SpamAssassin::Conf). Pure.

Addresses are globs there: ``*`` and ``?`` match anything, ``\\`` and ``(`` become ``_`` (Conf/Parser.pm,
add_to_addrlist), ``#`` begins a comment, several dots are one (PerMsgStatus.pm, all_from_addrs).
"""

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from safelist.override import Authentication
from safelist.publisher.spamassassin_rules import ADDRESS, DOMAIN, list_name
from safelist.publisher.target import LeftOut
from safelist.sender import Form, Pattern, covering, domain_of


def why_not(text: str) -> str:
    """Why SpamAssassin could take an address or a domain for something else; empty where it cannot."""
    if _PLAIN.fullmatch(text) and not any(mark in text for mark in ("{%", "{=", "{#")):
        return ""
    return next((why for unsafe, why in _UNSAFE if unsafe.search(text)), "SpamAssassin takes it for no plain address")


_ATOM = r"[a-z0-9!$%&'+/=^_`{|}~-]+"
_PLAIN = re.compile(rf"(?:{_ATOM}(?:\.{_ATOM})*@|\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_UNSAFE = (
    (re.compile(r"[^\x00-\x7f]"), "it is not ASCII"),
    (re.compile(r"[\x00-\x20\x7f]"), "white space or a control character ends an address"),
    (re.compile(r"[*?]"), "* and ? match any other character in SpamAssassin's lists"),
    (re.compile(r"#"), "a # begins a comment"),
    (re.compile(r'["\\()]'), "SpamAssassin reads quotes, backslashes and brackets as something else"),
    (re.compile(r"\.\.|\A\.[^@]*@|\.@"), "SpamAssassin takes several dots for one"),
)


def _globs(pattern: Pattern) -> tuple[str, ...]:
    """The pattern as SpamAssassin's address lists have it."""
    if pattern.form is Form.ADDRESS:
        return (pattern.text,)
    name = domain_of(pattern)
    return (f"*@{name}", f"*@*.{name}") if pattern.form is Form.SUBDOMAINS else (f"*@{name}",)


def _tagged(address: Pattern) -> tuple[str, ...]:
    """An address as an exception, with every tag that its server may put to it (BATV)."""
    local, _, domain = address.text.rpartition("@")
    return (f"{local}@{domain}", f"*={local}@{domain}", f"prvs={local}=*@{domain}", f"prvs={local}/*@{domain}",
            f"{local}+prvs=*@{domain}")  # fmt: skip


class Said(NamedTuple):
    """A ruling, whoever it is for."""

    pattern: Pattern
    safe: bool
    authentication: Authentication


def kept(said: Iterable[Said], *, exceptions: bool) -> tuple[list[Said], list[LeftOut]]:
    """What SpamAssassin's lists can keep to, and what they cannot.

    Lists of domains know no order: a domain is left out below an exception, and where one below it asks for more; and
    where its list knows no exceptions, also if there is one below it.
    """
    given = {each.pattern.text: each for each in said}
    wide = {text for text, each in given.items() if each.pattern.form is not Form.ADDRESS}
    if not wide:
        return list(given.values()), []
    out: dict[str, LeftOut] = {}
    for each in given.values():
        for text in covering(each.pattern):
            if text not in wide or text == each.pattern.text:
                continue
            if why := _conflict(each, given[text], exceptions=exceptions):
                out[why.pattern.text] = why
    return [each for text, each in given.items() if text not in out], list(out.values())


def _conflict(narrow: Said, wide: Said, *, exceptions: bool) -> LeftOut | None:
    """Whom to leave out of a sender and a domain above it."""
    name, above = narrow.pattern.text, wide.pattern.text
    is_domain = narrow.pattern.form is not Form.ADDRESS
    if wide.safe and not narrow.safe and not exceptions:
        return LeftOut(wide.pattern, f"{name} must be an exception from it, and welcomelist_auth knows none", name)
    if not wide.safe and narrow.safe and is_domain:
        return LeftOut(narrow.pattern, f"{above} above it is an exception, and SpamAssassin's lists know no order")
    asks_more = narrow.authentication.asks_more_than(wide.authentication)
    if wide.safe and narrow.safe and asks_more and (is_domain or not exceptions):
        return LeftOut(wide.pattern, f"{name} below it needs {narrow.authentication}, and would be let in with less")
    return None


def _lines(said: Iterable[Said], scope: str, domains: Mapping[str, Said]) -> Iterator[str]:
    """The directives of the form dnsbl. With its tags, too, an address proves no less than is asked of it."""
    for each in said:
        pattern, safe, authentication = each
        is_address = pattern.form is Form.ADDRESS
        name = list_name(scope, ADDRESS if is_address else DOMAIN, authentication if safe else None)
        globs = _tagged(pattern) if is_address and (not safe or _is_below_weaker(each, domains)) else _globs(pattern)
        yield f"enlist_addrlist ({name}) {' '.join(globs)}"


def _is_below_weaker(said: Said, domains: Mapping[str, Said]) -> bool:
    """Whether a safe domain above the sender asks for less: with a tag, SpamAssassin knows of no more than that."""
    if not domains or said.authentication is Authentication.NONE:
        return False
    above = (domains[text] for text in covering(said.pattern) if text in domains)
    return any(said.authentication.asks_more_than(each.authentication) for each in above)


_WELCOMED = {
    Authentication.DKIM_OR_SPF: "welcomelist_auth",
    Authentication.SPF: "welcomelist_from_spf",
    Authentication.NONE: "welcomelist_from",
}


def _welcomed(said: Iterable[Said], *, old: bool) -> Iterator[str]:
    """The directives of the form welcomelist_auth; exceptions are none of them."""
    for pattern, safe, authentication in said:
        if safe:
            yield f"{_directive(authentication, old=old)} {' '.join(_globs(pattern))}"


def _directive(authentication: Authentication, *, old: bool) -> str:
    return _WELCOMED[authentication].replace("welcomelist", "whitelist" if old else "welcomelist")


class Wording(NamedTuple):
    """How rulings become directives. ``everybody`` has who is safe for everybody, by its text; ``domains`` are of them.

    ``proofs`` is what is asked of them.
    """

    is_dnsbl: bool
    old: bool
    everybody: Mapping[str, Said]
    domains: dict[str, Said]
    proofs: frozenset[Authentication]

    @classmethod
    def of(cls, written: Iterable[Said], *, is_dnsbl: bool, old: bool) -> "Wording":
        """Beside what is written for everybody."""
        safe = {said.pattern.text: said for said in written if said.safe}
        return cls(
            is_dnsbl, old, safe, _domains(safe.values()), frozenset(said.authentication for said in safe.values())
        )

    def directives(self, said: Sequence[Said], scope: str) -> Iterator[str]:
        """Each a line without its end."""
        if not self.is_dnsbl:
            return _welcomed(said, old=self.old)
        own = _domains(said)
        return _lines(said, scope, ChainMap(own, self.domains) if own else self.domains)

    def withdrawn(self, said: Iterable[Said]) -> Iterator[str]:
        """What a recipient takes out of the lists for everybody: a list knows no exceptions, and none asks for more."""
        for each in said if not self.is_dnsbl else ():
            weaker = {proof for proof in self.proofs if not each.safe or each.authentication.asks_more_than(proof)}
            for wide in self._reached(each.pattern) if weaker else ():
                if wide.authentication in weaker:
                    yield f"un{_directive(wide.authentication, old=self.old)} {' '.join(_globs(wide.pattern))}"

    def _reached(self, pattern: Pattern) -> Iterator[Said]:
        """Everybody's senders that are at, above or below a pattern."""
        yield from (self.everybody[text] for text in covering(pattern) if text in self.everybody)
        if pattern.form is not Form.ADDRESS:
            below = (each for each in self.everybody.values() if pattern.text in covering(each.pattern)[1:])
            yield from below


def _domains(said: Iterable[Said]) -> dict[str, Said]:
    return {each.pattern.text: each for each in said if each.safe and each.pattern.form is not Form.ADDRESS}
