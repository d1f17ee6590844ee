"""The registry of targets: a module each, and a line here."""

from safelist.publisher.target import Target
from safelist.publisher.targets import postfix

TARGETS: dict[str, Target] = {
    postfix.NAME: postfix,
}
