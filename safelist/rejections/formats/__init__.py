"""The registry of log formats: a new one is one module and one line here."""

from safelist.rejections.format import LogFormat
from safelist.rejections.formats.exchange_agent import EXCHANGE_AGENT
from safelist.rejections.formats.exchange_protocol import EXCHANGE_PROTOCOL
from safelist.rejections.formats.exchange_tracking import EXCHANGE_TRACKING
from safelist.rejections.formats.exim import EXIM
from safelist.rejections.formats.postfix import POSTFIX
from safelist.rejections.formats.rspamd import RSPAMD
from safelist.rejections.formats.rspamd_history import RSPAMD_HISTORY

_ALL: tuple[LogFormat, ...] = (
    POSTFIX, EXIM, RSPAMD, RSPAMD_HISTORY, EXCHANGE_PROTOCOL, EXCHANGE_AGENT, EXCHANGE_TRACKING,
)  # fmt: skip
FORMATS = {each.name: each for each in _ALL}
"""By name, in the order in which they are asked whether a line is theirs."""
