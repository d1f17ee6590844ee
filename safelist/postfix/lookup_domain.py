"""The lookup domains of block lists, shown without the key of a subscription. Pure."""

import re
from collections.abc import Collection


def shown(text: str, secrets: Collection[str] = ()) -> str:
    """Bounded, and without what is, or looks like, the key of a subscription."""
    zone, sign, codes = text.partition("=")
    labels = ["***" if label.lower() in secrets or _KEY.fullmatch(label) else label for label in zone.split(".")]
    if zone.lower().rstrip(".").endswith(".dq.spamhaus.net"):  # whatever stands in front there is a key
        labels[0] = "***"
    return (".".join(labels) + sign + codes)[:200]


_KEY = re.compile(r"(?=[a-z]*[0-9])[a-z0-9]{20,63}", re.IGNORECASE)
