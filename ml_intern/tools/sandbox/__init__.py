"""Rented sandboxes on the Hub: what lives there, and the tools that act in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_intern.core.tools.spec import ToolSpec

if TYPE_CHECKING:
    from ml_intern.tools.sandbox.access import Sandboxes


def create_sandbox_runtime(sandboxes: Sandboxes) -> list[ToolSpec]:
    """`bash`, `read`, `write` and `edit` in a sandbox, and the tools that choose and end it."""
    from ml_intern.tools.sandbox import bash, files, tool  # only who wants a sandbox waits for their import

    return [
        bash.create_bash_tool(sandboxes),
        *files.create_file_tools(sandboxes),
        *tool.create_sandbox_tools(sandboxes),
    ]
