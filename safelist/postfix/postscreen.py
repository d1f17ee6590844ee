"""Where postscreen asks block lists: it decides before MAIL FROM (POSTSCREEN_README), so no sender is known. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from safelist.postfix.lookup_domain import shown
from safelist.postfix.restrictions import MasterEntry, has_unreadable_codes, words
from safelist.postfix.server_errors import WRITE_NUMBERS
from safelist.remark import Remark


def about_postscreen(
    main: Mapping[str, str], postscreens: Sequence[MasterEntry], secrets: Collection[str] = ()
) -> Iterator[Remark]:
    """Whether postscreen asks DNSBLs: no sender is known there."""
    if not postscreens and words(main.get("postscreen_dnsbl_sites", "")):
        yield Remark(False, "postscreen_dnsbl_sites is set, but master.cf runs no postscreen: nothing asks them")
    for service in postscreens:
        sites = words(service.settings.get("postscreen_dnsbl_sites", ""))
        for text in filter(None, (_unreadable(site, secrets) for site in sites)):
            yield Remark(True, f"postscreen {text}")
        if sites and service.settings.get("postscreen_dnsbl_action", "ignore") != "ignore":
            names = ", ".join(shown(site.partition("=")[0].partition("*")[0], secrets) for site in sites)
            yield Remark(
                True,
                f"postscreen asks {names[:400]} and decides before MAIL FROM: no sender list can lift that; ask them "
                "with reject_rbl_client in smtpd_recipient_restrictions (while no filter enforces) or by the filter, "
                "then take them out of postscreen_dnsbl_sites (or set postscreen_dnsbl_action = ignore)",
            )


def _unreadable(site: str, secrets: Collection[str]) -> str:
    """What postscreen cannot read of ``DOMAIN=ANSWERS*WEIGHT`` (postscreen_dnsbl.c), and what to write."""
    listed, star, weight = site.partition("*")
    domain, _, codes = listed.partition("=")
    if star and not _WEIGHT.fullmatch(weight):
        return f"cannot read `*{weight[:200]}` {_ENDS}; write a whole number, as in *2 or *-2"
    if has_unreadable_codes(listed):
        return f"cannot read `={shown(codes)}` {_ENDS}; {WRITE_NUMBERS}"
    if not _is_host_name(domain):
        return (
            f"takes `{shown(domain, secrets)}` for no domain {_ENDS}; write labels of letters, digits and hyphens, "
            "without a dot at the end"
        )
    return ""


def _is_host_name(domain: str) -> bool:
    """Whether it passes valid_hostname.c: an underscore does, an address or an empty label does not."""
    labels = domain.split(".")
    return len(domain) <= 255 and all(map(_LABEL.fullmatch, labels)) and not _NUMERIC.fullmatch(domain)


_ENDS = "in postscreen_dnsbl_sites, so it ends at once and greets nobody"
_WEIGHT = re.compile(r"[+-]?[0-9]+")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"[0-9.]+")
