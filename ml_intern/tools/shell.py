"""The `bash` tool: one shell command at a time, in a process group of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field

from ml_intern.core.approvals.effects import Assessment
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.tools.capture import CommandOutput, OutputCapture
from ml_intern.tools.processes import (
    end_strays,
    group_alive,
    kill_group,
    spawn_options,
    strays_of,
    terminate_group,
)
from ml_intern.tools.text_files import expand_home

_DESCRIPTION = """\
Runs a shell command and returns its output and exit code. Each call starts afresh in the workspace: directories and \
variables do not carry over, so chain with `&&`. Nothing can be typed into it: pass flags that answer questions. \
Output is shown live; the middle of very long output is cut and the whole of it kept in a file. For work of many \
minutes raise `timeout`, or start it in the background (`nohup … > run.log 2>&1 & echo $!`) and look at its log later. \
Prefer read, write and edit for files."""

_STOP_GRACE_S = 0.1
"""How long processes may tidy up after an interrupt; a person waits for it."""
_TIMEOUT_GRACE_S = 1.0

NOT_INTERACTIVE = {
    "TERM": "dumb",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "MANPAGER": "cat",
    "SYSTEMD_PAGER": "",
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    # An editor that takes what it is given: `git commit --amend` keeps its message, `git commit` says it has none.
    "EDITOR": "true",
    "VISUAL": "true",
    "GIT_EDITOR": "true",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_NO_INPUT": "1",
    "PYTHONUNBUFFERED": "1",  # without a terminal Python would hold its output back in blocks
}


class BashParams(Params):
    """Parameters of `bash`."""

    command: str = Field(description="The command, as for bash -c", min_length=1)
    description: str = Field("", description="What it is for, in 5 to 10 words")
    work_dir: str = Field("", description="Directory to run in; the workspace by default")
    timeout: int | None = Field(None, description="Seconds after which it is stopped")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended: with an exit code, or None when its time was over."""

    code: int | None
    seconds: float


class BackgroundCommands:
    """Process groups that went on after the command that started them had returned. Kept in the session's state."""

    def __init__(self) -> None:
        self._commands: dict[int, str] = {}

    def add(self, group: int, command: str) -> None:
        """Remembers a group."""
        self._commands[group] = command

    def running(self) -> dict[int, str]:
        """Groups that still run, with the command that started each."""
        self._commands = {group: command for group, command in self._commands.items() if group_alive(group)}
        return dict(self._commands)

    async def stop(self) -> None:
        """Stops them all: asked first, then by force."""
        await asyncio.gather(*(_stop_group(group, _STOP_GRACE_S) for group in self.running()))


def create_bash_tool() -> ToolSpec:
    """The `bash` tool."""
    return ToolSpec("bash", _DESCRIPTION, BashParams, run_command, assess=assess_bash)


async def assess_bash(params: BashParams, context: ToolContext) -> Assessment:
    """What the command would do, as far as its text tells."""
    # In a thread: it looks at the disk (links, scripts that are run).
    return await asyncio.to_thread(_assess, params.command, params.work_dir, context)


def _assess(command: str, work_dir: str, context: ToolContext) -> Assessment:
    # Imported at the first command: the rules are the largest part of the local tools, and start-up can do without.
    from ml_intern.core.approvals.shell_rules import assess_command

    assessment = assess_command(
        command,
        workspace=context.workspace,
        cwd=_directory(work_dir, context.workspace),
        home=Path(context.env.get("HOME") or Path.home()),
        env=context.env,
    )
    return replace(assessment, editable="command")


async def run_command(params: BashParams, context: ToolContext) -> ToolResult:
    """Runs the command and waits for it to end; what it leaves in the background is not waited for."""
    cwd = _directory(params.work_dir, context.workspace)
    if not cwd.is_dir():
        return ToolResult(f"ERROR: There is no directory {cwd}, so nothing was run. Check work_dir.", ok=False)
    changed = asyncio.Event()
    capture = OutputCapture(
        context.settings.context.tool_output_chars, spill_path(context), waker(asyncio.get_running_loop(), changed)
    )
    try:
        process = await _start(params.command, cwd, context, capture)
    except (OSError, ValueError) as error:
        return ToolResult(f"ERROR: The command could not be started: {_cause(error)}", ok=False)
    showing = asyncio.create_task(show_live(capture, changed, context.log))
    try:
        ending = await _wait(process, _timeout(params.timeout, context))
        await capture.drain()
    except asyncio.CancelledError:
        await _stop_group(process.pid, _STOP_GRACE_S, process)
        raise
    finally:
        showing.cancel()
    log_rest(capture, context.log)
    return _result(params.command, process.pid, ending, capture, context)


# ----------------------------------------------------------------------------------------------------- starting


def _directory(work_dir: str, workspace: Path) -> Path:
    return workspace / expand_home(work_dir.strip() or ".")


def _timeout(wanted: int | None, context: ToolContext) -> int:
    limits = context.settings.tools
    if wanted is None or wanted <= 0:
        wanted = limits.bash_timeout_s
    return min(wanted, limits.bash_max_timeout_s)


