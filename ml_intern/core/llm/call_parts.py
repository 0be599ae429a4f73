"""Puts tool calls together from the pieces in which they stream in.

The wire's rule is simple: a call has an index, its first piece has the id and the name, later pieces add to the
arguments. Servers break every part of it: the index is missing, null or 0 for all calls; the id is missing, comes late,
changes with every piece or is the same for two calls; the name comes again in every piece; arguments are an object.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ml_intern.core.llm.types import RawToolCall


@dataclass(slots=True)
class _Call:
    position: int
    id: str = ""
    names: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    def is_whole(self) -> bool:
        """Whether the arguments so far are complete JSON. Looked at only when a piece may begin another call."""
        try:
            json.loads("".join(self.arguments))
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class CallPiece:
    """What a piece added: which call it belongs to, and its part of the name and of the arguments."""

    position: int
    name: str
    arguments: str


class CallAssembler:
    """Collects pieces and tells which call each belongs to.

    Args:
        tool_names: Names of the tools that were offered. They settle whether `bash`, `bash` is one name said twice
            or two halves of another.
    """

    def __init__(self, tool_names: Iterable[str] = ()) -> None:
        self._tool_names = frozenset(tool_names)
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, piece: dict[str, Any]) -> CallPiece:
        """Takes one element of a delta's `tool_calls`."""
        function = piece.get("function")
        function = function if isinstance(function, dict) else piece
        name = function.get("name")
        name = name if isinstance(name, str) else ""
        arguments = _as_text(function.get("arguments"))
        identifier = piece.get("id")
        identifier = str(identifier) if identifier else ""
        index = piece.get("index")
        index = index if isinstance(index, int) else None
        call = self._owner(index, identifier, name, arguments)
        self._remember(call, index, identifier)
        repeated = bool(name) and call.names[-1:] == [name]
        if name:
            call.names.append(name)
        if arguments:
            call.arguments.append(arguments)
        return CallPiece(call.position, "" if repeated else name, arguments)

    def finish(self) -> tuple[RawToolCall, ...]:
        """The calls in the order the model began them, each under an id of its own."""
        used: set[str] = set()
        finished = []
        for call in self._calls:
            identifier = call.id if call.id and call.id not in used else new_call_id()
            used.add(identifier)
            finished.append(RawToolCall(identifier, self._name(call), "".join(call.arguments)))
        return tuple(finished)

    def _owner(self, index: int | None, identifier: str, name: str, arguments: str) -> _Call:
        if index is not None:
            known = self._by_index.get(index)
            return known if known and not self._begins_another(known, identifier, name) else self._begin()
        if identifier and identifier in self._by_id:
            return self._by_id[identifier]
        last = self._calls[-1] if self._calls else None
        if last is None:
            return self._begin()
        if identifier:
            return self._begin() if name else last
        if not name or self._repeats(last, name):
            return last
        # Neither index nor id: two names in a row without arguments are the halves of one name.
        return last if not arguments and not last.arguments and not last.id else self._begin()

    def _begins_another(self, known: _Call, identifier: str, name: str) -> bool:
        """Whether a piece under a known index is a new call all the same: servers that number every call 0."""
        if not identifier or not name or not known.id or identifier == known.id:
            return False
        return not self._repeats(known, name)

    def _repeats(self, call: _Call, name: str) -> bool:
        """Whether the piece says the name of a call again whose arguments are still coming."""
        return self._name(call) == name and not call.is_whole()

    def _begin(self) -> _Call:
        call = _Call(len(self._calls))
        self._calls.append(call)
        return call

    def _remember(self, call: _Call, index: int | None, identifier: str) -> None:
        if index is not None:
            self._by_index[index] = call
        if identifier:
            call.id = call.id or identifier
            self._by_id.setdefault(identifier, call)

    def _name(self, call: _Call) -> str:
        """One name out of its pieces: halves are joined, repetitions are not."""
        pieces = call.names
        joined = "".join(pieces)
        if len(pieces) < 2 or joined in self._tool_names:
            return joined
        if all(piece == pieces[0] for piece in pieces):
            return pieces[0]
        if pieces[-1] in self._tool_names and pieces[-1].startswith(pieces[0]):
            return pieces[-1]
        return "".join(piece for number, piece in enumerate(pieces) if number == 0 or piece != pieces[number - 1])


def new_call_id() -> str:
    """An id for a call that came without a usable one."""
    return f"call_{uuid.uuid4().hex[:24]}"


def _as_text(arguments: object) -> str:
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
