"""Tools that read working code on GitHub."""
