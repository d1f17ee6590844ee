"""The page about the configuration, made of what the program writes: ``python -m tests.docs.configuration``."""

from safelist import config
from safelist.cli.configuration import target_sections
from safelist.collector import sources
from safelist.filter import settings
from tests.docs.documents import ROOT

PAGE = "docs/reference/configuration.md"
DATABASE = "sqlite:////var/lib/safelist/safelist.db"


def written() -> str:
    """The whole page."""
    return f"""\
# Configuration

Every key, with what it means and, where the line is a comment, the value that holds without it or an example. Unknown
keys and wrong values are faults: `safelist config check` and `safelist filter check` report all of them at once.

## safelist.toml

`safelist init` writes this file: for root `/etc/safelist/safelist.toml`, for others `~/.config/safelist/safelist.toml`,
or what `--config` or `SAFELIST_CONFIG` names. Further sources stand in `[[sources]]`, at its end: [several
sources](../sources.md#several-sources).

```toml
{config.sample(DATABASE, target_sections(), sources.sections()).strip()}
```

## filter.toml

`safelist filter sample` prints this file; `--config` or `SAFELIST_FILTER_CONFIG` names it, else it is
`{settings.DEFAULT_PATH}`.

```toml
{settings.sample().strip()}
```
"""


if __name__ == "__main__":
    (ROOT / PAGE).write_text(written(), encoding="utf-8")
