"""Publish the safelist to the configured targets, each whatever becomes of the others."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from safelist.config import Config
from safelist.errors import ConfigError, SafelistError, UsageError
from safelist.policy import Settings
from safelist.publisher.publish import publish as publish_to
from safelist.publisher.target import Place, Published
from safelist.publisher.targets import TARGETS, configured
from safelist.runs import Clock
from safelist.store import Publication, PublishedFile, Store, TargetState


@dataclass(frozen=True, slots=True)
class NotPublished:
    """A target that could not be published, and why."""

    target: str
    path: Place
    error: Exception


@dataclass(frozen=True, slots=True)
class Publishing:
    """What became of one target, and what kept a failure of it from being recorded."""

    done: Published | NotPublished
    unrecorded: SafelistError | None = None

    @property
    def error(self) -> Exception | None:
        """Why the target was not published, or what failed although it was."""
        return self.done.error if isinstance(self.done, NotPublished) else self.done.failed


def publish(
    store: Store, config: Config, names: Iterable[str], now: Clock, actor: str, *, dry_run: bool = False,
    allow_shrink: bool = False,
) -> list[Publishing]:  # fmt: skip
    """Publish to the targets of those names (all configured ones by default), each whatever becomes of the others.

    What was written, and what failed, is recorded. Raises UsageError, ConfigError where there is no such target.
    """
    names = list(names)
    for name in names:
        if name not in config.publish:
            raise UsageError(f"publish: the configuration has no [publish.{name}]; it has: {', '.join(config.publish)}")
    if not config.publish:
        raise ConfigError(f"there is no target: write a section such as [publish.{next(iter(TARGETS))}]")
    run = _Publisher(store, config.policy.settings(store.own_domains()), now, actor, dry_run, allow_shrink)
    return [run.publish(name, config.publish[name]) for name in dict.fromkeys(names or config.publish)]


@dataclass(frozen=True, slots=True)
class _Publisher:
    store: Store
    settings: Settings
    now: Clock
    actor: str
    dry_run: bool
    allow_shrink: bool

    def publish(self, name: str, chosen: Any) -> Publishing:
        """Publish and record; a failure of this target must not keep the next one from its turn."""
        done: Published | NotPublished
        try:
            done = publish_to(
                self.store, self.settings, configured(name, chosen), chosen, self.now,
                dry_run=self.dry_run, allow_shrink=self.allow_shrink,
            )  # fmt: skip
            if not self.dry_run:
                self._record(done)
        except Exception as error:
            done = NotPublished(name, configured(name, chosen).place(chosen), error)
        published = Publishing(done)
        if self.dry_run or published.error is None:
            return published
        return Publishing(done, self._record_failure(name, published.error))

    def _record(self, published: Published) -> None:
        """Record what the files hold now, and since when that is known to be right."""
        self._record_change(published)
        self.store.confirm_target(_state(published, self.now()))

    def _record_change(self, published: Published) -> None:
        """Record what the files hold now, unless that is known: also when an earlier run could not say it any more."""
        last = self.store.last_publication(published.target, str(published.path))
        if last is not None and last.file_digest == published.file_digest:
            return
        run = self.store.begin_run(self.now(), f"publish {published.target}", self.actor)
        counts = {"entries": published.entries, "added": published.new, "removed": published.gone}
        settings = json.dumps(self.settings.as_json(), sort_keys=True)
        row = Publication(
            published.target, str(published.path), **counts, file_digest=published.file_digest, settings=settings
        )
        self.store.note_publication(run, self.now(), row)
        self.store.end_run(run, self.now(), counts, None)

    def _record_failure(self, name: str, error: Exception) -> SafelistError | None:
        """Record why; or what kept that from being recorded."""
        try:
            run = self.store.begin_run(self.now(), f"publish {name}", self.actor)
            self.store.end_run(run, self.now(), {}, str(error))
        except SafelistError as another:
            return another
        return None


def _state(published: Published, now: datetime) -> TargetState:
    files = tuple(
        PublishedFile(str(file.path), file.digest, tuple(map(str, file.opened)))
        for file in published.files
        if isinstance(file.path, Path)
    )
    return TargetState(published.target, str(published.path), now, published.entries, files)
