"""What reading a Postfix log for rejections costs, beside ``grep -c 'reject:'`` and pflogsumm in the same run.

python benchmarks/rejections.py [--lines 10000000] [--rounds 3] [--without-pflogsumm]

The log has one rejection in a hundred lines, all of them different mails. CPU is user and system time; elapsed time is
what a person waits. pflogsumm reads a tenth of the lines where there are more than a million, for it takes minutes.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from machine import machine

OTHERS = (
    ("smtpd", "connect from mail-{0}.example.net[198.51.100.{1}]"),
    ("smtpd", "4XyZ{0:07d}: client=mail-{0}.example.net[198.51.100.{1}], sasl_method=PLAIN, sasl_username=user{1}"),
    ("cleanup", "4XyZ{0:07d}: message-id=<{0}.{1}@letters.example>"),
    ("qmgr", "4XyZ{0:07d}: from=<news-{1}@letters.example>, size={0}, nrcpt=1 (queue active)"),
    (
        "lmtp",
        "4XyZ{0:07d}: to=<user{1}@corp.example>, relay=dovecot[private/lmtp], delay=0.5, dsn=2.0.0, status=sent (250)",
    ),
    ("qmgr", "4XyZ{0:07d}: removed"),
    ("smtpd", "disconnect from mail-{0}.example.net[198.51.100.{1}] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1"),
)
REJECTED = (
    "NOQUEUE: reject: RCPT from unknown[192.0.2.{1}]: 554 5.7.1 Service unavailable; Client host [192.0.2.{1}] blocked "
    "using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.{1}; from=<sender{0}@aol.com> "
    "to=<user{1}@corp.example> proto=ESMTP helo=<mail-{0}>"
)
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


class Took(NamedTuple):
    """Seconds of CPU and elapsed, and the most memory in MiB."""

    cpu: float
    elapsed: float
    memory: float


def lines(count: int) -> Iterator[str]:
    """The log's lines, over twenty days."""
    for number in range(count):
        at = BEGIN + timedelta(seconds=number * 20 * 86400 / count)
        program, text = ("smtpd", REJECTED) if number % 100 == 50 else OTHERS[number % len(OTHERS)]
        said = text.format(number, number % 250)
        yield f"{at.isoformat(timespec='microseconds')} mx1 postfix/{program}[{number % 30000}]: {said}\n"


def took(command: Sequence[str]) -> Took:
    """What the command costs; it must end well."""
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = (sys.executable, "-c", MEASURED, *command)
    memory = subprocess.run(measured, check=True, capture_output=True, text=True).stderr.split()[-1]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(cpu, time.monotonic() - begin, int(memory) / 1024)


MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE)  # grep stops early where nobody reads its answer
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def best(command: Sequence[str], rounds: int) -> Took:
    """The least of each over the rounds: whatever else the machine does only adds to it."""
    every = [took(command) for _ in range(rounds)]
    return Took(*(min(values) for values in zip(*every, strict=True)))


def measure(path: Path, rounds: int, *, with_pflogsumm: bool) -> None:
    """Print what each program takes for the log."""
    commands = {
        "grep -c": ["grep", "-c", "reject:", str(path)],
        "safelist": [sys.executable, "-m", "safelist", "rejections", "--logs-only", "--format", "postfix", str(path)],
        "safelist, every form": [sys.executable, "-m", "safelist", "rejections", "--logs-only", str(path)],
    }
    if with_pflogsumm:
        commands["pflogsumm"] = ["pflogsumm", str(path)]
    floor = best(commands.pop("grep -c"), rounds)
    print(f"  grep -c 'reject:': {floor.cpu:.2f} s of CPU, {floor.elapsed:.2f} s elapsed")
    for name, command in commands.items():
        it = best(command, rounds if name != "pflogsumm" else 1)
        print(
            f"  {name}: {it.cpu:.2f} s of CPU ({it.cpu / floor.cpu:.1f} x grep), {it.elapsed:.2f} s elapsed "
            f"({it.elapsed / floor.elapsed:.1f} x grep), {it.memory:.0f} MiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-pflogsumm", action="store_true")
    chosen = parser.parse_args()
    with_pflogsumm = not chosen.without_pflogsumm and shutil.which("pflogsumm") is not None
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        for count in (chosen.lines // 10, chosen.lines):
            path = Path(place) / f"{count}.log"
            with path.open("w") as file:
                file.writelines(lines(count))
            print(f"{count:,} lines, {path.stat().st_size / 1e6:,.0f} MB")
            measure(path, chosen.rounds, with_pflogsumm=with_pflogsumm and count == chosen.lines // 10)


if __name__ == "__main__":
    main()