def spill_path(context: ToolContext) -> Path:
    """Where the whole of a call's long output is kept."""
    return context.spill_dir / f"bash-{re.sub(r'[^A-Za-z0-9_-]', '_', context.call_id)[:60]}.txt"


def waker(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> Callable[[], None]:
    """Sets the event from another thread; a background process may print when the loop is long closed."""

    def wake() -> None:
        if not changed.is_set():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(changed.set)

    return wake


async def _start(command: str, cwd: Path, context: ToolContext, capture: OutputCapture) -> asyncio.subprocess.Process:
    # A pipe of our own: asyncio's would tie the end of the process to the end of the pipe.
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            shutil.which("bash", path=context.env.get("PATH")) or "/bin/sh",
            "-c",
            command,
            cwd=cwd,
            env={**context.env, **NOT_INTERACTIVE},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            **spawn_options(),
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    capture.start(reading)
    return process


def _cause(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == 7:
        return "it is too long for the system. Write the long part to a file first."
    if isinstance(error, ValueError):
        return f"{error}. Remove the NUL character."
    return f"{error.strerror or error}."


# ------------------------------------------------------------------------------------------- waiting and stopping


async def _wait(process: asyncio.subprocess.Process, timeout_s: float) -> Ending:
    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            code: int | None = await process.wait()
    except TimeoutError:
        await _stop_group(process.pid, _TIMEOUT_GRACE_S, process)
        code = None
    return Ending(code, time.monotonic() - started)


async def _stop_group(pid: int, grace_s: float, process: asyncio.subprocess.Process | None = None) -> None:
    """TERM, a short while to tidy up, then KILL, whatever happens in between; also to what has left the group."""
    strays = strays_of(pid)
    terminate_group(pid)
    end_strays(strays, at_once=False)
    deadline = time.monotonic() + grace_s
    try:
        while group_alive(pid) and time.monotonic() < deadline:  # noqa: ASYNC110 - the end of a group sends no event
            await asyncio.sleep(0.02)
    finally:
        strays |= strays_of(pid)
        kill_group(pid)
        end_strays(strays, at_once=True)
    if process is not None:
        with contextlib.suppress(TimeoutError):  # a process stuck in the kernel ends when it can
            async with asyncio.timeout(0.1):
                await process.wait()


# ---------------------------------------------------------------------------------------------------- live output


async def show_live(capture: CommandOutput, changed: asyncio.Event, log: Callable[[str], None]) -> None:
    """Shows new lines at once, then in portions; a command that floods is shown more and more rarely."""
    shown_chars = 0
    shown_partial, partial_at = "", 0.0
    while True:
        await changed.wait()
        changed.clear()
        lines, partial = capture.take_live()
        now = time.monotonic()
        if not lines and partial.strip() and partial != shown_partial and now - partial_at >= 1.0:
            lines, shown_partial, partial_at = partial[-400:], partial, now
        if lines:
            log(lines)
            shown_chars += len(lines)
        await asyncio.sleep(_pause(len(lines), shown_chars))


def _pause(chars: int, shown_chars: int) -> float:
    """Seconds until the next portion: live output is stored too, and hours of it must stay small."""
    if shown_chars > 500_000:
        return 2.0
    return 0.5 if chars > 1500 else 0.1


def log_rest(capture: CommandOutput, log: Callable[[str], None]) -> None:
    """Shows what has not been shown yet, when nothing more comes."""
    lines, partial = capture.take_live()
    if rest := "\n".join(part for part in (lines, partial) if part.strip()):
        log(rest)


# --------------------------------------------------------------------------------------------------------- result


def _result(command: str, group: int, ending: Ending, capture: OutputCapture, context: ToolContext) -> ToolResult:
    left_behind = ending.code is not None and group_alive(group)
    if left_behind:
        context.state.get(BackgroundCommands).add(group, command)
        if not capture.ended:
            capture.keep_whole()
    output, path = capture.result()
    parts = [output.rstrip("\n") or "(no output)", "", verdict(ending)]
    if left_behind:
        parts.append(f"[processes it started go on in the background; stop them with: kill -- -{group}]")
        if not capture.ended:
            parts.append(f"[what they print goes to {path}]" if path else "[what they print could not be kept]")
    return ToolResult("\n".join(parts), ok=ending.code == 0)


def verdict(ending: Ending) -> str:
    """How a command ended, as the last line of its output."""
    if ending.code is None:
        return (
            f"[timed out after {ending.seconds:.0f} s: the command and everything it started were stopped; above is "
            "what it printed until then. Pass a larger timeout, or start it in the background with nohup and follow "
            "its log.]"
        )
    return f"[exit code {_exit_code(ending.code)} after {ending.seconds:.1f} s]"


def _exit_code(code: int) -> str:
    """The code as a shell gives it, with the signal's name where there was one."""
    number = -code if code < 0 else code - 128
    if code >= 0 and code <= 128:
        return str(code)
    try:
        name = signal.Signals(number).name
    except ValueError:
        return str(code)
    hint = ", often because memory ran out" if name == "SIGKILL" else ""
    return f"{128 + number} ({name}{hint})"
