"""Whether this machine's Postfix reads the map that was published, and where it helps."""

from collections.abc import Iterator
from pathlib import Path

from safelist.errors import SafelistError, UnavailableError
from safelist.postfix import policy_probe
from safelist.postfix.master_entries import inbound_services, merged, policy_addresses
from safelist.postfix.server_errors import server_errors
from safelist.publisher import map_placement, program
from safelist.publisher.postconf import main_settings, map_types, services, unapproved, unopened
from safelist.remark import Remark


def remarks(path: Path | None, map_type: str, header: bytes) -> Iterator[Remark]:
    """Ask this machine's Postfix what it makes of the map, which begins with ``header``, and where its lists have it.

    ``path`` is None where the configuration has no map.
    """
    postconf, postmap = program.find("postconf"), program.find("postmap")
    if postconf is None or postmap is None:
        raise UnavailableError("Postfix is not installed here: run this check on the machine where it is")
    smtpds, types = services(postconf, "smtpd"), map_types(postconf)
    broken = unopened(postconf, postmap, inbound_services(smtpds))
    if path is None:
        yield Remark(
            True,
            "the configuration has no [publish.postfix]: write that section, with the map's file as `path`, and run "
            "`safelist publish`; without it safelist writes no map that main.cf could name",
        )
        yield from merged((each, server_errors(each.restrictions, broken)) for each in inbound_services(smtpds))
        return
    names, proxied = map_placement.names_of(smtpds, str(path)), unapproved(postconf, inbound_services(smtpds))
    name = f"{map_type}:{path}"
    published = map_placement.Map(
        name, str(path), {each: _fault(postmap, each, path, header, types) for each in {*names, name}},
        [each for each in map_placement.forgeable(smtpds) if _accepts(postmap, each)],
        {table: why for table, why in broken.items() if table not in names or table in proxied},
        [at for at, answer in policy_probe.ask_all(policy_addresses(inbound_services(smtpds))).items() if answer.mode],
    )  # fmt: skip
    yield from map_placement.remarks(main_settings(postconf), smtpds, services(postconf, "postscreen"), published)


def _fault(postmap: str, name: str, path: Path, header: bytes, types: list[str]) -> str:
    """Why Postfix cannot look the published senders up under this name; empty where it can."""
    kind = name.removeprefix("proxy:").partition(":")[0]
    if kind not in types:
        return (
            f"this Postfix opens no {kind} maps (`postconf -m` lists those it does): apt-get install postfix-{kind}, "
            "or another map_type"
        )
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return "the map has not been published: run `safelist publish` before main.cf names it"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if not text.startswith(header):
        return "safelist did not write this file; correct `path`, or move it and publish"
    return _looked_up(postmap, name.removeprefix("proxy:"), text)


def _looked_up(postmap: str, name: str, text: bytes) -> str:
    """Look every key up by the name that main.cf has for the map."""
    rows = dict(line.split(b" ", 1) for line in text.splitlines() if not line.startswith(b"#") and b" " in line)
    asked = b"".join(key + b"\n" for key in rows or {b"safelist.invalid": b""})
    outcome = program.run([postmap, "-q", "-", name], asked)
    if outcome.code not in (0, 1) or b"fatal:" in outcome.errors or b"error:" in outcome.errors:
        return f"postmap cannot look anything up ({outcome.complaint}): run `safelist publish`"
    found = dict(line.split(b"\t", 1) for line in outcome.output.splitlines() if b"\t" in line)
    if wrong := [key for key in rows if found.get(key) != rows[key]]:
        shown = wrong[0].decode(errors="backslashreplace")
        return f"its index does not hold what its text says, {shown} for one ({len(wrong)}): run `safelist publish`"
    return ""


def _accepts(postmap: str, name: str) -> bool:
    """Whether a map gives any key an OK or a number; what neither postmap nor its text can tell counts as no."""
    try:
        outcome = program.run([postmap, "-s", name])
        lines = outcome.output if outcome.code == 0 else Path(name.rpartition(":")[2]).read_bytes()
    except (OSError, SafelistError):
        return False
    results = (line.split(None, 1)[1].split()[:1] for line in lines.splitlines() if len(line.split(None, 1)) == 2)
    return any(word.isdigit() or word.upper() in (b"OK", b"PERMIT") for words in results for word in words)
