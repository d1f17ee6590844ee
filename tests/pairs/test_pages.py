"""What the pages about other filters have for ``safelist.toml``, published as it stands there."""

from pathlib import Path

import pytest

from safelist import config
from safelist.cli.configuration import target_sections
from safelist.config import toml
from safelist.policy import Settings
from safelist.publisher.publish import publish
from safelist.publisher.targets import configured
from tests.docs.documents import PAGES, Block
from tests.pairs.smtpd import TABLE
from tests.pairs.test_forms import DESK, Both, held, voted
from tests.publisher.site import NOW

NAMES = ("other-filters", "mailcow", "mailu", "proxmox", "stalwart", "halon")
BLOCKS = [block for name in NAMES for block in PAGES[f"docs/filters/{name}.md"].blocks("toml")]
ENTRIES = {
    "csv": 2, "json-lines": 2, "opensmtpd": 0, "mailcow": 0, "recipient|sender": 2, "template": 2
}  # fmt: skip
"""Of one sender for everybody, and one for a recipient, both of whom have to prove themselves."""


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_what_a_page_configures_is_published(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "safelist.toml"
    path.write_text(f'[database]\nurl = "sqlite:///x"\n{block.text}')
    loaded = config.load(path, target_sections())
    assert loaded.publish
    for name, settings in loaded.publish.items():
        chosen = settings.model_copy(update={"path": tmp_path / settings.path.name, "on_change": ()})
        given = Both([voted("all@aol.example")], [held(DESK, "bob@aol.example")])
        done = publish(given, Settings(), configured(name, chosen), chosen, lambda: NOW)
        assert (done.target, done.entries) == (name, ENTRIES[chosen.format]), toml(str(settings.path))


def test_what_publish_tells_to_write_is_what_the_page_says(tmp_path: Path) -> None:
    chosen = target_sections()["pairs"].model_validate({"path": tmp_path / "table", "format": "opensmtpd"})
    use = configured("pairs", chosen).use(chosen)
    lines = [line for line in use.splitlines() if not line.startswith("#")]
    (block,) = PAGES["docs/filters/other-filters.md"].blocks("smtpd")
    assert len(lines) == 2
    assert {line.replace(str(tmp_path / "table"), TABLE) for line in lines} <= set(block.text.splitlines())


def test_the_page_says_of_mailscanner_what_publish_does() -> None:
    """One verdict for all recipients: without the second line whom one of them trusts is trusted for all."""
    chosen = target_sections()["pairs"].model_validate({"path": "/PATH", "format": "mailscanner"})
    _, rules, recipients = configured("pairs", chosen).use(chosen).splitlines()
    assert recipients == "Use Default Rules With Multiple Recipients = yes"
    text = PAGES["docs/filters/other-filters.md"].text
    assert f"`{rules.replace('/PATH', 'PATH')}` and `{recipients}`." in text
