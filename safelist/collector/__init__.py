"""The collector: mailboxes in, their Junk E-mail Rules out."""
