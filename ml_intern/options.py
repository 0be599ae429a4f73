"""What the command line asked for, before anything is read or imported.

Nor is anything imported here, since the first frame waits for it: `dataclasses` and `typing` take longer than the rest.
"""

from __future__ import annotations

TYPE_CHECKING = False
"""What `typing` has by this name, for modules that come before the first frame."""

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Literal

DEMO_MODEL = "demo/first-run"
MODES = ("guarded", "ask", "plan", "yolo")
EFFORTS = ("off", "minimal", "low", "medium", "high", "xhigh", "max")
OUTPUTS = ("text", "json", "stream-json")


class UsageError(Exception):
    """The command line cannot be used. The message is one sentence."""


class Options:
    """Flags of one run. `None` means "not given": configuration and defaults decide.

    Attributes:
        prompt: The one prompt of a headless run; None opens the app.
        model: Model id for this run.
        max_iterations: Model calls in one turn, at least 1.
        stream: False for whole replies.
        tool_runtime: Where bash, read, write and edit act.
        mode: Approval mode.
        max_cost_usd: Spending cap in dollars; `"none"` lifts it.
        output: Headless output format.
        resume: Session id to resume, an empty string for a picker.
        continue_latest: Resume the newest session of this directory.
        workdir: Directory to work in instead of the current one.
        config: User config file instead of the usual one.
        effort: Reasoning effort.
        theme: Theme of the app.
        plain: The conversation line by line, without a screen.
        debug: Write every request and reply to the log file.
        arguments: What follows the name of a command that has a command line of its own.
        demo: The practice session: built-in model, fresh workspace, no key, no network.
    """

    def __init__(
        self,
        *,
        prompt: str | None = None,
        model: str | None = None,
        max_iterations: int | None = None,
        stream: bool | None = None,
        tool_runtime: Literal["local", "sandbox"] | None = None,
        mode: Literal["guarded", "ask", "plan", "yolo"] | None = None,
        max_cost_usd: float | Literal["none"] | None = None,
        output: Literal["text", "json", "stream-json"] = "text",
        resume: str | None = None,
        continue_latest: bool = False,
        workdir: Path | None = None,
        config: Path | None = None,
        effort: str | None = None,
        theme: str | None = None,
        demo: bool = False,
        plain: bool = False,
        debug: bool = False,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.prompt = prompt
        self.model = model
        self.max_iterations = max_iterations
        self.stream = stream
        self.tool_runtime = tool_runtime
        self.mode = mode
        self.max_cost_usd = max_cost_usd
        self.output = output
        self.resume = resume
        self.continue_latest = continue_latest
        self.workdir = workdir
        self.config = config
        self.effort = effort
        self.theme = theme
        self.demo = demo
        self.plain = plain
        self.debug = debug
        self.arguments = arguments

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # as of anything that may be changed

    def __repr__(self) -> str:
        return f"Options({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def but(self, **changes: Any) -> Options:
        """The same with other values."""
        return Options(**{**vars(self), **changes})

    @property
    def headless(self) -> bool:
        """Whether this run has a prompt of its own and no screen."""
        return self.prompt is not None

    def overrides(self) -> dict[str, object]:
        """What the flags say, by key of the configuration."""
        given: dict[str, object] = {
            "model_name": DEMO_MODEL if self.demo else self.model,
            "max_iterations": self.max_iterations,
            "stream": self.stream,
            "tool_runtime": self.tool_runtime,
            "mode": self.mode,
            "reasoning_effort": self.effort,
            "ui.theme": self.theme,
        }
        overrides = {key: value for key, value in given.items() if value is not None}
        if self.max_cost_usd is not None:
            overrides["max_cost_usd"] = None if self.max_cost_usd == "none" else self.max_cost_usd
        return overrides
