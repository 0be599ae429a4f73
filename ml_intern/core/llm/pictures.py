"""Images in a request: as parts of a message where they are shown, as words where they are not.

The OpenAI wire takes images in messages of the user only. Those of tool results follow the results in such a message,
which every server understands; nothing of that stands in the history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ml_intern.core.context.messages import Message
from ml_intern.core.images import ImageRef

OF_RESULTS = "[Context] The images of the tool results above:"


class Picturing:
    """Puts images into the messages of one request, in their order.

    Args:
        urls: Data URLs of the images that are shown, by the names of their files.

    Attributes:
        due: Images of results that wait for `of_results`.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self.due: list[ImageRef] = []

    def wire(self, message: Message) -> dict[str, Any]:
        """A message as it goes out. Images of a tool result are kept back until `of_results`."""
        wire = message.wire()
        if not message.images:
            return wire
        shown = [image for image in message.images if image.file in self._urls]
        text = message.content
        for image in message.images:
            if image not in shown:
                text = _with_hidden(text, image.label)
        if message.role == "tool":
            self.due += shown
            wire["content"] = text or "(no output)"
        else:
            wire["content"] = self._parts(text, shown) if shown else text
        return wire

    def of_results(self) -> dict[str, Any]:
        """The message that shows the images of the results so far."""
        shown, self.due = self.due, []
        return {"role": "user", "content": self._parts(OF_RESULTS, shown)}

    def _parts(self, text: str, shown: Iterable[ImageRef]) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [_text(text)] if text else []
        for image in shown:
            parts += [_text(image.label), {"type": "image_url", "image_url": {"url": self._urls[image.file]}}]
        return parts


def encode_parts(wire: dict[str, Any]) -> str:
    """A message as JSON text. A data URL needs no look at each of its millions of characters."""
    content = wire["content"]
    if not isinstance(content, list):
        return json.dumps(wire, ensure_ascii=False)
    parts = ", ".join(_encode_part(part) for part in content)
    rest = json.dumps({key: value for key, value in wire.items() if key != "content"}, ensure_ascii=False)
    return f'{rest[:-1]}, "content": [{parts}]}}'


def _encode_part(part: dict[str, Any]) -> str:
    if part["type"] != "image_url":
        return json.dumps(part, ensure_ascii=False)
    return f'{{"type": "image_url", "image_url": {{"url": "{part["image_url"]["url"]}"}}}}'


def _with_hidden(text: str, label: str) -> str:
    """The text with the remark that an image is not shown, where its label stands or at the end."""
    hidden = f"{label[:-1]}: not shown here]"
    return text.replace(label, hidden) if label in text else "\n".join(filter(None, [text, hidden]))


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
