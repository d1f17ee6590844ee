"""What a site's logs say was rejected: each format is read into the same values, and put to the policy."""
