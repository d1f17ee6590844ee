"""What a source of the kind ``ews`` is told."""

from safelist.config import Exchange, Mailboxes, Section


class EwsSettings(Section):
    """An Exchange and whose lists are collected from it; the source named ``exchange`` has both at the top level."""

    TITLE = "An Exchange Server, and whose lists are collected from it."

    exchange: Exchange
    mailboxes: Mailboxes = Mailboxes()

    @property
    def workers(self) -> int:
        """Mailboxes asked at once."""
        return self.exchange.workers

    @property
    def budget(self) -> int:
        """Minutes after which a run stops asking; 0: never."""
        return self.exchange.budget
