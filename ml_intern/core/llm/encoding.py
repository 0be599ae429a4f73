"""Request bodies as JSON in UTF-8. A request mostly repeats the one before it: that part is kept as it went out."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ml_intern.core.llm.params import Sent, body_of
from ml_intern.core.llm.pictures import encode_parts
from ml_intern.core.llm.routing import Route
from ml_intern.core.llm.types import Request

CONVERSATIONS = 12
"""Of so many it is kept what was sent: a session, and the sub-agents that work for it."""


class Encoder:
    """Encodes requests; what a conversation has sent before costs next to nothing when it is sent again."""

    def __init__(self) -> None:
        # Of each conversation the messages that it sent last, and their text.
        self._kept: OrderedDict[tuple[str, str], tuple[list[Sent], bytearray]] = OrderedDict()

    def encode(self, request: Request, route: Route) -> bytes:
        """The request as it goes over the wire: what `build_body` says."""
        body = body_of(request, route)
        messages = self._messages((request.session_id, request.kind), body.pop("messages"))
        tools = ", ".join([_encoded_tool(_Same(tool)) for tool in body.pop("tools", ())])
        offered = f'"tools": [{tools}], ' if tools else ""
        rest = json.dumps(body, ensure_ascii=False)
        return b"".join((b'{"messages": [', messages, _bytes(f"], {offered}{rest[1:]}")))

    def _messages(self, conversation: tuple[str, str], sent: list[Sent]) -> bytearray:
        before, text = self._kept.pop(conversation, ([], bytearray()))
        if sent[: len(before)] != before:
            before, text = [], bytearray()
        for each in sent[len(before) :]:
            if text:
                text += b", "
            text += _bytes(encode_parts(each) if isinstance(each, dict) else each.encoded())
        self._kept[conversation] = sent, text
        while len(self._kept) > CONVERSATIONS:
            self._kept.popitem(last=False)
        return text


def _bytes(text: str) -> bytes:
    """A lone surrogate cannot be sent; it comes from undecodable tool output and means nothing to a model."""
    return text.encode("utf-8", "replace")


class _Same:
    """A tool as a key: the same one, whatever is in it."""

    __slots__ = ("tool",)

    def __init__(self, tool: Mapping[str, Any]) -> None:
        self.tool = tool

    def __hash__(self) -> int:
        return id(self.tool)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.tool is other.tool


@lru_cache(maxsize=256)
def _encoded_tool(same: _Same) -> str:
    """A tool's definition as JSON text: the router gives the same ones to every request."""
    return json.dumps(same.tool, ensure_ascii=False)
