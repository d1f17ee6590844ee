"""The registry of targets: a module each, and a line here."""

from safelist.publisher.target import StoreTarget, Target
from safelist.publisher.targets import postfix, snapshot

TARGETS: dict[str, Target] = {
    postfix.NAME: postfix,
}
STORE_TARGETS: dict[str, StoreTarget] = {
    snapshot.NAME: snapshot,
}
NAMES: dict[str, Target | StoreTarget] = {**TARGETS, **STORE_TARGETS}
