"""The page for users, helpdesk and auditors: a real nginx and a real Apache before it, a real browser behind those."""
