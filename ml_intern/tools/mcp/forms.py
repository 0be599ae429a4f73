"""The small forms by which servers ask people: flat schemas in, checked answers out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

from ml_intern.tools.terminal_text import clean

MAX_FIELDS = 20
_MAX_WORDS = 500

Kind = Literal["text", "number", "integer", "boolean", "choice", "choices"]
_KINDS: dict[str, Kind] = {"string": "text", "number": "number", "integer": "integer", "boolean": "boolean"}


class WrongAnswer(Exception):  # noqa: N818 - a finding about what was typed
    """An answer does not fit its field. The message says what would."""


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that is asked for.

    Attributes:
        name: As the server knows it.
        label: For people.
        help: What it is for, or empty.
        kind: What an answer may be.
        options: Values and labels of a choice.
        required: Whether it may not be left out.
        default: What the server proposes, or None.
        limits: The rest of its schema: lengths, bounds, formats.
    """

    name: str
    label: str
    help: str = ""
    kind: Kind = "text"
    options: tuple[tuple[str, str], ...] = ()
    required: bool = True
    default: Any = None
    limits: dict[str, Any] | None = None

    def value(self, text: str) -> Any:
        """What was typed as the server wants it.

        Raises:
            WrongAnswer: It does not fit.
        """
        value: Any = text.strip()
        if self.kind in {"number", "integer"}:
            value = self._number(value)
        self._check(value)
        return value

    @property
    def labels(self) -> tuple[str, ...]:
        """What there is to choose from; empty when something is to be typed."""
        return ("yes", "no") if self.kind == "boolean" else tuple(label for _, label in self.options)

    def chosen(self, labels: tuple[str, ...]) -> Any:
        """The values of chosen labels: one for a choice, a list for choices, a truth value for yes or no.

        Raises:
            WrongAnswer: They are not among those there are.
        """
        if not labels or not set(labels) <= set(self.labels):
            raise WrongAnswer("choose one of these" if self.kind != "choices" else "choose from these")
        if self.kind == "boolean":
            return labels[0] == "yes"
        values = [value for value, label in self.options if label in labels]
        if self.kind != "choices":
            return values[0]
        self._check(values)
        return values

    def _number(self, text: str) -> int | float:
        with contextlib.suppress(ValueError):
            return int(text)
        if self.kind == "number":
            with contextlib.suppress(ValueError):
                return float(text)
        raise WrongAnswer("a whole number is wanted" if self.kind == "integer" else "a number is wanted")

    def _check(self, value: Any) -> None:
        """Against the schema; jsonschema's own messages speak of schemas, so only the usual cases get words."""
        from jsonschema import Draft202012Validator, FormatChecker

        error = next(
            iter(Draft202012Validator(self.limits or {}, format_checker=FormatChecker()).iter_errors(value)), None
        )
        if error is None:
            return
        words = {
            "minLength": f"at least {error.validator_value} characters are wanted",
            "maxLength": f"at most {error.validator_value} characters fit",
            "minimum": f"at least {error.validator_value} is wanted",
            "maximum": f"at most {error.validator_value} is possible",
            "minItems": f"at least {error.validator_value} are wanted",
            "maxItems": f"at most {error.validator_value} are possible",
            "format": f"it must be a valid {error.validator_value}",
        }
        raise WrongAnswer(words.get(str(error.validator), "the server would not take it"))


def fields_of(schema: dict[str, Any]) -> tuple[Field, ...]:
    """The fields of a form; what is no flat form of simple values is left out."""
    required = schema.get("required") or ()
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return ()
    fields = [_field(str(name), part, name in required) for name, part in properties.items() if isinstance(part, dict)]
    return tuple(fields[:MAX_FIELDS])


def _field(name: str, part: dict[str, Any], required: bool) -> Field:
    several = part.get("type") == "array"
    options = _options(part.get("items") or {} if several else part)
    kind: Kind = "choices" if several else "choice" if options else _KINDS.get(str(part.get("type")), "text")
    limits: dict[str, Any] = {
        key: part[key]
        for key in ("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "format")
        if key in part  # no `pattern`: a bad one takes for ever, and the server checks it anyway
    }
    return Field(
        name=name,
        label=_words(part.get("title")) or _words(name),
        help=_words(part.get("description")),
        kind=kind,
        options=options,
        required=required,
        default=part.get("default"),
        limits=limits,
    )


def _options(part: Any) -> tuple[tuple[str, str], ...]:
    """Values with labels, in any of the ways the protocol has had for it."""
    if not isinstance(part, dict):
        return ()
    titled = part.get("oneOf") or part.get("anyOf")
    if isinstance(titled, list):
        pairs = [
            (str(option["const"]), _words(option.get("title")) or str(option["const"]))
            for option in titled
            if isinstance(option, dict) and "const" in option
        ]
    elif isinstance(part.get("enum"), list):
        values = [str(value) for value in part["enum"]]
        names = part.get("enumNames")
        labels = [_words(name) for name in names] if isinstance(names, list) and len(names) == len(values) else values
        pairs = list(zip(values, labels, strict=True))
    else:
        return ()
    unique: dict[str, str] = {}
    for value, label in pairs:
        unique.setdefault(label, value)
    return tuple((value, label) for label, value in unique.items())


def _words(text: Any) -> str:
    return " ".join(clean(text).split())[:_MAX_WORDS] if isinstance(text, str) else ""
