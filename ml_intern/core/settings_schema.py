"""What can be configured, for people: each setting with a name, a description, a kind and its bounds.

All of it is read from the settings model, so that a setting that is added there has a row in the app at once.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from ml_intern.core.settings import Settings

Kind = Literal["switch", "choice", "choices", "number", "text", "list", "elsewhere"]

_UNITS = {"_s": "s", "_days": "days", "_usd": "$", "_gb": "GB", "_minutes": "min", "_chars": "characters"}
_SPELLED = {"cpu": "CPU", "hf": "HF", "llm": "models", "hub": "Hub", "ui": "app", "mcpServers": "MCP servers"}
_NAMES = {
    "model_name": "model",
    "max_iterations": "model calls in a turn",
    "stream": "show replies as they are written",
    "mode": "approval mode",
    "max_cost_usd": "spending cap",
    "tool_runtime": "where tools act",
    "confirm_cpu_jobs": "ask about CPU jobs too",
    "save_sessions": "keep sessions",
    "sessions.keep_days": "into the trash when not used for",
    "approvals.allow": "never ask about",
    "approvals.ask": "always ask about",
    "approvals.deny": "always refuse",
    "llm.transport": "way to models",
    "llm.max_attempts": "attempts",
    "llm.connect_timeout_s": "wait for a connection",
    "llm.first_byte_timeout_s": "wait for a reply to begin",
    "llm.idle_timeout_s": "wait for a reply to go on",
    "llm.retry_base_s": "first wait between attempts",
    "llm.retry_max_s": "longest wait between attempts",
    "context.compact_at": "summarise at",
    "context.tool_output_chars": "longest tool output",
    "tools.parallel": "calls at the same time",
    "tools.bash_timeout_s": "time for a command",
    "tools.bash_max_timeout_s": "most time for a command",
    "tools.pass_env": "secrets that programs may see",
    "jobs.backend": "where jobs run",
    "jobs.default_timeout": "time for a job",
    "jobs.namespace": "who pays",
    "jobs.max_wait_for_start_s": "wait for hardware",
    "jobs.require_saving": "refuse jobs that save nothing",
    "jobs.local_cpu_slots": "local jobs at the same time",
    "jobs.local_memory_gb": "memory of a local job",
    "sandbox.flavor": "hardware",
    "sandbox.idle_timeout_s": "shut down when idle for",
    "sandbox.start_timeout_s": "wait for its start",
    "sandbox.namespace": "who pays",
    "sandbox.forward_hf_token": "may use the Hugging Face token",
    "sandbox.workdir": "working directory",
    "hub.private": "new repositories are private",
    "hub.collect_artifacts": "gather what is published",
    "web.allow_private": "may read private addresses",
    "web.timeout_s": "wait for a page",
    "web.max_wait_s": "wait for a busy service",
    "research.max_iterations": "model calls",
    "research.max_minutes": "time",
    "research.max_cost_usd": "cost",
    "messaging.enabled": "send messages",
    "messaging.auto_event_types": "tell of",
    "sharing.enabled": "publish sessions",
    "sharing.repo": "data set",
    "money.first_warning_usd": "first notice at",
    "money.velocity_share": "notice of fast spending",
    "ui.approval_grace_s": "approvals ignore keys for",
    "ui.bell": "ring the bell",
}
"""Settings whose key says too little to a person."""

_GENERAL = ("session", "What a session begins with.")


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be configured.

    Attributes:
        key: Dotted key path.
        group: Name of the group it belongs to.
        name: The key in plain words.
        description: What it does, in a sentence or two.
        kind: How it is changed; `elsewhere`: not as one value.
        default: The value without any configuration.
        choices: What it may be, for a choice or a list of choices; an empty text is one that can be left empty.
        optional: It may be none.
        whole: A number without fractions.
        low: Smallest number.
        high: Largest number.
        open_low: The smallest number itself is too small.
        open_high: The largest number itself is too large.
        unit: Of a number, or empty.
    """

    key: str
    group: str
    name: str
    description: str
    kind: Kind
    default: Any
    choices: tuple[str, ...] = ()
    optional: bool = False
    whole: bool = False
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    unit: str = ""

    @property
    def bounds(self) -> str:
        """Which numbers it may be, in words; empty without bounds."""
        low = "" if self.low is None else f"{'more than' if self.open_low else 'at least'} {self.low:g}"
        high = "" if self.high is None else f"{'less than' if self.open_high else 'at most'} {self.high:g}"
        return ", ".join(filter(None, [low, high]))


