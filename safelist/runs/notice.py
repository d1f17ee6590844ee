"""A mail that a unit of systemd has failed, with what it said: what ``OnFailure=`` is for."""

import os
import smtplib
import socket
from email.message import EmailMessage

from safelist.errors import UnavailableError, UsageError
from safelist.publisher import program

LINES = 40
"""Of the unit's journal."""
_SECONDS = 30
_COLUMNS = 900
"""Of a line: SMTP ends one at 998 (RFC 5322 2.1.1)."""


def notice(unit: str, recipient: str, journal: str) -> EmailMessage:
    """The mail about ``unit``. Raises UsageError where a name cannot stand in a mail's header.

    systemd says how the unit ended: systemd.exec(5), $MONITOR_SERVICE_RESULT.
    """
    host = socket.gethostname()
    mail = EmailMessage()
    try:
        mail["Subject"] = f"{unit} failed on {host}"
        mail["From"] = f"safelist <root@{socket.getfqdn()}>"
        mail["To"] = recipient
    except ValueError:
        raise UsageError("notify: a unit's or a recipient's name holds no line break") from None
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody on holiday answers
    text = (
        f"{unit} on {host} has failed{_how()}. What is recorded and published stays as it was.\n\n"
        f"How things are:      safelist status\n"
        f"All that it said:    journalctl -u {unit}\n"
        f"Once more, by hand:  systemctl start {unit}\n\n{journal}"
    )
    plain = (line[:_COLUMNS] for line in text.encode("ascii", "backslashreplace").decode().splitlines())
    mail.set_content("\n".join(plain) + "\n", cte="7bit")  # as it is: to be read also where nothing decodes it
    return mail


def _how() -> str:
    result, status = os.environ.get("MONITOR_SERVICE_RESULT"), os.environ.get("MONITOR_EXIT_STATUS")
    if not result:
        return ""
    return f" ({result}, exit code {status})" if status else f" ({result})"


def last_lines(unit: str) -> str:
    """What the unit said last; where the journal cannot be read, why."""
    found = program.find("journalctl")
    if found is None:
        return "There is no journalctl on this host."
    outcome = program.run(
        [found, f"--unit={unit}", f"--lines={LINES}", "--no-pager", "--output=short-iso", "--quiet"], seconds=_SECONDS
    )
    said = outcome.output.decode(errors="backslashreplace")
    return said or f"Its journal is empty, or cannot be read: {outcome.complaint}"


def send(mail: EmailMessage, host: str, port: int) -> None:
    """Hand the mail over by SMTP. Raises UnavailableError."""
    try:
        with smtplib.SMTP(host, port, timeout=_SECONDS) as server:
            server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise UnavailableError(
            f"notify: {host}:{port} takes no mail: {error}; name a mail server with --server HOST:PORT"
        ) from None
