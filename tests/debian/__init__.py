"""The Debian package, built of this checkout, and used on a bare Debian that is not this machine's own."""
