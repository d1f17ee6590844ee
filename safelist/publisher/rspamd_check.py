"""Whether the running rspamd has the rule and the maps that were published, and finds a sender in them."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from safelist.remark import Remark

MAX_ANSWER = 1 << 20
"""Octets of an answer that are read."""
WAIT = 20.0
"""Seconds to wait for rspamd."""

_MESSAGE = b"From: safelist-check@safelist.invalid\r\nSubject: safelist check rspamd\r\n\r\nA question, no mail.\r\n"
_NOBODY = "safelist-check@safelist.invalid"
_PLAIN = re.compile(r"[a-z0-9._+=-]+@[a-z0-9._-]+|[a-z0-9._-]+")


class UnaskableError(Exception):
    """What an administrator has to mend before anything else can be told."""


class PublishedRule(NamedTuple):
    """What rspamd has to have loaded: the rule of that ``digest``, in ``rule_file``, for the target ``name``.

    ``url`` and ``password_file`` say where rspamd is asked.
    """

    name: str
    url: str
    password_file: Path | None
    digest: str
    rule_file: str


class PublishedMaps(NamedTuple):
    """What rspamd has to have read: the maps for everybody and for each recipient.

    ``header`` is the first line of each map, and ``exception`` what follows the key of a sender who is not safe.
    """

    paths: tuple[Path, ...]
    header: bytes
    exception: str


class SamplePair(NamedTuple):
    """A line of the maps: ``sender`` is safe for ``recipient``, or for everybody where that is empty."""

    recipient: str
    sender: str


class MapText(NamedTuple):
    """A published map: how many lines it has, and one that a mail can ask for."""

    path: Path
    lines: int
    sample: SamplePair | None


def without_section() -> Iterator[Remark]:
    """Say that there is nothing to ask for."""
    yield Remark(
        True,
        "the configuration has no [publish.rspamd]: write that section, with the map's file as `path`, and run "
        "`safelist publish`; without it safelist writes no map that rspamd could read",
    )


def remarks(rule: PublishedRule, published: PublishedMaps) -> Iterator[Remark]:
    """Ask the running rspamd for its rule, its maps and one sender of each map."""
    try:
        maps = [_read(path, published) for path in published.paths]
        said = told(rule)
        for name, each in zip(("everybody", "recipients"), maps, strict=True):
            yield _of_map(each, said.get(name, "0"), said.get(f"{name}_sum"), opens=said.get(f"{name}_opens") == "true")
        yield from of_proofs(said)
        for each in maps:
            yield from of_sample(rule, each.sample, str(each.path))
    except UnaskableError as fault:
        yield Remark(True, str(fault))


def _read(path: Path, published: PublishedMaps) -> MapText:
    """A map as it was published. Raises UnaskableError."""
    try:
        with path.open("rb") as file:
            if file.readline() != published.header:
                raise UnaskableError(
                    f"{path}: safelist did not write this file; correct `path`, or move it and publish"
                )
            lines, sample = 0, None
            for line in file:
                lines += 1
                sample = sample or sample_of(line.decode("ascii", "replace"), published.exception)
    except FileNotFoundError:
        raise UnaskableError(f"{path} has not been published: run `safelist publish`") from None
    except OSError as error:
        raise UnaskableError(f"{path} cannot be read: {error.strerror}") from None
    return MapText(path, lines, sample)


def sample_of(line: str, exception: str) -> SamplePair | None:
    """The pair of a line, where a mail can be from that sender as it stands there: no exception, nothing escaped."""
    key, _, authentication = line.strip().partition("!")
    recipient, _, sender = key.rpartition("|")
    is_askable = _PLAIN.fullmatch(sender) and (not recipient or _PLAIN.fullmatch(recipient))
    return SamplePair(recipient, sender) if authentication != exception and is_askable and sender[0] != "." else None


def told(rule: PublishedRule) -> dict[str, str]:
    """What the rule tells of itself, by its names. Raises UnaskableError where rspamd has not loaded it."""
    said = _asked(rule, SamplePair(_NOBODY, _NOBODY), what_is_read=True).get("SAFELIST_READ")
    if said is None:
        raise UnaskableError(
            f"the rspamd at {rule.url} has not loaded safelist's rule: write what `safelist check {rule.name}` prints "
            f"into {rule.rule_file} and run `systemctl restart rspamd`; if it stands there, `rspamadm configtest` "
            "and `journalctl -u rspamd` name what is wrong in that file"
        )
    if rule.digest not in said:
        raise UnaskableError(
            f"the rspamd at {rule.url} has loaded another rule than `safelist check {rule.name}` prints (another "
            "path or prefix, every_recipient, or safelist version): put this one in its place in "
            f"{rule.rule_file} and run `systemctl restart rspamd`"
        )
    return dict(each.split("=", 1) for each in said if "=" in each)


def _of_map(published: MapText, read: str, keys: str | None, *, opens: bool) -> Remark:
    """Whether rspamd has read what is published, and could read what will be."""
    path = published.path
    if not opens:
        return Remark(
            True,
            f"rspamd's user (_rspamd) cannot open {path}: it has {read} keys of it, from before or, as root, from its "
            "start, and will read nothing that is published later; let that user read the file and enter each "
            "directory above it",
        )
    if read != str(published.lines):
        return Remark(True, f"rspamd has read {read} keys of {path}, which has {published.lines}: {_LATER}")
    if keys == "unknown":
        return Remark(False, f"rspamd has read {read} keys of {path}, as many as it has, too many to compare each")
    if keys != _sum_of_keys(path):
        return Remark(True, f"rspamd has read other keys than {path} has, though as many, {read}: {_LATER}")
    return Remark(False, f"rspamd has read {path}: {read} keys")


_LATER = (
    "it looks every few seconds, so check again; if that stays so, run `systemctl restart rspamd`, and see in "
    "`journalctl -u rspamd` why it did not read the file"
)


def _sum_of_keys(path: Path) -> str:
    """What the rule makes of all keys: the sum of the first 48 bits of each one's BLAKE2b, modulo 2 ** 48."""
    with path.open("rb") as file:
        keys = (line.rstrip(b"\n") for line in file if not line.startswith(b"#"))
        total = sum(int.from_bytes(hashlib.blake2b(key).digest()[:6]) for key in keys)
    return f"{total % 2**48:012x}"


