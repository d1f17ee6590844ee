"""What SpamAssassin must know to lift its DNSBL rules' scores for safe senders: rules of stock eval functions. Pure.

``check_from_in_list`` compares every address that a mail names as its sender: header From, envelope, Resent-From,
Resent-Sender, X-Envelope-From and Envelope-Sender (PerMsgStatus.pm, all_from_addrs); whichever of them is on the list
counts. A meta with SPF_PASS alone would therefore believe a forged header behind a spammer's own envelope, and one
with DKIM_VALID_AU alone a forged envelope before the spammer's own signed header. So both have to be proven, each by
itself: the envelope by SPF or by a signature of its domain, the header by a signature of its domain, or by being the
very address that the envelope has proven; and nothing else may name a sender.

Named captures could compare the domains instead, but 4.0.1 compiles a header rule's template once for all mails.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from safelist.override import Authentication

EVERYBODY, RECIPIENT = "EVERYBODY", "RECIPIENT"
ADDRESS, DOMAIN = "ADDRESS", "DOMAIN"
EXCEPTION = "EXCEPT"
SYMBOL = "SAFELIST"
"""The rule that fires for a mail whose DNSBL scores are lifted."""
UNPROVEN = f"{SYMBOL}_UNPROVEN"
"""The one for a mail that names a sender of the lists, and proves too little."""
PROBE = f"{SYMBOL}_PROBE"
"""A rule for nobody's mail, by which a running spamd shows which lists and rules it has read."""

_MOST = 40
"""Characters of a rule's name: at a longer one `spamassassin --lint` finds fault (Conf/Parser.pm)."""

_KINDS = {Authentication.DKIM_OR_SPF: "DKIM_OR_SPF", Authentication.SPF: "SPF", Authentication.NONE: "NONE"}
_PLAIN = r"/\A(?!.*\.\.)[\x21-\x3f\x41-\x7e]+\@[\x21-\x3f\x41-\x7e]+\n?\z/"

_IDENTITIES = rf"""header __{SYMBOL}_AUTHOR From:addr =~ {_PLAIN}
header __{SYMBOL}_SENDER EnvelopeFrom:addr =~ {_PLAIN}
header __{SYMBOL}_NO_SENDER EnvelopeFrom:addr !~ /\S/
header __{SYMBOL}_SAME eval:check_for_matching_env_and_hdr_from()
header __{SYMBOL}_RESENT_FROM exists:Resent-From
header __{SYMBOL}_RESENT_SENDER exists:Resent-Sender
header __{SYMBOL}_X_ENVELOPE_FROM exists:X-Envelope-From
header __{SYMBOL}_ENVELOPE_SENDER exists:Envelope-Sender
header __{SYMBOL}_FOREIGN_RELAY X-Spam-Relays-Trusted =~ / intl=0 /
header __{SYMBOL}_PASSES eval:check_for_spf_pass()
tflags __{SYMBOL}_PASSES net
full __{SYMBOL}_AUTHOR_SIGNS eval:check_dkim_valid_author_sig()
tflags __{SYMBOL}_AUTHOR_SIGNS net
full __{SYMBOL}_SENDER_SIGNS eval:check_dkim_valid_envelopefrom()
tflags __{SYMBOL}_SENDER_SIGNS net
meta __{SYMBOL}_RESENT (__{SYMBOL}_RESENT_FROM || __{SYMBOL}_RESENT_SENDER)
meta __{SYMBOL}_OTHERS (__{SYMBOL}_RESENT || __{SYMBOL}_X_ENVELOPE_FROM || __{SYMBOL}_ENVELOPE_SENDER)
meta __{SYMBOL}_PLAIN (__{SYMBOL}_AUTHOR && (__{SYMBOL}_SENDER || __{SYMBOL}_NO_SENDER) && !__{SYMBOL}_OTHERS)
meta __{SYMBOL}_SPF (__{SYMBOL}_PASSES && __{SYMBOL}_SENDER && !__{SYMBOL}_FOREIGN_RELAY)
meta __{SYMBOL}_BY_SPF (__{SYMBOL}_PLAIN && __{SYMBOL}_SPF && __{SYMBOL}_SAME)
meta __{SYMBOL}_ENVELOPE (__{SYMBOL}_SPF || __{SYMBOL}_SENDER_SIGNS || __{SYMBOL}_NO_SENDER)
meta __{SYMBOL}_BY_DKIM (__{SYMBOL}_PLAIN && __{SYMBOL}_AUTHOR_SIGNS && (__{SYMBOL}_SAME || __{SYMBOL}_ENVELOPE))
meta __{SYMBOL}_PROVEN (__{SYMBOL}_BY_SPF || __{SYMBOL}_BY_DKIM)
"""


