"""The secret that the configuration names: a password, or an OAuth client secret; it never stands in a message."""

import base64
import codecs
import errno
import os
import shlex
import subprocess
from pathlib import Path
from urllib.parse import quote, quote_plus

from safelist.config import MAX_BYTES, Exchange
from safelist.errors import ConfigError, PermissionDeniedError, UnavailableError


def read_secret(exchange: Exchange) -> str | None:
    """Read the password or client secret from wherever the configuration says it is; None for Kerberos.

    Raises ConfigError, PermissionDeniedError or UnavailableError; no message ever holds the secret.
    """
    if exchange.secret is not None:
        return exchange.secret.get_secret_value()
    if exchange.secret_env is not None:
        if not (value := os.environ.get(exchange.secret_env)):
            raise ConfigError(
                "exchange.secret_env: the environment variable of that name is not set; set it, and write its name "
                "there, not the secret itself"
            )
        return value
    if exchange.secret_command is not None:
        return _first_line(_output_of(exchange.secret_command), "exchange.secret_command: the command printed nothing")
    if exchange.secret_credential is not None:
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise ConfigError(
                "exchange.secret_credential: systemd passed no credentials ($CREDENTIALS_DIRECTORY is not set); "
                "run it as a unit with LoadCredential=, or use secret_file"
            )
        return _secret_in_file(Path(directory) / Path(exchange.secret_credential).name, "exchange.secret_credential")
    if exchange.secret_file is None:
        return None
    return _secret_in_file(_passed(exchange.secret_file) or exchange.secret_file, "exchange.secret_file")


def _passed(path: Path) -> Path | None:
    """The credential of the file's name, where systemd has passed one: the file itself may be root's alone.

    An empty one stands for none (``SetCredential=`` keeps a unit going that needs no secret).
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return None
    passed = Path(directory) / path.name
    try:
        return passed if passed.read_bytes().strip() else None
    except OSError:  # none of that name; a secret in the place of a name is too long for one
        return None


class SecretMask:
    """Takes a secret out of texts, in each form in which it is sent, since a server may send it back."""

    SHORTEST = 4
    """A secret below this stands in too many words by chance."""

    def __init__(self, secret: str | None, user: str | None) -> None:
        known = {secret, quote(secret, safe=""), quote_plus(secret)} if secret else set()
        if secret:
            known.add(base64.b64encode(f"{user or ''}:{secret}".encode()).decode())
        self._known = sorted((text for text in known if len(text) >= self.SHORTEST), key=len, reverse=True)

    def in_text(self, text: str, *more: str | None) -> str:
        """``text`` without the secret and without ``more`` of that kind, such as a token."""
        for secret in (*self._known, *more):
            if secret:
                text = text.replace(secret, "***")
        return text


def _secret_in_file(path: Path, key: str) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            data = file.read(MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{key}: the file of that name does not exist ({_nearest(path)} does); write the secret into it, and its "
            "name there, not the secret itself"
        ) from None
    except OSError as error:
        named = "the file of that name" if error.errno == errno.ENAMETOOLONG else path
        raise PermissionDeniedError(f"{key}: {named} cannot be read: {error.strerror}") from None
    if mode & 0o007:
        raise ConfigError(f"{key}: others may read {path} (mode {mode:o}): chmod 600 {shlex.quote(str(path))}")
    return _first_line(data, f"{key}: {path} is empty")


def _nearest(path: Path) -> Path:
    """The directory above that is there: the rest may be the secret, by mistake."""
    return next((above for above in path.parents if above.is_dir()), Path("/"))


def _output_of(command: str) -> bytes:
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, timeout=60, check=False)  # noqa: S603 (the administrator's own)
    except (OSError, ValueError) as error:
        raise UnavailableError(f"exchange.secret_command: it cannot be run: {_why(error)}") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError("exchange.secret_command: it gave no answer in 60 seconds") from None
    if done.returncode:
        raise UnavailableError(
            f"exchange.secret_command: it ended with status {done.returncode}; run it by hand to see why"
        )
    return done.stdout


def _why(error: Exception) -> str:
    """Without the command's words, among which a secret may stand."""
    return (error.strerror or "") if isinstance(error, OSError) else "its quotes are not balanced"


def _first_line(data: bytes, empty: str) -> str:
    """Without a byte order mark, which editors and PowerShell put in front; blanks may be part of a secret."""
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        line = data.decode(encoding).partition("\n")[0].removesuffix("\r")
    except UnicodeDecodeError:
        line = "\0"
    if "\0" in line:  # UTF-16 without a mark, for one
        raise ConfigError(f"{empty.partition(':')[0]}: the secret is not UTF-8 text; save it as UTF-8")
    if not line:
        raise ConfigError(empty)
    return line
