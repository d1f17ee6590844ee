"""Junk E-mail Rules of an Exchange organisation, over EWS."""
