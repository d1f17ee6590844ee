"""Outlook's safe senders, collected over EWS and published to the mail filters that reject by DNS blocklists."""


def __getattr__(name: str) -> str:
    """``__version__``, of the installed package; reading it takes longer than most of what a command does."""
    if name == "__version__":
        from importlib.metadata import version

        return version("safelist")
    raise AttributeError(name)
