"""Where lists come from: one module or package a kind of source."""
