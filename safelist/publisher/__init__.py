"""From decisions to the files that mail filters read."""
