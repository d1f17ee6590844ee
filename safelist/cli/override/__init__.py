"""``safelist override``: what an administrator allows or blocks: one file a matter."""
