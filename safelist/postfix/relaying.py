"""What refuses relaying, and which sender maps Postfix asks before. Pure.

An OK in a list that also controls relaying opens a relay (SMTPD_ACCESS_README, "Dangerous use of
smtpd_recipient_restrictions").
"""

from collections.abc import Sequence

from safelist.postfix.restrictions import Restriction
from safelist.remark import Remark

RELAY_CONTROL = ("reject_unauth_destination", "defer_unauth_destination")
RELAY_LISTS = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")


def before_relay_control(them: Sequence[Restriction]) -> list[Restriction]:
    """The sender maps of the lists that control relaying that are asked before relaying is refused."""
    found, guarded = [], set()
    for it in them:
        if it.name in RELAY_CONTROL:
            guarded.add(it.place)
        elif it.name == "check_sender_access" and it.place in RELAY_LISTS and it.place not in guarded:
            found.append(it)
    return found


def before_the_filter(it: Restriction, *, is_own: bool) -> Remark:
    """What a sender map does that stands before the filter in the same list."""
    whose = "safelist's own map" if is_own else "a map"
    return Remark(
        is_own,
        f"check_sender_access {it.argument} stands before the filter: whom {whose} accepts there is never asked for a "
        "proof, and may be forged"
        + ("; move it behind the filter, and take it out together with reject_rbl_client" if is_own else ""),
    )
