"""What the model is told before a conversation begins: the system prompt, and the instructions of a trusted project."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

from ml_intern.core.project import as_context, find_project, is_trusted, trust
from ml_intern.core.prompt import system_prompt
from ml_intern.core.skills import Skills


class Briefing:
    """Makes the system prompt of each new conversation in one workspace.

    Args:
        template: Text of `configs/prompts/system.md`.
        tools: Gives the names of the tools that are registered at that moment.
        workspace: The person's directory.
        config: The user's configuration directory, where trust is remembered.
        headless: Whether nobody can answer.
        runtime: `local` or `sandbox`.
        skills: What the `skill` tool can load.
        sandbox_workdir: Directory the tools work in when that is a sandbox.
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
        skills: Skills,
        sandbox_workdir: str = "",
    ) -> None:
        self._template = template
        self._tools = tools
        self._workspace = workspace
        self._config = config
        self._headless = headless
        self._runtime = runtime
        self._workdir = PurePosixPath(sandbox_workdir) if runtime == "sandbox" else workspace
        self._skills = skills
        self._project = find_project(workspace)
        self._root = self._project.root if self._project.text else skills.project_root or workspace

    @property
    def hint(self) -> str:
        """That there are instructions or skills which nobody has trusted yet; empty when there are none."""
        names = [path.name for path in self._project.files] + (["skills"] if self._skills.project_root else [])
        if not names or self._trusted:
            return ""
        what = " and ".join(names)
        return f"{self._root} has instructions for agents ({what}); they are not read until you /trust it."

    @property
    def instructions(self) -> str:
        """What the project's own instructions say, if it is trusted; else an empty text."""
        return self._project.text if self._project.text and self._trusted else ""

    def system_prompt(self) -> str:
        """The system prompt, with the project's instructions if it is trusted."""
        text = system_prompt(
            self._template,
            self._tools(),
            workspace=self._workdir,
            headless=self._headless,
            runtime=self._runtime,
            skills=self._skills.listing() if "skill" in self._tools() else "",
        )
        return f"{text}\n\n{as_context(self._project)}" if self._project.text and self._trusted else text

    def trust(self) -> str:
        """Trusts the project for good; gives its instructions and skills as the model gets them, or an empty text.

        Raises:
            OSError: The trust cannot be written down.
        """
        trust(self._config, self._root)
        skills = self._skills.listing(("project",))
        parts = [as_context(self._project)] if self._project.text else []
        parts += [f"# Skills of this project\nLoad one with skill when it fits.\n{skills}"] if skills else []
        return "\n\n".join(parts)

    @property
    def _trusted(self) -> bool:
        return is_trusted(self._config, self._root)
