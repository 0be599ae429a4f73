"""Columns of a data set: what type each has, in words, and whether it holds chats."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_intern.services.shapes import items, records

CHAT_KEYS = (("role", "content"), ("from", "value"))
_FEW_LABELS = 5
_FEW_ELEMENTS = 40
_MEDIA = frozenset({"Image", "Audio", "Video", "Pdf", "Translation", "TranslationVariableLanguages"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        name: Its name.
        kind: Its type in words: `string`, `list of {role: string, content: string}`, `label (neg, pos)`.
        feature: The type as the viewer describes it.
    """

    name: str
    kind: str
    feature: Any

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.kind in ("string", "large_string")

    @property
    def is_label(self) -> bool:
        """Whether it holds classes."""
        return self.kind.startswith("label ")

    @property
    def chat_keys(self) -> tuple[str, str] | None:
        """Names of speaker and words in its messages, or None when it holds no chats."""
        inner = element_of(self.feature)
        if not isinstance(inner, Mapping):
            return None
        return next((keys for keys in CHAT_KEYS if all(key in inner for key in keys)), None)

    @property
    def holds_words(self) -> bool:
        """Whether a trainer can read it as text: strings, or chats with roles."""
        return self.is_text or self.chat_keys == CHAT_KEYS[0]

    def shown(self, value: Any) -> Any:
        """A value of this column to be read: a class with its name; anything else as it is."""
        names = self.feature.get("names") if isinstance(self.feature, Mapping) and self.is_label else None
        if not isinstance(value, int) or not isinstance(names, list) or not -1 <= value < len(names):
            return value
        return f"{value} ({names[value] if value >= 0 else 'no label'})"


def columns(features: Any) -> list[Column]:
    """The columns of `features` as the viewer gives them: a mapping, or a list of `{name, type}`."""
    if isinstance(features, Mapping):
        pairs = list(features.items())
    else:
        pairs = [(item.get("name"), item.get("type")) for item in records(features)]
    return [Column(str(name), kind_of(feature), feature) for name, feature in pairs if name is not None]


def kind_of(feature: Any) -> str:
    """A type in words."""
    if isinstance(feature, Sequence) and not isinstance(feature, str):
        return f"list of {kind_of(feature[0])}" if feature else "list"
    if not isinstance(feature, Mapping):
        return str(feature)
    named = feature.get("_type") if isinstance(feature.get("_type"), str) else None
    if named == "Value" or ("dtype" in feature and named is None and isinstance(feature["dtype"], str)):
        return str(feature.get("dtype", "?"))
    if named == "ClassLabel":
        names = [str(name) for name in items(feature.get("names"))]
        few = 0 < len(names) <= _FEW_LABELS
        return (
            f"label ({', '.join(names)})" if few else f"label ({len(names) or feature.get('num_classes', '?')} classes)"
        )
    if named in ("Sequence", "List", "LargeList"):
        return f"list of {kind_of(feature.get('feature'))}"
    if named in _MEDIA:
        return str(named).lower()
    if isinstance(named, str) and named.startswith("Array"):
        shape = "×".join("?" if size is None else str(size) for size in items(feature.get("shape")))
        return f"array {shape} of {feature.get('dtype', '?')}"
    if isinstance(named, str):
        return named
    return "{" + ", ".join(f"{name}: {kind_of(inner)}" for name, inner in feature.items()) + "}"


def element_of(feature: Any) -> Any:
    """What a list holds, whichever way the list is described; None for other types."""
    if isinstance(feature, Sequence) and not isinstance(feature, str):
        return feature[0] if feature else None
    if isinstance(feature, Mapping) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        return feature.get("feature")
    return None


def cell(value: Any, limit: int = 150) -> str:
    """A value of a row in one line."""
    text = _words(value)
    line = " ".join(text.split()) if text.strip() else repr(text)
    return line if len(line) <= limit else line[:limit] + " …"


def whole_cell(value: Any, limit: int) -> str | None:
    """A value of a row as it is: a text with its lines, anything else as JSON, None for nothing.

    What is longer than the limit is cut, a structure within its texts and lists, so that it stays one.
    """
    if value is None:
        return None
    text = _words(value)
    if len(text) > limit and isinstance(value, Mapping | list):
        texts = sum(1 for _ in _texts(value)) or 1
        text = _words(_shortened(value, max(80, limit // texts)))
    return _cut(text, limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} …[{len(text) - limit:,} characters more]"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _shortened(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return _cut(value, limit)
    if isinstance(value, Mapping):
        return {key: _shortened(inner, limit) for key, inner in value.items()}
    if isinstance(value, list):
        more = [f"…[{len(value) - _FEW_ELEMENTS:,} more]"] if len(value) > _FEW_ELEMENTS else []
        return [*(_shortened(inner, limit) for inner in value[:_FEW_ELEMENTS]), *more]
    return value


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and isinstance(value.get("src"), str):
        return f"(media {value.get('width', '')}x{value.get('height', '')})".replace("(media x)", "(media)")
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "src" in item for item in value):
        return f"(media {', '.join(str(item.get('type', '')) for item in value)})".replace("(media )", "(media)")
    return json.dumps(value, ensure_ascii=False, default=str)