@dataclass(frozen=True, slots=True)
class Group:
    """Settings that belong together.

    Attributes:
        name: In a word.
        description: What they are about, in a sentence.
        settings: In the order of the model.
    """

    name: str
    description: str
    settings: tuple[Setting, ...]


@cache
def setting_groups() -> tuple[Group, ...]:
    """All settings, in the order of the model; those outside of a section come first."""
    schema, described = Settings.model_json_schema(), _docstrings()
    general: list[Setting] = []
    groups: list[Group] = []
    for name, part in schema["properties"].items():
        section = _section(part, schema)
        if section is None:
            general.append(_setting(name, _GENERAL[0], part, described[Settings.__name__]))
            continue
        title = _words(name)
        texts = described[section["title"]]
        settings = tuple(_setting(f"{name}.{key}", title, each, texts) for key, each in section["properties"].items())
        groups.append(Group(title, section.get("description", ""), settings))
    return (Group(*_GENERAL, tuple(general)), *groups)


def all_settings() -> Iterator[Setting]:
    """Every setting, group by group."""
    for group in setting_groups():
        yield from group.settings


def _section(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    reference = part.get("$ref")
    section = schema["$defs"][reference.rsplit("/", 1)[1]] if reference else {}
    return section if "properties" in section else None


def _docstrings() -> dict[str, dict[str, str]]:
    """What stands below each setting, by the class of its section. Pydantic would read it at every start."""
    found: dict[str, dict[str, str]] = {}
    for section in ast.parse(inspect.getsource(sys.modules[Settings.__module__])).body:
        if isinstance(section, ast.ClassDef):
            texts = found[section.name] = {}
            for setting, text in itertools.pairwise(section.body):
                match setting, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                        texts[name] = inspect.cleandoc(said)
    return found


def _setting(key: str, group: str, part: Mapping[str, Any], described: Mapping[str, str]) -> Setting:
    forms = [form for form in part.get("anyOf", [part]) if form.get("type") != "null"]
    form = forms[0]
    choices = tuple(choice for each in forms for choice in _choices(each))
    low, high = (form.get(f"exclusive{end}", form.get(end.lower())) for end in ("Minimum", "Maximum"))
    return Setting(
        key=key,
        group=group,
        name=_NAMES.get(key) or _words(key.rpartition(".")[2]),
        description=described.get(key.rpartition(".")[2], ""),
        kind=_kind(form, choices),
        default=part.get("default"),
        choices=choices or tuple(_choices(form.get("items", {}))),
        optional=len(forms) < len(part.get("anyOf", [part])),
        whole=form.get("type") == "integer",
        low=low,
        high=high,
        open_low="exclusiveMinimum" in form,
        open_high="exclusiveMaximum" in form,
        unit=next((unit for suffix, unit in _UNITS.items() if key.endswith(suffix)), ""),
    )


def _choices(form: Mapping[str, Any]) -> list[str]:
    return [form["const"]] if "const" in form else list(form.get("enum", ()))


def _kind(form: Mapping[str, Any], choices: tuple[str, ...]) -> Kind:
    if choices:
        return "choice"
    match form.get("type"):
        case "boolean":
            return "switch"
        case "integer" | "number":
            return "number"
        case "string":
            return "text"
        case "array":
            return "choices" if _choices(form.get("items", {})) else "list"
        case _:
            return "elsewhere"


def _words(key: str) -> str:
    for suffix in ("_s", "_usd", "_gb"):
        key = key.removesuffix(suffix)
    return " ".join(_SPELLED.get(word, word) for word in key.split("_"))
