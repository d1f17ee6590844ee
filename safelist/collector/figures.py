"""Names of a run's figures that tell of its extent, for those who read them. Pure."""

PARTIAL, LEFT_OUT = "partial", "left_out"
"""The run did not ask every mailbox; so many parts of the source could not tell which mailboxes they have."""
