"""Write every page below a directory: ``python -m manual build/man`` makes man1 and man5 there."""

import sys
from pathlib import Path

import safelist
from manual.written import write

if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
    sys.exit("usage: python -m manual DIRECTORY")
write(Path(sys.argv[1]), safelist.__version__)
