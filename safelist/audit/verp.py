"""Entries that will never match twice: addresses made anew for every mail (VERP, BATV, SRS). Pure."""

import re

from safelist import domains, policy
from safelist.sender import Form, Pattern, domain_of

_MADE_ANEW = (
    re.compile(r"(?:prvs|btv1|msprvs1)=.+"),  # BATV, draft-levine-smtp-batv
    re.compile(r"srs[01][=+-].+"),  # the Sender Rewriting Scheme
    re.compile(r".+=[a-z0-9.-]+\.[a-z]{2,}(?:-.*)?"),  # VERP: the recipient's address inside
    re.compile(r"(?:.*[-+._])?(?:bounces?|returns?|envelope|verp|fbl|mailer?)[-+._=].*[0-9].*"),
    re.compile(r"[^+]+\+[a-z]*[-._=]?[0-9a-f]*[0-9][0-9a-f-]*"),  # a number behind the +
    re.compile(r"(?=.*[0-9])[0-9a-f-]{16,}(?:[-+=._].*)?"),  # nothing but an identifier
)


def is_made_anew(pattern: Pattern) -> bool:
    """Whether the address looks as if it was made for one mail only."""
    if pattern.form is not Form.ADDRESS:
        return False
    local = pattern.text.rpartition("@")[0]
    return any(shape.fullmatch(local) for shape in _MADE_ANEW)


def advice(pattern: Pattern, settings: policy.Settings) -> str | None:
    """What to do about such an entry; None where nothing is wrong with it."""
    if not is_made_anew(pattern):
        return None
    domain = domain_of(pattern)
    says = "looks as if it was made for one mail only (VERP or the like) and will not match the next one"
    is_of_many = policy.is_free_mail(pattern, settings) or policy.is_shared(pattern, settings)
    if policy.is_own(pattern, settings) or is_of_many or domains.is_public_suffix(domain):
        return f"{pattern.text} {says}"
    return f'{pattern.text} {says}; if it is wanted: safelist override allow {domain} --reason "..."'
