"""The filter: a client and an envelope in, a verdict out; DNS is all that it asks."""
