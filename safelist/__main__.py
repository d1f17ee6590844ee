"""The ``safelist`` command, also as ``python -m safelist``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends with 130 even before everything is loaded."""
    try:
        from safelist.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
