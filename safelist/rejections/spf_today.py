"""Asks today's DNS whether SPF would vouch for the mails that the policy would have let through."""

import asyncio
from ipaddress import ip_address

from safelist.filter import spf
from safelist.filter.resolver import Resolver
from safelist.rejections.collected import CollectedMails, RefusedMail
from safelist.rejections.rescue import Rescue

_AT_ONCE = 50


async def ask_spf(mails: CollectedMails, resolver: Resolver) -> None:
    """Note of each mail that would have been lifted what SPF says today; the record may have been another one then."""
    for portion in mails.portions(f"rescue = '{Rescue.LIFTED}' AND client IS NOT NULL", _AT_ONCE):
        results = await asyncio.gather(*(_result(resolver, mail) for mail in portion))
        mails.prove(zip((mail.id for mail in portion), results, strict=True))


async def _result(resolver: Resolver, mail: RefusedMail) -> str:
    it = mail.rejection
    try:
        client = ip_address(it.client or "")
    except ValueError:
        return spf.SpfResult.NONE
    found = await spf.check(resolver, client, it.sender or "", "")
    return found.result
