"""What a tool is: a name, a description, parameters as a pydantic model, and a handler.

One model serves three ends: the JSON schema a language model reads, the coercion of its arguments, and the error text
it gets when they do not fit.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_args, runtime_checkable

from pydantic import BaseModel, ConfigDict, model_validator

from ml_intern.core.display import DisplayBlock
from ml_intern.core.images import ImageError, ImageRef

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ml_intern.core.approvals.effects import Assessment
    from ml_intern.core.rent import Rent
    from ml_intern.core.settings import Settings
    from ml_intern.core.subagent import Assignment

State = TypeVar("State")

log = logging.getLogger(__name__)


class Params(BaseModel):
    """Base of every tool's parameters: unknown keys are errors, so that a misspelt option is never silently dropped."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _null_says_nothing(cls, given: Any) -> Any:
        """Many models, and all that have to name every parameter, send `null` for what they do not want to say.

        Where `null` is a value of its own, it stays one.
        """
        if not isinstance(given, dict):
            return given
        fields = cls.model_fields.items()
        optional = {name for name, field in fields if not field.is_required() and not _takes_null(field)}
        return {name: value for name, value in given.items() if value is not None or name not in optional}


def _takes_null(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call produced.

    Attributes:
        text: What the model gets. It must tell failure legibly: the model sees no other flag.
        ok: Whether it succeeded; drives state, exit figures and the release of reserved money.
        display: What a person is shown; plain `text` when empty.
        cost_usd: What the call has cost, measured. None: what was reserved for it if it succeeded, else nothing.
        images: What a model that takes images is shown beside the text, from `ToolContext.keep_image`.
    """

    text: str
    ok: bool = True
    display: tuple[DisplayBlock, ...] = ()
    cost_usd: float | None = None
    images: tuple[ImageRef, ...] = ()


@runtime_checkable
class _Stoppable(Protocol):
    async def stop(self) -> None: ...


class SessionState:
    """Per-session memory of the tools (files read, the plan, job ids), one object of each kind."""

    def __init__(self) -> None:
        self._items: dict[type, Any] = {}

    def get(self, kind: type[State], make: Callable[[], State] | None = None) -> State:
        """The session's one object of this kind, made at first use: by `make`, else by the kind without arguments."""
        if kind not in self._items:
            self._items[kind] = (make or kind)()
        return self._items[kind]  # type: ignore[no-any-return]  # keyed by its own type, which a dict cannot express

    async def release(self) -> None:
        """Stops what the tools have left running (objects with an `async stop()`), and forgets everything.

        All are stopped side by side, and one that fails keeps none of the others from it.
        """
        items, self._items = self._items, {}
        stopping = [item.stop() for item in items.values() if isinstance(item, _Stoppable)]
        for error in await asyncio.gather(*stopping, return_exceptions=True):
            if isinstance(error, BaseException):
                log.error("something that a tool left running could not be stopped", exc_info=error)


@dataclass(slots=True)
class ToolContext:
    """What a running call may use.

    Attributes:
        call_id: The tool call's id.
        session_id: The session it belongs to.
        workspace: The directory relative paths are resolved against.
        spill_dir: Where output that is too long for the context is kept whole (made on first use).
        settings: The merged configuration.
        env: The environment child processes start from.
        state: Per-session memory shared by the tools.
        log: Shows one or more lines of progress, live. Cheap, callable from the event loop only.
        set_state: Moves the call to a state (a job stage, for example), with an optional link and display.
        emit: Sends an event of the tool's own (`plan_update`, for example).
        pay_as: Names the job that the call has started or follows. It is paid for once, under this name: a later call
            that learns what it has really cost corrects what an earlier one could only estimate.
        pay_later: Leaves the payment of a job open beyond the end of the call, under the name given to `pay_as`: its
            worst case stays promised until `measure` is called.
        measure: Books what a job has cost, by its name; None: nobody will know, so its worst case. Does nothing for a
            job this session does not pay for.
        rent: Opens the account of something that is paid for by the hour and goes on after the call: its name, its
            price (None when unknown) and the tool.
        keep_image: Keeps an image for a result, by its name and bytes; raises `ImageError` when it cannot be used.
        delegate: Lets a sub-agent work on something; gives what it has found. A sub-agent has none of its own.
        salvage: Set by a call that can say, when it is interrupted, what it has found until then.
    """

    call_id: str
    session_id: str
    workspace: Path
    spill_dir: Path
    settings: Settings
    env: Mapping[str, str]
    state: SessionState
    log: Callable[[str], None]
    set_state: Callable[..., None]
    emit: Callable[[Any], None]
    pay_as: Callable[[str], None] = lambda _: None
    pay_later: Callable[[str], None] = lambda _: None
    measure: Callable[[str, float | None], None] = lambda _ref, _usd: None
    rent: Callable[[str, float | None, str], Rent] = lambda ref, usd_per_hour, what: _unpaid(ref, usd_per_hour, what)
    keep_image: Callable[[str, bytes], Awaitable[ImageRef]] = lambda name, _data: _not_kept(name)
    delegate: Callable[[Assignment], Awaitable[ToolResult]] | None = None
    salvage: Callable[[], str] | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


def _unpaid(ref: str, usd_per_hour: float | None, what: str) -> Rent:
    """An account that nobody looks at, for calls outside a session."""
    from ml_intern.core.approvals.budget import Budget
    from ml_intern.core.rent import Rent

    rent = Rent(Budget(), lambda _: None, ref, what, usd_per_hour)
    rent.reserve_hour()
    return rent


async def _not_kept(name: str) -> ImageRef:
    raise ImageError(f"{name} cannot be kept outside of a session.")


Handler = Callable[[Any, ToolContext], Awaitable[ToolResult]]
Assessor = Callable[[Any, ToolContext], "Assessment | Awaitable[Assessment]"]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool.

    Attributes:
        name: As the model calls it.
        description: What it does and when to use it, for the model.
        parameters: Pydantic model of the arguments (a subclass of `Params`), or a raw JSON schema for foreign tools.
        handler: `async (params, context) -> ToolResult`. It may raise: that becomes a failed result. It is cancelled by
            an interrupt, and must then stop what it started before it lets `CancelledError` go on.
        assess: Tells what a call would do, before it is done. None means: only reads.
        exclusive: A key; two calls with the same key never run at the same time (two writes to one file, for example).
        output_scale: How many times as long as other tools' its output may be before it is cut in the middle.
        fetches: Its output is text from outside (pages, papers, data sets): the model gets it marked as data.
    """

    name: str
    description: str
    parameters: type[BaseModel] | dict[str, Any]
    handler: Handler
    assess: Assessor | None = None
    exclusive: Callable[[Any], str | None] | None = None
    output_scale: float = 1.0
    fetches: bool = False

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the parameters as sent to the model."""
        if isinstance(self.parameters, dict):
            return self.parameters
        return _schema_of(self.parameters)

    def wire(self, schema: dict[str, Any] | None = None) -> dict[str, Any]:
        """The tool in the OpenAI function format.

        Args:
            schema: What `schema` gives, where that is known already.
        """
        parameters = self.schema() if schema is None else schema
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": parameters},
        }


@functools.cache
def _schema_of(parameters: type[BaseModel]) -> dict[str, Any]:
    # A millisecond each, on the event loop, for every tool of every researcher that is sent out.
    return tidy_schema(parameters.model_json_schema())


def tidy_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A pydantic JSON schema without what only costs tokens: titles, and `null` alternatives of optional fields.

    References into `$defs` are resolved in place, since not every provider follows them.
    """
    definitions = schema.get("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = definitions[node["$ref"].rsplit("/", 1)[-1]]
            return walk({**target, **{key: value for key, value in node.items() if key != "$ref"}})
        options = node.get("anyOf")
        if isinstance(options, list):
            kept = [option for option in options if option != {"type": "null"}]
            if len(kept) == 1 and len(kept) < len(options):
                rest = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
                return walk({**kept[0], **rest})
        tidied = {}
        for key, value in node.items():
            if key in {"title", "$defs"} and not isinstance(node.get("title"), dict):
                continue
            # Under `properties` the keys are parameter names, one of which may well be `title`.
            tidied[key] = {name: walk(item) for name, item in value.items()} if key == "properties" else walk(value)
        return tidied

    result: dict[str, Any] = walk(schema)
    result.pop("description", None)
    return result
