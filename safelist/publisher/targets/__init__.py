"""The registry of targets: a module each, and a line here."""

from dataclasses import replace
from typing import Any

from safelist.publisher.target import Target
from safelist.publisher.targets import amavis, exim, filter_snapshot, pairs, postfix, rspamd, rspamd_redis, spamassassin

TARGETS: dict[str, Target] = {
    postfix.NAME: postfix.TARGET,
    filter_snapshot.NAME: filter_snapshot.TARGET,
    pairs.NAME: pairs.TARGET,
    exim.NAME: exim.TARGET,
    rspamd.NAME: rspamd.TARGET,
    rspamd_redis.NAME: rspamd_redis.TARGET,
    amavis.NAME: amavis.TARGET,
    spamassassin.NAME: spamassassin.TARGET,
}


def configured(name: str, chosen: Any) -> Target:
    """The target of a section ``[publish.NAME]`` or ``[publish.TARGET.NAME]``, as it is with these settings."""
    target = TARGETS[name.partition(".")[0]]
    return replace(target.form(chosen) if target.form else target, name=name)
