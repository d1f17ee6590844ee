"""``safelist notify``: mail that a unit has failed."""

from typing import Annotated

import typer

from safelist.errors import UsageError
from safelist.runs import notice


def notify(
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="The unit that has failed, such as safelist.service.")],
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Who gets the mail.")] = "root",
    server: Annotated[str, typer.Option(metavar="HOST:PORT", help="Who takes it, by SMTP.")] = "127.0.0.1:25",
) -> None:
    """Mail that a unit of systemd has failed, and the last lines of its journal; safelist-notify@.service runs it."""
    host, _, port = server.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"--server: {server!r} is no HOST:PORT, such as 127.0.0.1:25")
    notice.send(notice.notice(unit, to, notice.last_lines(unit)), host.strip("[]"), int(port))
