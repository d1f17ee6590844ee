"""Mail from senders who prove themselves or do not, and the DNS that says so: for every filter that the tests start."""
