"""``safelist web``: the page for users, helpdesk and auditors."""

import logging
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from safelist.cli.configuration import addresses_in, load_config
from safelist.cli.terminal import ConfigOption, now
from safelist.errors import ConfigError


def web(
    demo: Annotated[
        str | None,
        typer.Option(metavar="MAILBOX", help="Loopback, no log-in: whoever opens it on this machine is MAILBOX."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --demo; 0: any that is free.")] = 8025,
    config_file: ConfigOption = None,
) -> None:
    """Answer the site's web server until SIGTERM: my safe senders, helpdesk, audit; see docs/web.md."""
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        raise ConfigError(f"safelist web needs {' and '.join(missing)}: in safelist's checkout, pip install '.[web]'")
    from safelist.web import server

    logging.basicConfig(stream=sys.stderr, format="safelist web: %(message)s", level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    config = load_config(config_file)
    if demo is None:
        server.serve(config, now)
    else:
        server.demonstrate(config, now, addresses_in([demo], "--demo")[0], port)
