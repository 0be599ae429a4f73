"""The `research` tool over whatever runs sub-agents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec

Depth = Literal["quick", "normal", "deep"]

TOOLS = (
    "read",
    "bash",
    "explore_hf_docs",
    "fetch_hf_docs",
    "find_hf_api",
    "hf_papers",
    "hf_inspect_dataset",
    "hub_search",
    "hub_repo_details",
    "hf_repo_files",
    "github_find_examples",
    "github_list_repos",
    "github_read_file",
    "web_search",
    "web_fetch",
)
"""What a sub-agent may use; of these, what the session has."""

_DESCRIPTION = """\
Sends a sub-agent to look something up and comes back with its report. It has a conversation of its own, so what it \
reads does not fill yours, and it only reads: papers, documentation, the Hub, GitHub, the web, files here. It knows \
nothing of this conversation: put into `task` and `context` what it needs (what you are doing, names, ids, versions, \
what is known already) and what you want back. Use it for questions that take several sources; for one look-up call \
the tool yourself. Several calls in one reply work side by side. What comes back is evidence, not a decision: check \
what matters most."""


class ResearchParams(Params):
    """Parameters of `research`."""

    task: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1),
        Field(description="What is to be found out, and in which form you want the answer."),
    ]
    context: Annotated[str, Field(description="What the sub-agent should know beforehand.")] = ""
    depth: Annotated[
        Depth,
        Field(description="quick: a fact or two. normal: several sources compared. deep: a survey of literature."),
    ] = "normal"


def create_research_tool() -> ToolSpec:
    """The tool. What a report says comes from outside, so the main agent gets it marked as data."""
    return ToolSpec("research", _DESCRIPTION, ResearchParams, _research, fetches=True)


async def _research(params: ResearchParams, context: ToolContext) -> ToolResult:
    if context.delegate is None:
        return ToolResult("ERROR: research cannot be used here: there is nobody to send.", ok=False)
    from ml_intern.tools.research.assigning import assignment

    return await context.delegate(assignment(params, context))
