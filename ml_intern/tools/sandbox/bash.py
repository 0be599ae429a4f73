"""The `bash` tool of the sandbox: the same as the local one, in another machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.tools.spec import ToolContext, ToolResult, ToolSpec
from ml_intern.tools.capture import PiecesCapture
from ml_intern.tools.sandbox.access import Sandboxes
from ml_intern.tools.sandbox.machine import OWN_DIRECTORY, Machine, SandboxProblem, argument_problem
from ml_intern.tools.shell import (
    NOT_INTERACTIVE,
    BashParams,
    Ending,
    log_rest,
    show_live,
    spill_path,
    verdict,
    waker,
)

DEFAULT_TIMEOUT_S = 240
MAX_TIMEOUT_S = 1200

_DESCRIPTION = f"""\
Runs a shell command in the sandbox and returns its output and exit code; the first one starts the sandbox. Each call \
starts afresh in {{workdir}}: directories and variables do not carry over, so chain with `&&`. Nothing can be typed \
into it: pass flags that answer questions. Output is shown live; the middle of very long output is cut and the whole \
of it kept in a file in the sandbox. A command is stopped after `timeout` seconds ({DEFAULT_TIMEOUT_S} by default, \
{MAX_TIMEOUT_S} at most); start longer work in the background (`nohup … > run.log 2>&1 & echo $!`) and look at its \
log later. Prefer read, write and edit for files."""

_KEPT_EFFECTS = frozenset({Effect.READ, Effect.CHANGE, Effect.PUBLISH, Effect.COMPUTE, Effect.SCHEDULE})
"""What a command in a sandbox can do to the world outside; the sandbox itself is there to be used up."""


def create_bash_tool(sandboxes: Sandboxes) -> ToolSpec:
    """`bash` in the sandbox."""

    async def assess(params: BashParams, context: ToolContext) -> Assessment:
        """What the command would do to the world outside, and what the sandbox costs if there is none yet."""
        found = await asyncio.to_thread(_assess, params.command)
        return sandboxes.with_cost(found, context)

    async def run(params: BashParams, context: ToolContext) -> ToolResult:
        """Runs the command and waits for it to end."""
        return await sandboxes.use(context, lambda machine: _run(machine, params, context))

    return ToolSpec("bash", _DESCRIPTION.format(workdir=sandboxes.workdir), BashParams, run, assess)


def _assess(command: str) -> Assessment:
    from ml_intern.core.approvals.shell_rules import assess_command

    # A place that is nowhere on this machine: the command's paths mean files in the sandbox.
    nowhere = Path("/ml-intern-sandbox")
    found = assess_command(command, workspace=nowhere, cwd=nowhere, home=nowhere)
    effects = {effect if effect in _KEPT_EFFECTS else Effect.CHANGE for effect in found.effects}
    outside = effects & {Effect.PUBLISH, Effect.COMPUTE, Effect.SCHEDULE}
    return replace(
        found, effects=frozenset(effects), reasons=found.reasons if outside else (), display=(), editable="command"
    )


async def _run(machine: Machine, params: BashParams, context: ToolContext) -> ToolResult:
    if problem := argument_problem([params.command, params.work_dir]):
        return ToolResult(f"ERROR: The command could not be started: {problem}", ok=False)
    cwd = machine.path(params.work_dir or ".")
    entry = (await machine.look(cwd))[1] if params.work_dir.strip() else None
    if params.work_dir.strip() and (entry is None or not entry.is_directory):
        return ToolResult(f"ERROR: There is no directory {cwd}, so nothing was run. Check work_dir.", ok=False)
    capture, ending = await _follow(machine, params, cwd, context)
    await _move_spill(machine, capture)
    output, _ = capture.result()
    text = "\n".join([output.rstrip("\n") or "(no output)", "", verdict(ending)])
    return ToolResult(text, ok=ending.code == 0)


async def _follow(
    machine: Machine, params: BashParams, cwd: PurePosixPath, context: ToolContext
) -> tuple[PiecesCapture, Ending]:
    """Runs the command and shows its output as it comes."""
    changed = asyncio.Event()
    limit = context.settings.context.tool_output_chars
    capture = PiecesCapture(limit, spill_path(context), waker(asyncio.get_running_loop(), changed))
    showing = asyncio.create_task(show_live(capture, changed, context.log))
    try:
        ended = await machine.run(
            params.command, cwd=cwd, timeout_s=_timeout(params.timeout), env=NOT_INTERACTIVE, on_output=capture.feed
        )
    except SandboxProblem as problem:
        output, _ = capture.result()
        raise SandboxProblem(
            f"It is not known how the command ended: {problem}", problem.status, output.rstrip()
        ) from problem
    finally:
        capture.finish()
        showing.cancel()
        log_rest(capture, context.log)
    return capture, Ending(ended.code, ended.seconds)


def _timeout(wanted: int | None) -> int:
    return min(wanted, MAX_TIMEOUT_S) if wanted is not None and wanted > 0 else DEFAULT_TIMEOUT_S


async def _move_spill(machine: Machine, capture: PiecesCapture) -> None:
    """Puts the whole of a long output where the other tools of the sandbox find it."""
    _, kept = capture.result()
    if kept is None:
        return
    place = f"{OWN_DIRECTORY}/{kept.name}"
    try:
        await machine.upload(str(kept), place)
    except (SandboxProblem, OSError):
        place = ""
    capture.moved(place)
