"""The registry of targets: a module each, and a line here."""

from safelist.publisher.target import StoreTarget, Target
from safelist.publisher.targets import filter_snapshot, postfix

TARGETS: dict[str, Target] = {
    postfix.NAME: postfix,
}
STORE_TARGETS: dict[str, StoreTarget] = {
    filter_snapshot.NAME: filter_snapshot,
}
NAMES: dict[str, Target | StoreTarget] = {**TARGETS, **STORE_TARGETS}
