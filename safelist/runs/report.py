"""The auditor's report, with what each configured target asks of a mail."""

from datetime import datetime

from safelist.audit.report import AuditReport, RejectedMails, Setting, build
from safelist.config import Config
from safelist.policy import Settings
from safelist.publisher.targets import configured
from safelist.store import Store, Verified


def report(
    opened: Store, config: Config, settings: Settings, now: datetime, verified: Verified | None,
    rejected: RejectedMails | None = None,
) -> AuditReport:  # fmt: skip
    """The report as of ``now``; ``verified`` is what a walk along the chain found, ``rejected`` what logs told."""
    demands = [Setting(f"Published to {name}", configured(name, it).demands(it)) for name, it in config.publish.items()]
    return build(opened, settings, now, verified=verified, demands=demands, rejected=rejected)
