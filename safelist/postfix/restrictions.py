"""The restriction lists of an smtpd: reads what postconf prints, classes and overrides included. Pure.

smtpd splits a list at commas and white space, keeps braces together, and takes names in either case
(smtpd_check.c, mystrtok(3)); ``warn_if_reject`` is about the next restriction, of a class about all of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

LISTS = (
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
)
"""In the order in which smtpd goes through them at RCPT TO and DATA (smtpd_delay_reject)."""

_TAKES_ARGUMENT = re.compile(r"check_|reject_rbl|reject_rhsbl|permit_dnswl_|permit_rhswl_|sleep\Z")
_TABLES = {
    "smtpd_helo_restrictions": "check_helo_access",
    "smtpd_sender_restrictions": "check_sender_access",
    "smtpd_recipient_restrictions": "check_recipient_access",
    "smtpd_relay_restrictions": "check_recipient_access",
}
CLIENT_LISTS = ("reject_rbl_client", "reject_rbl", "reject_maps_rbl")
"""Restrictions that reject by a DNSBL of clients; the latter two are old names."""
ENDS = ("permit", "permit_auth_destination")
"""For mail to this site's domains, which is all that gets so far."""
EARLY_LISTS = LISTS[:3]
"""At RCPT TO only with smtpd_delay_reject = yes; else before a recipient is known."""
_OPTIONS = (
    "timeout", "max_idle", "max_ttl", "retry_delay", "request_limit", "try_limit", "default_action", "policy_context",
)  # fmt: skip
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MAX_DEPTH = 20
_MAX_WORDS = 10_000
"""Read of one smtpd's lists: classes that name one another twice would double them at every step."""
_SUBMISSION = ("submission", "submissions", "smtps", "587", "465")


class Restriction(NamedTuple):
    """One word of a list and its argument. ``only_warns``: it rejects nobody. ``classes``: how it came to stand there,
    from the outermost; a class that only an access map can apply begins with ``?``.
    """

    place: str
    name: str
    argument: str = ""
    only_warns: bool = False
    classes: tuple[str, ...] = ()

    @property
    def is_certain(self) -> bool:
        """Whether it is asked for every mail that comes so far, and not only where an access map says so."""
        return not self.classes or not self.classes[0].startswith("?")

    @property
    def lacks_argument(self) -> bool:
        """Whether its list ends where a table, a service or a domain has to stand."""
        return not self.argument and bool(_TAKES_ARGUMENT.match(self.name))

    @property
    def rejects_listed(self) -> bool:
        """Whether it rejects whom a DNSBL lists; one that only warns does not, and one without a domain asks nobody."""
        return self.name in CLIENT_LISTS and not (self.only_warns or self.lacks_argument)

    @property
    def where(self) -> str:
        """The list, and the restriction classes in it."""
        names = [name.removeprefix("?") for name in self.classes]
        return " of ".join([*(f"the class {name}" for name in reversed(names)), self.place])


@dataclass(frozen=True)
class MasterEntry:
    """A line of master.cf, such as ``smtp/inet``, with every parameter as that service sees it."""

    name: str
    settings: Mapping[str, str]
    is_chrooted: bool = False

    @cached_property
    def restrictions(self) -> Sequence[Restriction]:
        """Every restriction in the order of evaluation; those that an access map may apply come last."""
        left = iter(range(_MAX_WORDS))
        named = [it for place in LISTS for it in _expanded(self.settings, place, self.settings.get(place, ""), left)]
        return (*named, *_applied_by_maps(self.settings, named, left))

    @property
    def is_for_the_world(self) -> bool:
        """Whether other mail servers come here: port 25, or from postscreen."""
        name, _, kind = self.name.rpartition("/")
        return kind == "pass" or name.rpartition(":")[2] in ("smtp", "25")

    @property
    def is_for_submission(self) -> bool:
        """Whether its port is the one where people hand in their mail."""
        return self.name.rpartition("/")[0].rpartition(":")[2] in _SUBMISSION

    @property
    def turns_strangers_away(self) -> bool:
        """Whether one of its lists ends in ``reject`` for everybody who is not known."""
        open_places: set[str] = set()
        for it in self.restrictions:
            if it.name in ("permit", "permit_auth_destination"):
                open_places.add(it.place)
            elif it.name in ("reject", "defer") and it.place not in open_places and it.is_certain and not it.only_warns:
                return True
        return False


class PolicyService(NamedTuple):
    """The argument of check_policy_service. ``malformed``: the words that smtpd takes for no option of it."""

    address: str
    options: Mapping[str, str]
    malformed: tuple[str, ...] = ()


def parse(output: str) -> dict[str, str]:
    """``name = value`` lines, as ``postconf NAME...`` prints them."""
    pairs = (line.partition("=") for line in output.splitlines())
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


