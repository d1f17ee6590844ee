"""``safelist check``: whether the mail filter of a target reads what was published, and where it helps."""

from typing import Annotated

import typer

from safelist.cli import completion
from safelist.cli.configuration import load_config
from safelist.cli.remarks import report
from safelist.cli.terminal import ConfigOption, JsonOption, say
from safelist.errors import UsageError
from safelist.publisher.targets import TARGETS, configured

_CHECKS = {name: each.check for name, each in TARGETS.items() if each.check}


def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help=f"{', '.join(_CHECKS)}.",
            autocompletion=completion.checked_targets,
        ),
    ],
    config_file: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the mail filter itself what it makes of a published target; changes nothing."""
    publish, kind = load_config(config_file).publish, target.partition(".")[0]
    settings, ask = publish.get(target), _CHECKS.get(kind)
    named = [name for name in publish if name.startswith(f"{kind}.")]
    if settings is None and ask and (named or kind != target):
        has = f"it has: {', '.join(publish)}" if publish else "it has none"
        raise UsageError(f"check: the configuration has no [publish.{target}]; {has}")
    if ask is None:
        other = "; of safelist's own filter: `safelist filter check`" if kind == "filter" else ""
        raise UsageError(f"check: there is no check of {target}; there is one of {', '.join(_CHECKS)}{other}")
    use = "" if json or settings is None else configured(target, settings).use(settings)
    if "\n" in use:
        say(use, is_answer=True)
    report(list(ask(settings)), json=json)