class DnsblRule(NamedTuple):
    """A rule that asks a DNSBL, and its score in each of SpamAssassin's four score sets."""

    name: str
    scores: tuple[float, ...]


def list_name(scope: str, of: str, authentication: Authentication | None) -> str:
    """What ``enlist_addrlist`` and ``check_from_in_list`` call a list; None is the list of exceptions."""
    return f"{SYMBOL}_{scope}_{of}_{_KINDS[authentication] if authentication else EXCEPTION}"


def names(scope: str) -> list[str]:
    """Every list of one scope."""
    return [list_name(scope, of, each) for of in (ADDRESS, DOMAIN) for each in (*_KINDS, None)]


def text(dnsbl: Iterable[DnsblRule]) -> str:
    """The rules; SpamAssassin before 4.0 passes them over, for it reads header From in another way."""
    lines = [*_lists(EVERYBODY), *_lists(RECIPIENT), _IDENTITIES.strip(), *_safe(RECIPIENT), *_safe(EVERYBODY)]
    decided = f"(__{SYMBOL}_{RECIPIENT}_SAFE || (__{SYMBOL}_{EVERYBODY}_SAFE && !__{SYMBOL}_{RECIPIENT}_NAMED))"
    said = [f"meta {SYMBOL} {decided}", f"describe {SYMBOL} Safe sender who proved it", f"tflags {SYMBOL} net nice",
            f"score {SYMBOL} -0.001"]  # fmt: skip
    named = f"(__{SYMBOL}_{RECIPIENT}_NAMED || __{SYMBOL}_{EVERYBODY}_NAMED)"
    said += [f"meta {UNPROVEN} ({named} && !{SYMBOL})", f"describe {UNPROVEN} Names a safe sender, proves too little",
             f"tflags {UNPROVEN} net", f"score {UNPROVEN} 0.001"]  # fmt: skip
    lifted = [line for rule in dnsbl for line in _lifted(rule)]
    return "\n".join(["if (version >= 4.000000)", *lines, *said, *lifted, "endif", ""])


def probe(digest: str) -> str:
    """The rule that shows that the lists and rules with this digest were read, and does nothing else."""
    return (
        f"enlist_addrlist ({PROBE}) {digest}@safelist.invalid\nheader {PROBE} eval:check_from_in_list('{PROBE}')\n"
        f"describe {PROBE} The probe of safelist check\nscore {PROBE} 0.001\n"
    )


def _lists(scope: str) -> Iterator[str]:
    """Each list has to be there, or its rule complains at every mail; ``invalid`` is nobody's (RFC 6761)."""
    for each in names(scope):
        yield f"enlist_addrlist ({each}) nobody@safelist.invalid"
        yield f"header __{each} eval:check_from_in_list('{each}')"


def _safe(scope: str) -> Iterator[str]:
    """The most specific decides: what is said of an address before what is said of its domain."""
    by_address, by_domain = (_proven(scope, of) for of in (ADDRESS, DOMAIN))
    addresses, all_ = (" || ".join(f"__{each}" for each in names(scope)[:end]) for end in (len(_KINDS) + 1, None))
    yield f"meta __{SYMBOL}_{scope}_{ADDRESS} ({addresses})"
    yield f"meta __{SYMBOL}_{scope}_NAMED ({all_})"
    whole = f"!__{SYMBOL}_{scope}_{ADDRESS} && !__{list_name(scope, DOMAIN, None)} && ({by_domain})"
    yield f"meta __{SYMBOL}_{scope}_SAFE ({by_address} || ({whole}))"


def _proven(scope: str, of: str) -> str:
    proofs = {Authentication.DKIM_OR_SPF: "PROVEN", Authentication.SPF: "BY_SPF", Authentication.NONE: "PLAIN"}
    parts = [f"(__{list_name(scope, of, each)} && __{SYMBOL}_{proof})" for each, proof in proofs.items()]
    return " || ".join(parts)


def lifting_name(rule: str) -> str:
    """The name of the rule that takes back what ``rule`` adds; a long one ends in its digest."""
    whole = f"{SYMBOL}_{rule}"
    digest = hashlib.sha256(rule.encode()).hexdigest()[:8].upper()
    return whole if len(whole) <= _MOST else f"{whole[: _MOST - 9]}_{digest}"


def _lifted(rule: DnsblRule) -> Iterator[str]:
    """What takes back exactly what one DNSBL rule adds."""
    name = lifting_name(rule.name)
    yield f"meta {name} ({SYMBOL} && {rule.name})"
    yield f"describe {name} Lifts {rule.name} for a safe sender"
    yield f"tflags {name} net nice"
    yield f"score {name} " + " ".join(f"{-max(each, 0.0):g}" if each > 0 else "0" for each in rule.scores)
