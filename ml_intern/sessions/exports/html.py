"""A session as one HTML page that needs nothing else: no script, no network, readable on a phone, light and dark."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

from ml_intern.core.image_store import path_of
from ml_intern.core.images import ImageError, shape_of
from ml_intern.core.plain_text import plain
from ml_intern.core.trail import Source
from ml_intern.sessions.conversation import Conversation
from ml_intern.sessions.exports.story import Part, about, moment, tell

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --box: #f6f8fa; --page: #ffffff;
  --good: #1a7f37; --bad: #cf222e; --said: #0969da; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --box: #151b23;
  --page: #0d1117; --good: #3fb950; --bad: #f85149; --said: #4493f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 54rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.3; }
h2 { font-size: 1.1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; color: var(--soft); font-size: .875rem; }
dt, dd { margin: 0; }
section { margin: 1.25rem 0; }
.prompt { border-left: 3px solid var(--said); padding: .1rem .9rem; }
.prompt p { white-space: pre-wrap; margin: .3rem 0; }
time { color: var(--soft); font-size: .8rem; }
pre, code { font: .8125rem/1.5 ui-monospace, Menlo, Consolas, monospace; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: .7rem; margin: .5rem 0;
  overflow-x: auto; max-height: 32rem; }
.call { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem; }
.call > b { font-family: ui-monospace, Menlo, Consolas, monospace; }
.ok { color: var(--good); } .failed { color: var(--bad); }
.note { color: var(--soft); font-size: .9rem; } .note.error { color: var(--bad); }
summary { cursor: pointer; color: var(--soft); font-size: .875rem; padding: .3rem 0; }
figure { margin: .5rem 0; color: var(--soft); font-size: .875rem; } img { max-width: 100%; height: auto; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .25rem .6rem; text-align: left; }
a { color: var(--said); }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<dl>{facts}</dl>
{parts}
{sources}
</body>
</html>
"""

Render = Callable[[str], str]

EMBEDDED_BYTES = 300_000
"""Larger images are named only."""
EMBEDDED_IN_ALL = 5_000_000
_IMAGE = re.compile(r'<img data-file="([^"]*)" alt="">')


def to_html(conversation: Conversation) -> str:
    """The page. Everything that was said is text in it: nothing runs and nothing is fetched."""
    from markdown_it import MarkdownIt

    render: Render = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render
    story = tell(conversation)
    return _PAGE.format(
        title=escape(story.title),
        style=_STYLE,
        facts="".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in story.facts),
        parts="\n".join(_section(part, render) for part in story.parts),
        sources=_sources(story.sources),
    )


def _sources(sources: Sequence[Source]) -> str:
    if not sources:
        return ""
    return f'<section class="sources"><h2>Sources</h2><ul>{"".join(map(_source, sources))}</ul></section>'


def _source(source: Source) -> str:
    name, more = escape(plain(source.title or source.id)), escape(about(source))
    if source.url.startswith(("https://", "http://")):
        name = f'<a href="{escape(plain(source.url))}">{name}</a>'
    return f"<li>{escape(source.kind)}: {name}{f' <small>{more}</small>' if more else ''}</li>"


def _section(part: Part, render: Render) -> str:
    if part.kind == "prompt":
        said = f"<time>{escape(moment(part.time))}</time><p>{escape(part.text)}</p>"
        texts = "".join(_folded(escape(each.label), each.text) for each in part.attached)
        return f'<section class="prompt">{said}{_pictures(part)}{texts}</section>'
    if part.kind == "answer":
        thought = _folded("Reasoning", part.reasoning) if part.reasoning else ""
        return f'<section class="answer">{thought}{render(part.text)}</section>'
    if part.kind == "note":
        level = part.title if part.title in {"info", "warning", "error"} else "info"
        return f'<section class="note {level}">{escape(part.text)}</section>'
    return f'<section class="call">{"".join(_call(part))}</section>'


def _call(part: Part) -> Iterator[str]:
    look, word = {True: ("ok", "✓"), False: ("failed", "✗ failed"), None: ("note", "no result")}[part.ok]
    yield f'<b>{escape(part.title)}</b> <span class="{look}">{word}</span> <time>{escape(moment(part.time))}</time>'
    if part.origin:
        yield f'<p class="note error">{escape(part.origin)}</p>'
    if part.details:
        yield _block(part.details) if len(part.details) < 400 else _folded("Arguments", part.details)
    if part.text:
        yield _block(part.text) if part.text.count("\n") < 20 else _folded("Program", part.text)
    if part.output:
        yield _folded("Output", part.output)
    yield _pictures(part)


def _pictures(part: Part) -> str:
    """Images without their bytes, which `embed` puts in where they are small enough."""
    return "".join(
        f'<figure><img data-file="{escape(image.file)}" alt=""><figcaption>{escape(plain(image.label))}</figcaption>'
        "</figure>"
        for image in part.images
    )


def embed(page: str, files: Path) -> str:
    """Puts small images into a page that has been checked for secrets: their bytes are no text to be checked.

    Args:
        page: What `to_html` made.
        files: Where what belongs to the session lies.
    """
    room = EMBEDDED_IN_ALL

    def put_in(match: re.Match[str]) -> str:
        nonlocal room
        try:
            path = path_of(files, match[1])
            data = path.read_bytes() if path.stat().st_size <= min(EMBEDDED_BYTES, room) else b""
            media = shape_of(data, path.name).media
        except (OSError, ValueError, ImageError):
            return ""
        room -= len(data)
        return f'<img src="data:{media};base64,{base64.b64encode(data).decode()}" alt="">'

    return _IMAGE.sub(put_in, page)


def _block(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>{_block(text)}</details>"
