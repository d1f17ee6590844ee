"""Exchange over EWS: every mailbox's Junk E-mail Rule."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from safelist.collector.sources.ews.settings import EwsSettings
from safelist.config import Mailboxes
from safelist.errors import SafelistError

if TYPE_CHECKING:  # exchangelib takes longer to import than most commands to run
    from safelist.collector.sources.ews.source import EwsSource

SETTINGS = EwsSettings


def open_source(name: str, settings: EwsSettings) -> "EwsSource":
    """Read the secret and make the source, to be used in a ``with``. Asks nothing yet. Raises SafelistError."""
    from safelist.collector.sources.ews.secret import read_secret
    from safelist.collector.sources.ews.source import EwsSource

    return EwsSource(name, settings, read_secret(settings.exchange))


def faults(settings: EwsSettings) -> Iterator[str]:
    """What a run would stumble over: the secret, the log-in's needs, the file of mailboxes; asks no Exchange."""
    from safelist.collector.sources.ews.exchange import ExchangeServer
    from safelist.collector.sources.ews.secret import read_secret

    exchange = settings.exchange
    if exchange.secret_command is None:  # a command may ask somebody
        yield from _fault(lambda: ExchangeServer(exchange, read_secret(exchange)).close())
    yield from mailbox_faults(settings.mailboxes)


def mailbox_faults(boxes: Mailboxes) -> Iterator[str]:
    """What is wrong with whose lists are to be collected."""
    from safelist.collector.sources.ews.mailboxes import read_file

    if (path := boxes.file) is not None:
        yield from _fault(lambda: read_file(path))
    if not (boxes.addresses or boxes.file or boxes.groups):
        yield "mailboxes: no mailbox is named; write addresses, file or groups"


def _fault(look: Callable[[], object]) -> Iterator[str]:
    try:
        look()
    except SafelistError as error:
        yield from str(error).split("\n")
