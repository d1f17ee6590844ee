"""``python -m safelist`` is the ``safelist`` command."""

from safelist.cli import main

if __name__ == "__main__":
    main()
