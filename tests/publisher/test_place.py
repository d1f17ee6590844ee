"""A target that writes no file: where its lock lies, and by what name people and the history know it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from safelist.errors import ConfigError
from safelist.policy import Settings
from safelist.publisher.publish import publish
from safelist.publisher.target import Asked, FileChange, Nothing, Plan, Target
from tests.publisher.site import NOW, names

NAME = "tables of somewhere"


class Chosen(BaseModel):
    lock: Path
    on_change: tuple[str, ...] = ()


def target(seen: list[list[str]]) -> Target:
    """It notes what lies beside its lock while it plans."""

    @contextmanager
    def plan(_: Asked, chosen: Chosen) -> Iterator[Plan]:
        seen.append(names(chosen.lock.parent))
        change = FileChange(NAME, 1, 0, 0, True, "digest", (), 1, absent=NAME)
        yield Plan((change,), (), (), lambda before: before())

    return Target(
        name="elsewhere", settings=Chosen, demands=lambda _: "", use=lambda _: "", plan=plan,
        place=lambda _: NAME, beside=lambda chosen: chosen.lock,
    )  # fmt: skip


def published(chosen: Chosen, seen: list[list[str]], **options: bool) -> Any:
    return publish(Nothing(), Settings(), target(seen), chosen, lambda: NOW, **options)


def test_its_lock_and_its_hook_lie_beside_what_it_names(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    done = published(Chosen(lock=tmp_path / "elsewhere", on_change=("/no/such",)), seen)
    assert (done.path, done.entries, done.hook) == (NAME, 1, True)
    assert seen == [[".elsewhere.lock"]]
    assert names(tmp_path) == ["elsewhere.on-change-pending"]
    assert isinstance(done.failed, ConfigError)
    assert str(done.failed).startswith(f"{NAME} was written, but on_change `/no/such` failed")


def test_a_dry_run_of_it_writes_no_file(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    assert published(Chosen(lock=tmp_path / "elsewhere"), seen, dry_run=True).changed
    assert (seen, names(tmp_path)) == ([[]], [])
