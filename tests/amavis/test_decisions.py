"""What amavisd finds in the rows is what the policy decides, or less, and then it was reported."""

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from safelist import sender, store
from safelist.policy import Settings, decide
from safelist.publisher.publish import publish
from safelist.publisher.target import Published
from safelist.publisher.targets import amavis
from safelist.publisher.targets.amavis import AmavisSettings
from safelist.store import Store
from tests import aggregate
from tests.amavis import lookups, schema
from tests.publisher.site import NOW
from tests.publisher.test_recipients import ASKED, CHOSEN, MAILBOXES, SCOPES, SENDERS, filled

QUOTED = ['"a b"@p.example', '"#x"@s.p.example']
UNNAMED = ["é@p.example", "x?y@s.p.example"]
TAGGED = [
    "prvs=1234abcdef=x@aol.com",
    "prvs=1234abcdef=y@p.example",
    "prvs=1234abcdef=z@s.p.example",
    "x+news@aol.com",
    "new+x@s.p.example",
]


@pytest.fixture
def chosen(tmp_path: Path) -> AmavisSettings:
    """An SQLite database with the tables."""
    path = tmp_path / "amavis.db"
    path.touch()
    url = f"sqlite:///{path}"
    schema.run(url, schema.statements("sqlite"))
    return AmavisSettings.model_validate({"url": url, "lock": tmp_path / "lock", "unauthenticated": True})


def published(opened: Store, settings: Settings, chosen: AmavisSettings) -> Published:
    return publish(opened, settings, amavis.TARGET, chosen, lambda: NOW, allow_shrink=True)


def differing(opened: Store, chosen: AmavisSettings, settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """Recipients and senders of whom amavisd finds another thing than the policy, and what."""
    moment = opened.newest(NOW)
    settings = replace(settings, own_domains=settings.own_domains | opened.own_domains())
    for recipient in (*MAILBOXES, "nobody@corp.example"):
        raw = {sender.unquoted(sender.parse(text)): text for text in (*ASKED, *QUOTED, *UNNAMED, *TAGGED)}
        safe = lookups.safe(chosen.url, recipient, list(raw), chosen.recipient_delimiter)
        for unquoted, text in raw.items():
            candidate, _ = opened.candidate(sender.parse(text), recipient, settings, moment)
            if decide(candidate, settings, NOW).safe is not (unquoted in safe):
                yield recipient, text, unquoted in safe


@pytest.mark.parametrize("seed", range(9))
def test_nobody_is_safe_who_is_not_and_who_is_missed_was_reported(
    tmp_path: Path, chosen: AmavisSettings, seed: int
) -> None:
    """A tagged sender, and what extends an address, are no address of a list: the policy knows the first of them."""
    settings = CHOSEN[seed % 3]
    with closing(store.open_store(aggregate.create(tmp_path / "safelist.db"))) as opened:
        filled(opened, random.Random(seed), SCOPES, [*SENDERS, *QUOTED, *UNNAMED])
        done = published(opened, settings, chosen)
        left_out = {each.pattern.text for each in done.refused}
        for recipient, text, is_safe in differing(opened, chosen, settings):
            assert not is_safe or text in ("x+news@aol.com", "new+x@s.p.example"), (recipient, text)
            covering = sender.covering(sender.parse(text))
            assert is_safe or text in TAGGED or not left_out.isdisjoint(covering), (recipient, text)
        assert not published(opened, settings, chosen).changed


@pytest.mark.parametrize("seed", range(3))
def test_from_one_safelist_to_the_next_only_the_rows_of_the_next_are_left(
    tmp_path: Path, chosen: AmavisSettings, seed: int
) -> None:
    before = schema.everything(chosen.url)
    with closing(store.open_store(aggregate.create(tmp_path / "safelist.db"))) as opened:
        for step in range(4):
            filled(opened, random.Random(100 * seed + step), [], SENDERS)
            done = published(opened, CHOSEN[step % 3], chosen)
            assert len(schema.rows(chosen.url, "wblist")) == done.entries
            assert len(schema.rows(chosen.url, "safelist_wblist")) == done.entries
            used = {row[1] for row in schema.rows(chosen.url, "wblist")}
            assert {row[0] for row in schema.rows(chosen.url, "mailaddr")} == used
            used = {row[0] for row in schema.rows(chosen.url, "wblist")}
            assert {row[0] for row in schema.rows(chosen.url, "users")} == used
    with closing(store.open_store(aggregate.create(tmp_path / "empty.db"))) as empty:
        published(empty, Settings(), chosen)
    assert schema.everything(chosen.url) == before
