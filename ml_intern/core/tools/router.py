"""From a tool call as a model wrote it to a result: looked up, validated, run in isolation, capped."""

from __future__ import annotations

import asyncio
import difflib
import json
import logging
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from ml_intern.core.llm.types import RawToolCall
from ml_intern.core.tools.fetched import as_data
from ml_intern.core.tools.output import cap_output
from ml_intern.core.tools.schemas import Schemas
from ml_intern.core.tools.spec import ToolContext, ToolResult, ToolSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that can run: its tool, its validated parameters and the arguments as a JSON object."""

    call_id: str
    spec: ToolSpec
    params: Any
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the tool."""
        return self.spec.name


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that cannot run, and what the model is told.

    Attributes:
        malformed: The arguments were not a JSON object; models repeat this, which a guard watches.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]
    text: str
    malformed: bool = False


class ToolRouter:
    """The tools of a session, by name.

    Args:
        specs: Tools; the first of a name wins, so built-ins go before foreign tools.
        parallel: How many calls run at the same time.
        schemas: Knows the schemas of tools from earlier starts; by default they are made.
    """

    def __init__(self, specs: Iterable[ToolSpec], *, parallel: int = 8, schemas: Schemas | None = None) -> None:
        self._schemas = schemas
        self._specs: dict[str, ToolSpec] = {}
        self._wired: dict[str, dict[str, Any]] = {}
        self._wire: tuple[dict[str, Any], ...] = ()
        self._slots = asyncio.Semaphore(parallel)
        self._parallel = parallel
        self._locks: dict[str, asyncio.Lock] = {}
        self._closed = False
        self.add(specs)

    def add(self, specs: Iterable[ToolSpec]) -> None:
        """Adds tools whose names are free; others are left out with a line in the log."""
        for spec in specs:
            if spec.name in self._specs:
                log.warning("a second tool named %s was left out", spec.name)
                continue
            self._specs[spec.name] = spec
            self._wired[spec.name] = spec.wire(None if self._schemas is None else self._schemas.of(spec))
        self._wire = tuple(self._wired.values())

    def replace(self, names: Iterable[str], specs: Iterable[ToolSpec]) -> None:
        """Takes tools out and puts others in, under the rule of `add`. Calls that run already are not disturbed."""
        for name in names:
            self._specs.pop(name, None)
            self._wired.pop(name, None)
        self.add(specs)

    def subset(self, names: Iterable[str]) -> ToolRouter:
        """Some of these tools, for a sub-agent. What excludes a call here excludes it there.

        It has slots of its own: the call that a sub-agent works for holds one of these, and must not wait for itself.
        """
        kept = [name for name in dict.fromkeys(names) if name in self._specs]
        chosen = ToolRouter((), parallel=self._parallel, schemas=self._schemas)
        chosen._specs = {name: self._specs[name] for name in kept}
        chosen._wired = {name: self._wired[name] for name in kept}  # to work schemas out anew takes milliseconds each
        chosen._wire = tuple(chosen._wired.values())
        chosen._locks, chosen._closed = self._locks, True
        return chosen

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tools, in order of registration."""
        return tuple(self._specs)

    @property
    def foreign(self) -> tuple[ToolSpec, ...]:
        """The tools of others, which bring a schema of their own."""
        return tuple(spec for spec in self._specs.values() if isinstance(spec.parameters, dict))

    def wire(self) -> tuple[dict[str, Any], ...]:
        """All tools in the OpenAI function format; the same object until the tools change."""
        return self._wire

    def prepare(self, call: RawToolCall) -> Prepared | Refused:
        """Looks a call up and validates its arguments."""
        try:
            arguments = json.loads(call.arguments) if call.arguments.strip() else {}
        except ValueError as error:
            text = (
                f"ERROR: The arguments of {call.name} were not valid JSON ({error}), so it was NOT executed. Send one "
                "complete JSON object. For long texts use smaller pieces: write a file in several steps, or edit it."
            )
            return Refused(call.id, call.name, {}, text, malformed=True)
        if not isinstance(arguments, dict):
            kind = _kind(arguments)
            text = f"ERROR: The arguments of {call.name} must be a JSON object, not {kind}, so it was NOT executed."
            return Refused(call.id, call.name, {}, text, malformed=True)
        return self.prepare_arguments(call.id, call.name, arguments)

    def prepare_arguments(self, call_id: str, name: str, arguments: dict[str, Any]) -> Prepared | Refused:
        """Validates arguments that are already an object, for example after a person edited them."""
        spec = self._specs.get(name)
        if spec is None:
            return Refused(call_id, name, arguments, self._unknown(name))
        if isinstance(spec.parameters, dict):
            return Prepared(call_id, spec, arguments, arguments)
        try:
            params: BaseModel = spec.parameters.model_validate(arguments)
        except ValidationError as error:
            return Refused(call_id, name, arguments, _explain(spec, error))
        return Prepared(call_id, spec, params, arguments)

    async def run(self, prepared: Prepared, context: ToolContext) -> ToolResult:
        """Runs a call. An exception becomes a failed result; only cancellation passes."""
        key = prepared.spec.exclusive(prepared.params) if prepared.spec.exclusive else None
        async with AsyncExitStack() as stack:
            if key is not None:
                # Taken before a slot: calls that wait for each other must not fill all the slots.
                await stack.enter_async_context(self._locks.setdefault(key, asyncio.Lock()))
            await stack.enter_async_context(self._slots)
            try:
                result = await prepared.spec.handler(prepared.params, context)
            except Exception as error:  # the border of foreign code: whatever a tool raises is a failed result
                log.exception("tool %s failed", prepared.name)
                result = ToolResult(f"ERROR: {prepared.name} failed: {_describe(error)}", ok=False)
        limit = int(context.settings.context.tool_output_chars * prepared.spec.output_scale)
        result = await cap_output(result, limit, context.spill_dir, f"{prepared.name}-{prepared.call_id}")
        return as_data(result, prepared.name) if prepared.spec.fetches else result

    def _unknown(self, name: str) -> str:
        if self._closed:
            tools = ", ".join(self._specs) or "none"
            return f"ERROR: {name!r} is not available here, so it was NOT executed. The tools you have: {tools}."
        near = difflib.get_close_matches(name, self._specs, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"The tools are: {', '.join(self._specs)}."
        return f"ERROR: There is no tool named {name!r}, so nothing was executed. {hint}"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "an array", str: "a string", bool: "a boolean"}.get(type(value), "a number")


def _describe(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _explain(spec: ToolSpec, error: ValidationError) -> str:
    """What is wrong with the arguments, one line for each, with the valid names where one is unknown."""
    lines = [f"ERROR: The arguments of {spec.name} do not fit, so it was NOT executed."]
    for problem in error.errors(include_url=False, include_input=False)[:8]:
        place = ".".join(str(part) for part in problem["loc"]) or "arguments"
        lines.append(f"- {place}: {problem['msg']}")
    names = spec.schema().get("properties", {})
    lines.append(f"Parameters: {', '.join(names) or 'none'}.")
    return "\n".join(lines)
