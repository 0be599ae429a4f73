"""Tools of other programs over the Model Context Protocol.

The `mcp` package takes a second to import, so nothing here imports it before a server is configured, and then in a
thread.
"""
