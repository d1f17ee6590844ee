"""One case for each log format, in the order of the registry."""

from tests.rejections.cases.exchange import EXCHANGE_AGENT, EXCHANGE_PROTOCOL, EXCHANGE_TRACKING
from tests.rejections.cases.exim import EXIM
from tests.rejections.cases.postfix import POSTFIX
from tests.rejections.cases.rspamd import RSPAMD, RSPAMD_HISTORY
from tests.rejections.contract import FormatCase

CASES: tuple[FormatCase, ...] = (
    POSTFIX, EXIM, RSPAMD, RSPAMD_HISTORY, EXCHANGE_PROTOCOL, EXCHANGE_AGENT, EXCHANGE_TRACKING,
)  # fmt: skip
