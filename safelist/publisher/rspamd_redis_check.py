"""Whether what was published lies in Redis as it was, and the running rspamd's rule reads it there."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from safelist.errors import SafelistError
from safelist.publisher import rspamd_check
from safelist.publisher.list_sums import ListSums, is_pair
from safelist.publisher.redis_hash import RedisHash
from safelist.publisher.rspamd_check import PublishedRule, SamplePair, UnaskableError
from safelist.publisher.sorting import in_order
from safelist.remark import Remark


class PublishedHash(NamedTuple):
    """Where the lists are: ``place`` for people, and how it is reached.

    ``exception`` is the value of a sender who is not safe; ``servers`` is what ``configuration``, a file of rspamd's,
    has to say for the rule to find that Redis.
    """

    place: str
    connected: Callable[[], AbstractContextManager[RedisHash]]
    exception: str
    configuration: str
    servers: str


class HashContent(NamedTuple):
    """What lies there: the mark of what was published, and a sender of each list whom a mail can be from."""

    mark: str
    samples: tuple[SamplePair, ...]


def without_section() -> Iterator[Remark]:
    """Say that there is nothing to ask for."""
    yield Remark(
        True,
        "the configuration has no [publish.rspamd-redis]: write that section, with the Redis that rspamd asks as "
        "`redis`, and run `safelist publish`",
    )


def remarks(rule: PublishedRule, published: PublishedHash) -> Iterator[Remark]:
    """Look into Redis, and ask the running rspamd for its rule, what this sees there, and one sender of each list."""
    found: list[HashContent] = []
    try:
        yield from _of_hash(published, found)
        said = rspamd_check.told(rule)
        yield (of_answer := _of_answer(said, published, found[0].mark if found else ""))
        yield from rspamd_check.of_proofs(said)
        for sample in found[0].samples if found and not of_answer.is_fault else ():
            yield from rspamd_check.of_sample(rule, sample, published.place)
    except UnaskableError as fault:
        yield Remark(True, str(fault))


def _of_hash(published: PublishedHash, found: list[HashContent]) -> Iterator[Remark]:
    """Whether the list is there, and whole; what it is becomes the one of ``found``."""
    sums, samples = ListSums(), dict[bool, SamplePair]()
    try:
        with published.connected() as there:
            mark = there.mark()
            for line in sums.added(in_order(there.lines())):
                if is_pair(line) not in samples:
                    sample = rspamd_check.sample_of(line.decode("ascii", "replace"), published.exception)
                    samples |= {} if sample is None else {is_pair(line): sample}
    except SafelistError as error:
        yield Remark(True, str(error))
        return
    if not mark:
        yield Remark(True, f"{published.place} is not there: run `safelist publish`; until then nobody is safe")
        return
    found.append(HashContent(mark, tuple(samples.values())))
    if mark != sums.mark:
        yield Remark(
            True,
            f"{published.place}: somebody has changed entries since they were published: run `safelist publish`, and "
            "let nobody else write there",
        )
    else:
        counts = f"{sums.everybody.entries} senders for everybody, {sums.recipients.entries} for single recipients"
        yield Remark(False, f"{published.place} holds what was published: {counts}")


def _of_answer(said: dict[str, str], published: PublishedHash, mark: str) -> Remark:
    """Whether rspamd reads that list; ``mark`` is empty where safelist itself could not."""
    server, fault, read = said.get("server", ""), said.get("fault", ""), said.get("published", "")
    remedy = f"correct {published.configuration}, which for that Redis says\n{published.servers}and restart rspamd"
    if server == "none":
        return Remark(True, f"rspamd's rule asks no Redis ({fault}): {remedy}")
    if fault and not read:
        return Remark(True, f"rspamd's rule finds nobody safe ({fault}): start that Redis and publish, or {remedy}")
    if mark and read != mark:
        return Remark(
            True,
            f"rspamd's rule reads another list, from {server}, than {published.place} is: if that is a replica, see "
            f"that it follows ({server}: INFO replication) and check again; if it is another Redis, {remedy}",
        )
    return Remark(False, f"rspamd's rule reads it from {server}")
