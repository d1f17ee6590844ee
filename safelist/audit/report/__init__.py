"""The auditor's report: what the aggregate holds and what the policy makes of it, as values and as one page."""

from safelist.audit.report.rejected import rejected_mails
from safelist.audit.report.rows import build
from safelist.audit.report.values import AuditReport, FirstRows, ProviderLine, RejectedMails, Setting

__all__ = ["AuditReport", "FirstRows", "ProviderLine", "RejectedMails", "Setting", "build", "rejected_mails"]
