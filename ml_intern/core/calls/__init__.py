"""The tool calls of a reply, from what the model wrote to the one result that each gets."""
