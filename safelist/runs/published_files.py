"""Whether a target's files are still what was published."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from safelist.errors import SafelistError
from safelist.publisher import files
from safelist.publisher.target import Target
from safelist.store import PublishedFile, TargetState


class FileState(StrEnum):
    """What a target's files are."""

    AS_PUBLISHED = "as-published"
    DIFFERENT = "different"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    BEING_PUBLISHED = "being-published"
    NO_FILE = "no-file"
    UNKNOWN = "unknown"


class FileFacts(NamedTuple):
    """The state of a target's files, and a sentence where that is not as it should be."""

    state: FileState
    text: str = ""


_AGAIN = "`safelist publish` writes it anew"


def look_at(target: Target, beside: Path, state: TargetState | None) -> FileFacts:
    """Compare the files that were noted when they were published with those that are there.

    ``beside`` is where the publisher keeps its lock: while it holds that, no file need be what it was.
    """
    if state is None:
        return FileFacts(FileState.UNKNOWN)
    if not state.files:
        return FileFacts(FileState.NO_FILE)
    found = next((fault for file in state.files for fault in _faults(target, file)), None)
    if found is None:
        return FileFacts(FileState.AS_PUBLISHED)
    return FileFacts(FileState.BEING_PUBLISHED) if files.is_being_published(beside) else found


def _faults(target: Target, file: PublishedFile) -> Iterator[FileFacts]:
    for path in map(Path, file.opened):
        try:
            path.stat()
        except PermissionError:
            yield _unreadable(path, "may not be read by this user")
        except OSError as error:
            yield FileFacts(FileState.MISSING, f"{path} is gone ({error.strerror}); {target.if_missing}; {_AGAIN}")
    yield from _differences(target, file)


def _differences(target: Target, file: PublishedFile) -> Iterator[FileFacts]:
    text, *indexes = map(Path, file.opened)
    try:
        if target.digest(Path(file.path)) != file.digest:
            yield FileFacts(FileState.DIFFERENT, f"{file.path} is not what was published: somebody edits it; {_AGAIN}")
        for index in indexes:
            if index.stat().st_mtime_ns < text.stat().st_mtime_ns:
                yield FileFacts(FileState.DIFFERENT, f"{index} is older than its text; {_AGAIN}")
    except PermissionError:
        yield _unreadable(Path(file.path), "may not be read by this user")
    except OSError as error:
        yield _unreadable(Path(file.path), f"cannot be read: {error.strerror}")
    except SafelistError as error:
        yield FileFacts(FileState.DIFFERENT, f"{error}; {_AGAIN}")


def _unreadable(path: Path, why: str) -> FileFacts:
    return FileFacts(FileState.UNREADABLE, f"{path} {why}; run this as the user who publishes")
