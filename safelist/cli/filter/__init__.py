"""``safelist filter``: the DNSBL filter: one file a command."""
