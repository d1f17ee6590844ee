"""``--ping URL``: tells a monitor of timers, such as healthchecks, that a run began, went well, or failed.

The form is healthchecks': ``URL/start``, then ``URL`` or ``URL/EXIT-CODE``. Whoever knows the URL can say that all is
well, so it is a secret: no message holds any of it. The library that asks Exchange would log it in places.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import typer

import safelist
from safelist.cli.terminal import complain
from safelist.errors import EX_OK, EX_SOFTWARE, SafelistError

PingOption = Annotated[
    str | None,
    typer.Option(
        "--ping", metavar="URL", envvar="SAFELIST_PING", show_default=False,
        help="Tell this monitor (healthchecks, for one) of start, success and failure; or /FILE with its URL in it.",
    ),
]  # fmt: skip
SECONDS = 10.0
"""For one ping; a run never waits longer for any."""
_TRIES = 3
_INTERRUPTED = 130


@contextmanager
def pinged(url: str | None, seconds: float = SECONDS) -> Iterator[None]:
    """Ping at the beginning and the end of the block, with the exit code that it ends the command with.

    Neither ping is waited for longer than ``seconds``. What fails is said on standard error, and changes nothing:
    neither the run nor its exit code.
    """
    if url is None or (address := _address(url)) is None:
        yield
        return
    begun, code = _Ping(address, "/start", seconds), EX_OK
    try:
        yield
    except BaseException as error:
        code = _code_of(error)
        raise
    finally:
        begun.end()
        _Ping(address, f"/{code}" if code else "", seconds).end()


def _address(url: str) -> SplitResult | None:
    """The address, or that in the file which is named instead; None, and a complaint, where there is none."""
    try:
        text = Path(url).read_text(encoding="utf-8").partition("\n")[0] if url.startswith("/") else url
        parts = urlsplit(text.strip())
        if parts.scheme in ("http", "https") and parts.hostname and parts.geturl().isascii() and _is_plain(parts):
            return parts
    except OSError as error:
        complain(f"--ping: the file with the address cannot be read: {error.strerror}; nobody is told of this run")
        return None
    except ValueError:
        pass
    complain("--ping: write an address that begins with https://, or the path of a file that holds one")
    return None


def _is_plain(parts: SplitResult) -> bool:
    return parts.port != 0 and not any(c.isspace() or not c.isprintable() for c in parts.geturl())


def _code_of(error: BaseException) -> int:
    """The exit code that the error ends the command with; the boundary in ``cli`` gives the same."""
    match error:
        case SafelistError() | typer.Exit():
            return error.exit_code
        case KeyboardInterrupt() | typer.Abort():
            return _INTERRUPTED
        case BrokenPipeError():
            return EX_OK
    return EX_SOFTWARE


class _Ping(Thread):
    """One ping, in a thread of its own, because looking a name up knows no end; ``fault`` is why it did not arrive."""

    def __init__(self, address: SplitResult, suffix: str, seconds: float) -> None:
        super().__init__(daemon=True)
        self._url = address._replace(path=address.path.rstrip("/") + suffix, fragment="").geturl()
        self._seconds = seconds
        self.fault = f"no answer in {seconds:g} seconds"
        self.start()

    def run(self) -> None:
        """Try it some times."""
        for _ in range(_TRIES):
            if not (fault := _fault_of(self._url, self._seconds)):
                break
        self.fault = fault

    def end(self) -> None:
        """Wait for it, and say why it did not arrive."""
        self.join(self._seconds)
        if self.fault:
            complain(f"--ping: {self.fault}")


def _fault_of(url: str, seconds: float) -> str:
    """Why the ping did not arrive, in words that hold nothing of the address; empty: it did."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        request = Request(url, headers={"User-Agent": f"safelist/{safelist.__version__}"})  # noqa: S310 (http or https)
        with urlopen(request, timeout=seconds) as answer:  # noqa: S310
            answer.read(1)
    except HTTPError as error:
        error.close()
        return f"the monitor answers HTTP {error.code}; is the address right?"
    except OSError as error:
        why = getattr(error, "reason", error)
        return f"the monitor cannot be reached: {getattr(why, 'strerror', None) or type(why).__name__}"
    except (HTTPException, ValueError) as error:
        return f"what answers there is no monitor: {type(error).__name__}"
    return ""
