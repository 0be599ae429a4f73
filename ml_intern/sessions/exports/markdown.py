"""A session as a Markdown document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from urllib.parse import quote

from ml_intern.core.plain_text import plain
from ml_intern.core.trail import Source
from ml_intern.sessions.conversation import Conversation
from ml_intern.sessions.exports.story import Part, about, moment, tell

_MEANINGFUL = re.compile(r"([\\`*_{}\[\]<>#|])")


def to_markdown(conversation: Conversation) -> str:
    """The document."""
    story = tell(conversation)
    lines = [f"# {_escaped(story.title)}", ""]
    lines += [f"- {name}: {_escaped(value)}" for name, value in story.facts]
    for part in story.parts:
        lines += ["", *_lines(part)]
    if story.sources:
        lines += ["", "## Sources", "", *(_source(source) for source in story.sources)]
    return "\n".join(lines).rstrip() + "\n"


def _lines(part: Part) -> Iterator[str]:
    if part.kind == "prompt":
        yield f"## You · {moment(part.time)}"
        yield ""
        yield part.text
        for image in part.images:
            yield from ("", _escaped(plain(image.label)))
        for attachment in part.attached:
            yield from _folded(attachment.label, attachment.text)
    elif part.kind == "answer":
        if part.reasoning:
            yield from ("<details><summary>Reasoning</summary>", "", fenced(part.reasoning), "", "</details>", "")
        yield part.text
    elif part.kind == "call":
        yield from _call(part)
    else:
        yield f"> **{part.title}:** {_escaped(' '.join(part.text.split()))}"


def _source(source: Source) -> str:
    name = plain(f"{source.title} ({source.id})" if source.title and source.id != source.url else source.title)
    more = about(source)
    named = _escaped(name or source.id)
    link = f"[{named}](<{_address(source.url)}>)" if source.url else named
    return f"- {source.kind}: {link}{f' · {_escaped(more)}' if more else ''}"


def _address(url: str) -> str:
    """An address that cannot end its link."""
    return quote(plain(url), safe="%/:=&?~#+!$,;'@()*[]")


def _call(part: Part) -> Iterator[str]:
    mark = {True: "✓", False: "✗ failed", None: "no result"}[part.ok]
    yield f"### `{part.title}` {mark}"
    if part.origin:
        yield from ("", f"> **warning:** {_escaped(part.origin)}")
    for text, language in ((part.details, "json"), (part.text, part.language)):
        if text:
            yield from ("", fenced(text, language))
    if part.output:
        yield from _folded("Output", part.output)
    for image in part.images:
        yield from ("", _escaped(plain(image.label)))


def _folded(title: str, text: str) -> Iterator[str]:
    yield from ("", f"<details><summary>{escape(title)}</summary>", "", fenced(text), "", "</details>")


def fenced(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backquotes in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _escaped(text: str) -> str:
    return _MEANINGFUL.sub(r"\\\1", text)
