"""``safelist audit``: who trusts whom, and why a sender is safe: one file a question."""
