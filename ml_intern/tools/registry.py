"""The built-in tools, in the order a model sees them."""

from __future__ import annotations

from collections.abc import Mapping

from ml_intern.core.tools.spec import ToolSpec
from ml_intern.tools.edit import create_edit_tool
from ml_intern.tools.files import create_file_tools
from ml_intern.tools.jobs.backend import JobsBackend
from ml_intern.tools.jobs.tool import create_jobs_tool
from ml_intern.tools.plan import create_plan_tool
from ml_intern.tools.shell import create_bash_tool


def create_builtin_tools(jobs: JobsBackend, *, secrets: Mapping[str, str] | None = None) -> list[ToolSpec]:
    """All tools that come with the program.

    Args:
        jobs: Where compute jobs run.
        secrets: Where the values of secrets come from that a job names; the children's environment by default.
    """
    return [
        create_bash_tool(),
        *create_file_tools(),
        create_edit_tool(),
        create_plan_tool(),
        create_jobs_tool(jobs, secrets=secrets),
    ]
