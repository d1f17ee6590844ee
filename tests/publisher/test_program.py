"""Programs that publishing runs: whatever they do, one line says how they ended."""

import json
import os
import sys

import pytest

from safelist.errors import UnavailableError
from safelist.publisher import program


def python(code: str, given: bytes = b"") -> program.Ended:
    return program.run([sys.executable, "-c", code], given)


def test_input_and_output_are_bytes() -> None:
    outcome = python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])", b"\xff\x00a" * 100_000)
    assert outcome == (0, b"a\x00\xff" * 100_000, b"")


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9"),
        ("import sys; sys.stderr.write('first\\n\\n  fatal: last \\n\\n'); sys.exit(1)", "fatal: last"),
        ("import sys; sys.stderr.buffer.write(b'\\xff'); sys.exit(1)", "\\xff"),
        ("import sys; sys.stderr.write('x' * 100000); sys.exit(1)", "x" * 500),
    ],
)
def test_the_complaint_is_its_last_line_and_never_long(code: str, complaint: str) -> None:
    assert python(code).complaint == complaint


def test_no_secret_of_ours_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SAFELIST_SECRET", "PGPASSWORD", "CREDENTIALS_DIRECTORY", "LC_SECRET", "SAFELIST_CONFIG"):
        monkeypatch.setenv(name, "hunter2")
    for name, value in (("MAIL_CONFIG", "/etc/postfix-out"), ("TZ", "Europe/Berlin"), ("LC_ALL", "C.UTF-8")):
        monkeypatch.setenv(name, value)
    told = python("import os, json; print(json.dumps(dict(os.environ)))").output.decode()
    assert "hunter2" not in told
    seen = json.loads(told)
    assert (seen["MAIL_CONFIG"], seen["TZ"], seen["LC_ALL"]) == ("/etc/postfix-out", "Europe/Berlin", "C.UTF-8")
    assert seen["PATH"] == os.environ["PATH"]


def test_one_that_never_ends_is_stopped() -> None:
    with pytest.raises(UnavailableError, match=r"did not end in 0\.1 seconds"):
        program.run(["/bin/sleep", "1000"], seconds=0.1)


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(UnavailableError, match="/nowhere/postmap cannot be run: No such file"):
        program.run(["/nowhere/postmap"])
    assert program.find("no-such-program-anywhere") is None
