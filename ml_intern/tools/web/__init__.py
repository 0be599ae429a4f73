"""Tools for the web: searching it and reading pages of it."""
