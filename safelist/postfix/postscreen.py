"""Where postscreen asks block lists: it decides before MAIL FROM (POSTSCREEN_README), so no sender is known. Pure."""

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
        for _, _, codes in (site.partition("*")[0].partition("=") for site in sites if _is_unreadable(site)):
            yield Remark(
                True,
                f"postscreen cannot read `={shown(codes)}` in postscreen_dnsbl_sites, so it ends at once and greets "
                f"nobody; {WRITE_NUMBERS}",
            )
        if sites and service.settings.get("postscreen_dnsbl_action", "ignore") != "ignore":
            names = ", ".join(shown(site.partition("=")[0].partition("*")[0], secrets) for site in sites)
            yield Remark(
                True,
                f"postscreen asks {names[:400]} and decides before MAIL FROM: no sender list can lift that; ask them "
                "with reject_rbl_client in smtpd_recipient_restrictions (while no filter enforces) or by the filter, "
                "then take them out of postscreen_dnsbl_sites (or set postscreen_dnsbl_action = ignore)",
            )


def _is_unreadable(site: str) -> bool:
    """Whether the answers of ``DOMAIN=ANSWERS*WEIGHT`` are none."""
    return has_unreadable_codes(site.partition("*")[0])
