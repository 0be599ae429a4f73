"""What the model is told before a conversation begins: the system prompt, and the instructions of a trusted project."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from ml_intern.core.project import as_context, find_project, is_trusted, trust
from ml_intern.core.prompt import system_prompt


class Briefing:
    """Makes the system prompt of each new conversation in one workspace.

    Args:
        template: Text of `configs/prompts/system.md`.
        tools: Gives the names of the tools that are registered at that moment.
        workspace: Directory the tools work in.
        config: The user's configuration directory, where trust is remembered.
        headless: Whether nobody can answer.
        runtime: `local` or `sandbox`.
    """

    def __init__(
        self,
        template: str,
        tools: Callable[[], Collection[str]],
        *,
        workspace: Path,
        config: Path,
        headless: bool,
        runtime: str,
    ) -> None:
        self._template = template
        self._tools = tools
        self._workspace = workspace
        self._config = config
        self._headless = headless
        self._runtime = runtime
        self._project = find_project(workspace)

    @property
    def hint(self) -> str:
        """That there are instructions which nobody has trusted yet; empty when there are none."""
        project = self._project
        if not project.text or self._trusted:
            return ""
        names = " and ".join(path.name for path in project.files)
        return f"{project.root} has instructions for agents ({names}); they are not read until you /trust it."

    def system_prompt(self) -> str:
        """The system prompt, with the project's instructions if it is trusted."""
        text = system_prompt(
            self._template, self._tools(), workspace=self._workspace, headless=self._headless, runtime=self._runtime
        )
        return f"{text}\n\n{as_context(self._project)}" if self._project.text and self._trusted else text

    def trust(self) -> str:
        """Trusts the project for good; gives its instructions as the model gets them, or an empty text.

        Raises:
            OSError: The trust cannot be written down.
        """
        trust(self._config, self._project.root)
        return as_context(self._project) if self._project.text else ""

    @property
    def _trusted(self) -> bool:
        return is_trusted(self._config, self._project.root)
