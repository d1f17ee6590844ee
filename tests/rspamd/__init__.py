"""A real rspamd, what it makes of the published maps, and what its check says of it."""
