"""Outlook's safe senders, collected over EWS and published to the mail filters that reject by DNS blocklists."""

from importlib.metadata import version

__version__ = version("safelist")
