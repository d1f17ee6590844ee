"""``safelist audit report``: one page for an auditor."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from safelist import store
from safelist.audit.report import AuditReport, Setting, build
from safelist.cli.configuration import load_config
from safelist.cli.terminal import ConfigOption, now, say
from safelist.config import Config
from safelist.errors import PermissionDeniedError, TamperedError, UnavailableError
from safelist.publisher.targets import configured
from safelist.store import Store, Verified


def report(
    html: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the page; - for standard output.")],
    config_file: ConfigOption = None,
) -> None:
    """Write one self-contained page: totals, who is safe by whose trust, what was refused, overrides, problems."""
    from safelist.audit.report.page import render  # jinja2 takes its time, and no other command needs it

    config = load_config(config_file)
    with store.open_store(config.database.url) as opened:
        verified = opened.verify_chain()
        page = render(_built(opened, config, verified))
    if str(html) == "-":
        print(page)
    else:
        _write(html, page)
        say(f"{html}: written")
    if verified.problem:
        raise TamperedError(f"the record was changed by something else than safelist: {verified.problem}; see the page")


def _built(opened: Store, config: Config, verified: Verified) -> AuditReport:
    demands = [Setting(f"Published to {name}", configured(name, it).demands(it)) for name, it in config.publish.items()]
    return build(opened, config.policy.settings(opened.own_domains()), now(), verified=verified, demands=demands)


def _write(path: Path, page: str) -> None:
    """Write it for its owner only, and all or nothing: it says who writes to whom."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise UnavailableError(f"{path}: this is no regular file; name one, or - for standard output")
    try:
        handle, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
            Path(new).replace(path)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise
    except PermissionError as error:
        raise PermissionDeniedError(f"{path}: may not be written by this user ({error.strerror})") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written: {error.strerror}") from None
