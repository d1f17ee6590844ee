"""``safelist filter sample``: a commented configuration."""

from safelist.filter import settings


def sample() -> None:
    """Print a commented filter.toml; write it to /etc/safelist/filter.toml."""
    print(settings.sample(), end="")