def parse_overrides(output: str) -> dict[str, dict[str, str]]:
    """``SERVICE/TYPE/NAME = VALUE`` lines of ``postconf -P``: the overrides of each ``SERVICE/TYPE``."""
    found: dict[str, dict[str, str]] = {}
    for key, value in parse(output).items():
        service, _, name = key.rpartition("/")
        found.setdefault(service, {})[name] = value
    return found


def words(value: str) -> list[str]:
    """The words of a value; what stands in braces is part of one."""
    found, depth, begin = [], 0, 0
    for at, character in enumerate(value):
        depth = max(0, depth + (character == "{") - (character == "}"))
        if depth == 0 and character in ", \t\r\n":
            found.append(value[begin:at])
            begin = at + 1
    return [word for word in (*found, value[begin:]) if word]


def policy_service(argument: str) -> PolicyService:
    """``inet:127.0.0.1:10045`` or ``{ inet:127.0.0.1:10045, timeout=10s, {default_action = DUNNO} }``.

    Blanks around the ``=`` need braces of their own; any other word ends smtpd (SMTPD_POLICY_README).
    """
    inside = argument.strip()
    if inside.startswith("{"):
        inside = inside[1:].removesuffix("}")
    address, *rest = words(inside) or [""]
    options: dict[str, str] = {}
    malformed = []
    for word in rest:
        name, sign, value = (part.strip() for part in word.removeprefix("{").removesuffix("}").partition("="))
        if not sign or name not in _OPTIONS or (name == "timeout" and seconds(value) is None):
            malformed.append(word)
        else:
            options[name] = value
    return PolicyService(address, options, tuple(malformed))


def seconds(text: str) -> int | None:
    """A time of postconf(5), such as ``10s`` or ``1m``; None where it is none."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw]?)", text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def counted(argument: str) -> tuple[frozenset[int], ...] | None:
    """The numbers that may stand in each of the four places of an answer (``zen.example=127.0.0.[2..11;20]``).

    None where every answer counts, or where smtpd cannot read it (:func:`has_unreadable_codes`).
    """
    places = _CODES.fullmatch(argument.partition("=")[2])
    found = [_numbers(place) for place in places.groups()] if places else []
    return tuple(found) if found and all(found) else None


def has_unreadable_codes(argument: str) -> bool:
    """Whether there stands behind the domain what smtpd does not take for answers (ip_match.c)."""
    return "=" in argument and counted(argument) is None


_CODES = re.compile(r"\.".join([r"(\[[0-9.;]+\]|[0-9]+)"] * 4))
_NUMBERS = re.compile(r"0*([0-9]{1,3})(?:\.\.0*([0-9]{1,3}))?")


def _numbers(text: str) -> frozenset[int]:
    """Of ``2``, ``[2..11]`` or ``[2..11;20]``, none above 255; empty where it is none of these."""
    numbers: set[int] = set()
    for part in text.strip("[]").split(";"):
        found = _NUMBERS.fullmatch(part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last <= 255:
            return frozenset()
        numbers.update(range(first, last + 1))
    return frozenset(numbers)


def zone_of(argument: str) -> str:
    """The domain of a DNSBL without the answers that are to count (``zen.example=127.0.0.[2..11]``)."""
    return argument.partition("=")[0].rstrip(".").lower()


@lru_cache(maxsize=8)
def _classes(value: str) -> frozenset[str]:
    """The names in ``smtpd_restriction_classes``, which is asked for at every class."""
    return frozenset(words(value))


def _expanded(
    settings: Mapping[str, str],
    place: str,
    value: str,
    left: Iterator[int],
    classes: tuple[str, ...] = (),
    only_warns: bool = False,
) -> Iterator[Restriction]:
    """Those of a list, with those of its classes in their place, until ``left`` is at its end."""
    known = _classes(settings.get("smtpd_restriction_classes", ""))
    rest = iter(words(value))
    warns = only_warns
    for word in rest:
        if next(left, None) is None:
            return
        if word.lower() == "warn_if_reject":
            warns = True
            continue
        if word in known:
            if len(classes) < _MAX_DEPTH:
                yield from _expanded(settings, place, settings.get(word, ""), left, (*classes, word), warns)
        elif ":" in word:
            yield Restriction(place, _TABLES.get(place, "check_client_access"), word, warns, classes)
        else:
            argument = next(rest, "") if _TAKES_ARGUMENT.match(word.lower()) else ""
            yield Restriction(place, word.lower(), argument, warns, classes)
        warns = only_warns


def _applied_by_maps(
    settings: Mapping[str, str], named: Sequence[Restriction], left: Iterator[int]
) -> Iterator[Restriction]:
    """The classes that no list names; an access map may name them as its result."""
    used = {name for it in named for name in it.classes}
    maps = [it for it in named if it.name.startswith("check_") and it.name.endswith("_access")]
    for name in words(settings.get("smtpd_restriction_classes", "")) if maps else ():
        if name not in used:
            yield from _expanded(settings, maps[-1].place, settings.get(name, ""), left, (f"?{name}",))
