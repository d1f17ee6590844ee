"""The tables of the page about rejections, made of the program's own: ``python -m tests.docs.fingerprints``."""

from collections.abc import Iterator

from safelist.rejections.fingerprints import Certainty, Fingerprint, table
from safelist.rejections.rejection import Stage
from tests.docs.documents import ROOT

PAGE = "docs/explain.md"
HEADING = "\n## The replies\n"
STAGES = {
    Stage.CONNECT: "connecting",
    Stage.HELO: "HELO",
    Stage.MAIL: "MAIL FROM",
    Stage.RCPT: "RCPT TO",
    Stage.DATA: "DATA",
    Stage.MESSAGE: "after the data",
}


def written() -> str:
    """All that stands below the heading."""
    known = table()
    certain = sum(each.certainty is Certainty.CERTAIN for each in known.replies)
    return f"""
{len(known.replies)} texts, the most specific first; {certain} are certain, {len(known.replies) - certain} likely.
Each stands here with one example.

| it says | who | when | means | do | how certain, and source |
|---|---|---|---|---|---|
{"".join(map(_reply, known.replies))}
## The headers

{len(known.headers)} kinds of headers that boxes leave in mail which passed. A Cisco PIX or ASA leaves none: look at
the greeting instead.

| header | who | means | do | how certain, and source |
|---|---|---|---|---|
{"".join(map(_header, known.headers))}"""


def _reply(row: Fingerprint) -> str:
    when = ", ".join(STAGES[stage] for stage in row.stages)
    return _row(f"`{row.examples[0]}`", row.who, when, row.meaning, row.advice, f"{row.certainty}: {row.source}")


def _header(row: Fingerprint) -> str:
    return _row(f"`{row.examples[0]}`", row.who, row.meaning, row.advice, f"{row.certainty}: {row.source}")


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(_cell, cells))} |\n"


def _cell(text: str) -> str:
    text = text.replace("|", "\\|")
    return text if text.startswith("`") else "".join(_escaped(text))


def _escaped(text: str) -> Iterator[str]:
    return (f"\\{letter}" if letter in "<*[" else letter for letter in text)


if __name__ == "__main__":
    path = ROOT / PAGE
    head = path.read_text(encoding="utf-8").partition(HEADING)[0]
    path.write_text(f"{head}{HEADING}{written()}", encoding="utf-8")
