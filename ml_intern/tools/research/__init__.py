"""The `research` tool: a sub-agent that looks something up and comes back with a report."""

from ml_intern.tools.research.tool import create_research_tool

__all__ = ["create_research_tool"]
