"""The registry of targets: a module each, and a line here."""

from safelist.publisher.target import Target
from safelist.publisher.targets import filter_snapshot, postfix

TARGETS: dict[str, Target] = {
    postfix.NAME: postfix.TARGET,
    filter_snapshot.NAME: filter_snapshot.TARGET,
}
