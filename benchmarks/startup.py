"""CPU time until a command has said what it was asked, beside a program of typer alone in the same run.

python benchmarks/startup.py [--rounds 7]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import machine

BARE = """
import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def one(name: str = "x") -> None:
    "One."


@app.command()
def two(name: str = "x") -> None:
    "Two."


app(prog_name="bare")
"""
QUESTIONS = (
    ("--version",), ("--help",), ("config", "check"), ("override", "list"),
    ("audit", "who", "friend@aol.com"), ("audit", "who", "friend@aol.com", "--json"), ("publish", "--dry-run"),
    ("filter", "ask", "--help"), ("sync", "--help"),
)  # fmt: skip


def completion(program: str, typed: str) -> dict[str, str]:
    """What bash asks with when TAB is pressed behind ``program typed``."""
    words = f"{program} {typed}"
    return {f"_{program.upper()}_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}


def seconds(command: list[str], environment: dict[str, str], rounds: int) -> float:
    """The median CPU time, user and system, of the process."""
    took = []
    for _ in range(rounds):
        before = os.times()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        after = os.times()
        took.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "bare.py").write_text(BARE)
        config = directory / "safelist.toml"
        config.write_text(
            f'[database]\nurl = "sqlite:///{directory}/safelist.db"\n'
            f'[mailboxes]\naddresses = ["desk@corp.example"]\n'
            f'[publish.postfix]\npath = "{directory}/map"\nmap_type = "texthash"\n'
        )
        environment = {"PATH": os.environ["PATH"], "HOME": place, "SAFELIST_CONFIG": str(config)}
        safelist = [sys.executable, "-m", "safelist"]
        subprocess.run([*safelist, "db", "upgrade"], env=environment, check=True)
        floor = seconds([sys.executable, str(directory / "bare.py"), "--help"], environment, rounds)
        print(machine())
        print(f"typer alone: {floor:.2f} s of CPU")
        alone = seconds([sys.executable, str(directory / "bare.py")], environment | completion("bare", "o"), rounds)
        took = seconds(safelist, environment | completion("safelist", "audit w"), rounds)
        print(f"completion of safelist audit w: {took:.2f} s, {took / alone:.2f} x completion by typer alone")
        alone = seconds([sys.executable, str(directory / "bare.py"), "one", "--help"], environment, rounds)
        took = seconds([*safelist, "audit", "--help"], environment, rounds)
        print(f"safelist audit --help: {took:.2f} s, {took / alone:.2f} x help on a command by typer alone")
        for question in QUESTIONS:
            took = seconds([*safelist, *question], environment, rounds)
            print(f"safelist {' '.join(question)}: {took:.2f} s, {took / floor:.2f} x typer alone")


if __name__ == "__main__":
    main()
