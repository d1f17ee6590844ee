"""The manual pages, made when the package is built: of the commands themselves, and of the configurations' samples."""
