"""The Hub's own description of its API, as something that can be searched."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ml_intern.services.shapes import items, record, records

METHODS = ("get", "post", "put", "patch", "delete", "head")
MOST_REFS = 12
_SHOWN_RESPONSES = 3


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation."""

    name: str
    place: str
    required: bool
    kind: str
    about: str = ""
    example: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        body: The schema of the JSON body with references resolved, or None.
        responses: Status with what it means.
    """

    method: str
    path: str
    summary: str
    about: str
    tags: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    body: Mapping[str, Any] | None
    responses: tuple[tuple[str, str], ...]
    operation_id: str = ""

    @property
    def key(self) -> str:
        """Names the operation: `GET /api/models`."""
        return f"{self.method.upper()} {self.path}"

    def text(self) -> str:
        """All words that it may be found by."""
        names = " ".join(parameter.name for parameter in self.parameters)
        return "\n".join([self.summary, self.operation_id, " ".join(self.tags), self.about, names, self.path])


def described_api(body: bytes) -> tuple[list[Operation], str]:
    """All operations of an OpenAPI document in JSON, and the address they lie at; empty where it names none.

    Raises:
        ValueError: It is no such document.
    """
    document = json.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise ValueError("it names no paths")
    servers = records(document.get("servers")) or [{}]
    said = str(servers[0].get("url") or "")
    return operations(document), said.rstrip("/") if "://" in said else ""


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """All operations of an OpenAPI document, with `$ref`s resolved; what is described against the rules is left out."""
    found: list[Operation] = []
    for path, methods in record(document.get("paths")).items():
        shared = items(record(methods).get("parameters"))
        for method in METHODS:
            if operation := record(record(methods).get(method)):
                with contextlib.suppress(AttributeError, TypeError, ValueError, KeyError):
                    found.append(_operation(document, path, method, operation, shared))
    return found


def tags_of(found: Iterable[Operation]) -> list[str]:
    """All tags, sorted."""
    return sorted({tag for operation in found for tag in operation.tags})


def curl(operation: Operation, base: str) -> str:
    """A command that calls an operation; the token is read from the environment by the shell."""
    path, query = operation.path, []
    for parameter in operation.parameters:
        value = str(parameter.example if parameter.example is not None else f"<{parameter.name}>")
        if parameter.place == "path":
            path = path.replace("{" + parameter.name + "}", value)
        elif parameter.place == "query" and parameter.required:
            query.append(f"{parameter.name}={value}")
    url = base + path + (f"?{'&'.join(query)}" if query else "")
    parts = ["curl"]
    if operation.method != "get":
        parts += ["-X", operation.method.upper()]
    parts += [shlex.quote(url), '-H "Authorization: Bearer $HF_TOKEN"']
    if operation.body is not None:
        body = json.dumps(example_of(operation.body), ensure_ascii=False)
        parts += ['-H "Content-Type: application/json"', f"-d {shlex.quote(body)}"]
    return " ".join(parts)


def example_of(schema: Mapping[str, Any], depth: int = 0) -> Any:
    """A value that fits a schema: its own example, or one made of its required parts."""
    schema = record(schema)
    for key in ("example", "default", "const"):
        if key in schema:
            return schema[key]
    if items(schema.get("enum")):
        return schema["enum"][0]
    for key in ("oneOf", "anyOf", "allOf"):
        if items(schema.get(key)) and depth < MOST_REFS:
            return example_of(schema[key][0], depth + 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or "properties" in schema:
        properties, names = record(schema.get("properties")), map(str, items(schema.get("required")))
        return {
            name: example_of(properties[name], depth + 1) for name in names if name in properties and depth < MOST_REFS
        }
    return {"array": [], "integer": 1, "number": 1.0, "boolean": True}.get(str(kind), "string")


def described(operation: Operation, base: str) -> list[str]:
    """An operation for reading: what it does, what it takes, what comes back, and a command."""
    lines = [operation.key]
    if operation.summary:
        lines.append(f"   {operation.summary}")
    if operation.about:
        lines.append(f"   {' '.join(operation.about.split())[:300]}")
    if operation.tags:
        lines.append(f"   tags: {', '.join(operation.tags)}")
    for parameter in operation.parameters:
        needed = ", required" if parameter.required else ""
        about = f": {' '.join(parameter.about.split())[:160]}" if parameter.about else ""
        lines.append(f"   - {parameter.name} ({parameter.place}, {parameter.kind}{needed}){about}")
    if operation.body is not None:
        lines.append(f"   body: {json.dumps(_outline(operation.body), ensure_ascii=False)[:1500]}")
    for status, about in operation.responses[:_SHOWN_RESPONSES]:
        lines.append(f"   {status}: {about}")
    return [*lines, f"   {curl(operation, base)}"]


def _operation(
    document: Mapping[str, Any], path: str, method: str, found: Mapping[str, Any], shared: list[Any]
) -> Operation:
    parameters = [_resolved(document, item) for item in (*shared, *(found.get("parameters") or ()))]
    body = _resolved(document, found.get("requestBody") or {})
    content = (body.get("content") or {}).get("application/json") or {}
    responses = []
    for status, answer in (found.get("responses") or {}).items():
        answer = _resolved(document, answer)
        schema = ((answer.get("content") or {}).get("application/json") or {}).get("schema") or {}
        kind = _kind(_resolved(document, schema))
        about = " ".join(str(answer.get("description") or "").split())
        responses.append((str(status), f"{about} ({kind})" if kind else about))
    return Operation(
        method=method,
        path=path,
        summary=str(found.get("summary") or ""),
        about=str(found.get("description") or ""),
        tags=tuple(str(tag) for tag in found.get("tags") or ()),
        parameters=tuple(_parameter(document, item) for item in parameters if item.get("name")),
        body=_resolved(document, content["schema"]) if content.get("schema") else None,
        responses=tuple(responses),
        operation_id=str(found.get("operationId") or ""),
    )


def _parameter(document: Mapping[str, Any], item: Mapping[str, Any]) -> Parameter:
    schema = _resolved(document, item.get("schema") or {})
    return Parameter(
        name=str(item["name"]),
        place=str(item.get("in") or "query"),
        required=bool(item.get("required")),
        kind=_kind(schema) or "any",
        about=str(item.get("description") or schema.get("description") or ""),
        example=item.get("example", schema.get("example")),
    )


def _resolved(document: Mapping[str, Any], node: Any, depth: int = 0) -> Any:
    """A part of the document with references replaced by what they mean, down to a sensible depth."""
    if isinstance(node, list):
        return [_resolved(document, item, depth) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        if depth >= MOST_REFS or not reference.startswith("#/"):
            return {"type": "object"}
        target: Any = document
        for part in reference[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            target = target.get(part, {}) if isinstance(target, dict) else {}
        return _resolved(document, target, depth + 1)
    return {key: _resolved(document, value, depth + 1 if depth else depth) for key, value in node.items()}


def _kind(schema: Any) -> str:
    schema = record(schema)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = " or ".join(str(item) for item in kind if item != "null")
    if items(schema.get("enum")):
        return "one of " + ", ".join(str(value) for value in schema["enum"][:12])
    if kind == "array":
        return f"array of {_kind(schema.get('items')) or 'any'}"
    return str(kind or "")


def _outline(schema: Mapping[str, Any], depth: int = 0) -> Any:
    """A schema by its names and types alone."""
    schema = record(schema)
    properties = record(schema.get("properties"))
    if properties and depth < 3:
        required = set(map(str, items(schema.get("required"))))
        return {
            (name if name in required else f"{name}?"): _outline(value, depth + 1) for name, value in properties.items()
        }
    return _kind(schema) or "any"
