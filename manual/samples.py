"""Write both configurations, commented, into a directory: ``python -m manual.samples DIRECTORY``."""

import sys
from pathlib import Path

from manual import files

for name, text in files.samples().items():
    (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
