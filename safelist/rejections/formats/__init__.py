"""The registry of log formats: a new one is one module and one line here."""

from safelist.rejections.format import LogFormat
from safelist.rejections.formats.exim import EXIM
from safelist.rejections.formats.postfix import POSTFIX

_ALL: tuple[LogFormat, ...] = (POSTFIX, EXIM)
FORMATS = {each.name: each for each in _ALL}
"""By name, in the order in which they are asked whether a line is theirs."""
