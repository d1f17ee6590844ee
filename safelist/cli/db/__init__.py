"""``safelist db``: the database as a whole."""