def of_proofs(said: Mapping[str, str]) -> Iterator[Remark]:
    """Whether rspamd asks for the proofs at all."""
    for name in ("spf", "dmarc"):
        if said.get(name) != "true":
            yield Remark(
                True,
                f"this rspamd does not check {name.upper()}, so that no sender can prove itself by it: take what turns "
                f"its module off out of /etc/rspamd/local.d/{name}.conf (`rspamadm configdump {name}` shows all of it) "
                "and run `systemctl restart rspamd`",
            )


def of_sample(rule: PublishedRule, sample: SamplePair | None, where: str) -> Iterator[Remark]:
    """Ask for one sender who is safe by what lies there."""
    if sample is None:
        return
    recipient, sender = sample
    asked = SamplePair(recipient or _NOBODY, sender if "@" in sender else f"safelist-check@{sender}")
    found = _asked(rule, asked)
    if f"{asked.recipient}|{sender}" in (*found.get("SAFELIST", ()), *found.get("SAFELIST_UNPROVEN", ())):
        yield Remark(False, f"rspamd finds {sender} safe for {recipient or 'everybody'}, if it proves itself")
        return
    yield Remark(
        True,
        f"rspamd does not find {asked.sender}, who is safe for {recipient or 'everybody'} by {where}: check again in a "
        f"few seconds; if that stays so, run `systemctl restart rspamd`, and see that nothing else in {rule.rule_file} "
        "changes senders or recipients",
    )


def _asked(rule: PublishedRule, pair: SamplePair, *, what_is_read: bool = False) -> dict[str, list[str]]:
    """What the rule says of a mail: its symbols, with their options. Nothing else is asked, logged or learnt.

    To say what it has read, it goes through every key, and a worker answers nobody else meanwhile: that is asked once.
    """
    headers = {
        "From": pair.sender, "Rcpt": pair.recipient, "IP": "192.0.2.1", "Helo": "safelist.invalid",
        "Safelist-Check": "1" if what_is_read else "", "Settings": '{"symbols_enabled":["SAFELIST_CHECK"]}',
        "Flags": "no_log,no_stat", "Password": _password(rule),
    }  # fmt: skip
    status, text = _answer(rule, {name: value for name, value in headers.items() if value})
    if status in (401, 403):
        raise UnaskableError(
            f"{rule.url} asks for a password: name a file with the controller's in [publish.{rule.name}] "
            "password_file, or let `url` name the normal worker, which asks for none"
        )
    try:
        symbols = json.loads(text)["symbols"]
        return {name: [str(each) for each in found.get("options", ())] for name, found in symbols.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UnaskableError(
            f"{rule.url} answers with HTTP status {status}, and not as rspamd does: let [publish.{rule.name}] `url` "
            "name its normal worker or controller (the proxy speaks milter)"
        ) from None


def _password(rule: PublishedRule) -> str:
    if rule.password_file is None:
        return ""
    try:
        return rule.password_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        key = f"[publish.{rule.name}] password_file"
        raise UnaskableError(f"{key}: {rule.password_file} cannot be read: {error}") from None


def _answer(rule: PublishedRule, headers: Mapping[str, str]) -> tuple[int, bytes]:
    place = urlsplit(rule.url)
    try:
        with closing(HTTPConnection(place.hostname or "", place.port, timeout=WAIT)) as connection:
            connection.request("POST", "/checkv2", _MESSAGE, dict(headers))
            response = connection.getresponse()
            return response.status, response.read(MAX_ANSWER)
    except (OSError, HTTPException, ValueError) as error:
        raise UnaskableError(
            f"no rspamd answers at {rule.url} ({str(error) or type(error).__name__}): run this check where rspamd is, "
            f"start it (`systemctl start rspamd`), or let [publish.{rule.name}] `url` name its normal worker or "
            "controller"
        ) from None
