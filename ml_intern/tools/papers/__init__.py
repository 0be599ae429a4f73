"""The tool that finds and reads papers."""
