"""The agent: protocol, loop, model access, context, tools and approvals. Knows no user interface."""
