"""The ``safelist`` command: one file a command; here is the one boundary where an error becomes a line and a code."""

import errno
import io
import os
import shutil
import sys
import traceback
from typing import TextIO

import typer
from typer.core import TyperGroup

from safelist import errors
from safelist.cli import completion
from safelist.cli.commands import COMMANDS
from safelist.cli.deferred import build
from safelist.cli.terminal import complain, version_option

_app = typer.Typer(
    name="safelist",
    help="Outlook's safe senders, collected over EWS and published to the filters that reject by DNS blocklists.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: no option name is ever cut
    context_settings={"help_option_names": ["-h", "--help"]},
)
_app.callback()(version_option)


def command() -> TyperGroup:
    """The ``safelist`` command itself."""
    return build(_app, COMMANDS)


# The public base of every mistake on the command line, whether typer brings its own click or uses the installed one.
_CommandLineError = typer.BadParameter.__mro__[2]


_UNSEEN_WIDTH = 200
"""Columns of the help where nobody looks: a pipe has no width, and COLUMNS says otherwise."""


def main() -> None:
    """Run the command line and exit with a code of sysexits(3); no traceback for anything a user can cause."""
    _prepare_streams()
    sys.exit(_flushed(completion.answer(_code) if completion.is_asked() else _code()))


def _code() -> int:
    width = shutil.get_terminal_size((_UNSEEN_WIDTH, 24)).columns
    try:
        code = command().main(
            prog_name="safelist", standalone_mode=False, terminal_width=width, max_content_width=width
        )
    except errors.SafelistError as error:
        complain(str(error))
        code = error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        code = 0
    except SystemExit as end:
        # The way in which click and rich say that the reader of our output (head, less) has gone: nothing is wrong.
        code = 0 if isinstance(end.__context__, BrokenPipeError) else end.code
    except Exception as error:
        code = _report_unforeseen(error)
    return code if isinstance(code, int) else 0


def _flushed(code: int) -> int:
    """Write the rest of the output, and return the code; Python must not complain at its exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop(sys.stdout)
    except OSError as error:
        code = _report_unforeseen(error)
    try:
        sys.stderr.flush()
    except OSError:  # nobody is left to be told, and since Python 3.13 the code would be 120
        _drop(sys.stderr)
    return code


def _drop(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _prepare_streams() -> None:
    """Have a closed stream swallow what is written; no character of a user's list is too much for the terminal."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: PTH123, SIM115 (stays open until the end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)


def _report_unforeseen(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        if error.filename is None:
            _drop(sys.stdout)
        complain(
            f"{error.filename or 'the output'}: cannot be written: {error.strerror}; make room, or look at that disk"
        )
        return errors.EX_UNAVAILABLE
    if isinstance(error, _CommandLineError):
        error.show()  # type: ignore[attr-defined] # click's ClickException
        return errors.EX_USAGE
    if os.environ.get("SAFELIST_DEBUG"):
        traceback.print_exc()
    complain(
        f"a fault in safelist: {type(error).__name__}: {error}; please report it with what SAFELIST_DEBUG=1 prints"
    )
    return errors.EX_SOFTWARE
