"""Source code as lines of runs. The highlighter is imported on first use and works piece by piece.

Code is cut at lines that begin a statement of their own, so that a growing block, or the visible part of a huge one,
is highlighted without going through all of it. A piece looks the same whatever follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from ml_intern.tui.widgets.lines import UNWRAPPED, Line, Run, chop

PIECE_LINES = 40
"""A piece ends at the first good place after this many lines,"""
PIECE_LIMIT = 120
"""and at the latest after this many."""
LONG_LINE = 2_000
"""Pieces with longer lines stay plain: they are data, and slow to analyse."""

_LANGUAGES = """
python: py pyi
javascript: js mjs
typescript: ts
tsx: tsx
jsx: jsx
bash: sh bash zsh
json: json jsonl ipynb
yaml: yaml yml
toml: toml
ini: ini cfg
markdown: md
rust: rs
go: go
c: c h
cpp: cpp hpp
cuda: cu
java: java
html: html
css: css
scss: scss tcss
sql: sql
latex: tex
r: r
julia: jl
ruby: rb
diff: diff patch
docker: dockerfile
make: makefile
"""
_SUFFIXES = {
    suffix: language
    for language, _, suffixes in (entry.partition(":") for entry in _LANGUAGES.split("\n"))
    for suffix in suffixes.split()
}
_INKS = (
    ("Comment", "comment"),
    ("Keyword.Constant", "constant"),
    ("Keyword.Type", "type"),
    ("Keyword", "keyword"),
    ("Operator.Word", "keyword"),
    ("Literal.String", "string"),
    ("Literal.Number", "number"),
    ("Name.Function", "function"),
    ("Name.Class", "type"),
    ("Name.Exception", "type"),
    ("Name.Decorator", "decorator"),
    ("Name.Builtin", "function"),
    ("Name.Constant", "constant"),
    ("Name.Attribute", "function"),
    ("Name.Tag", "keyword"),
    ("Generic.Deleted", "removed"),
    ("Generic.Inserted", "added"),
    ("Generic.Heading", "strong"),
    ("Generic.Subheading", "hunk"),
)

Runs = tuple[Run, ...]


def language_of(path: str) -> str:
    """The language that a file's name suggests, or empty."""
    name = path.rpartition("/")[2].lower()
    return _SUFFIXES.get(name.rpartition(".")[2], "")


def piece_ends(lines: Sequence[str], *, start: int = 0) -> Iterator[int]:
    """Where pieces of code end, one after another; the last, unfinished one is left out.

    A piece ends before a line that is not indented and follows an empty one, or where it has become too long.
    """
    begin = start
    for index in range(start, len(lines)):
        size = index - begin
        if size < PIECE_LINES:
            continue
        text = lines[index]
        if size >= PIECE_LIMIT or (text and not text[0].isspace() and not lines[index - 1].strip()):
            yield index
            begin = index


def pieces(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    """The lines, cut into pieces that can be highlighted each for itself."""
    begin = 0
    for end in piece_ends(lines):
        yield lines[begin:end]
        begin = end
    if begin < len(lines):
        yield lines[begin:]


def highlight(lines: Sequence[str], language: str) -> list[Runs]:
    """One piece of code as runs per line. Unknown languages stay plain."""
    lexer = _lexer(language) if language else None
    if lexer is None or any(len(text) > LONG_LINE for text in lines):
        return [(Run(text),) if text else () for text in lines]
    return list(_highlighted(language, "\n".join(lines)))


@lru_cache(maxsize=128)
def _highlighted(language: str, text: str) -> tuple[Runs, ...]:
    lexer = _lexer(language)
    done: list[Runs] = []
    current: list[Run] = []
    for kind, value in lexer.get_tokens(text):
        ink = _ink(kind)
        for number, part in enumerate(value.split("\n")):
            if number:
                done.append(tuple(current))
                current = []
            if part:
                if current and current[-1].ink == ink:
                    current[-1] = Run(current[-1].text + part, ink)
                else:
                    current.append(Run(part, ink))
    wanted = text.count("\n") + 1
    if current or len(done) < wanted:
        done.append(tuple(current))
    return tuple(done[:wanted]) + ((),) * (wanted - len(done))


@lru_cache(maxsize=64)
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]  # it has no types
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]  # it has no types

    if len(language) > 30:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=True)
    except ClassNotFound:
        return None


@lru_cache(maxsize=512)
def _ink(kind: object) -> str:
    name = str(kind).removeprefix("Token.")
    return next((ink for prefix, ink in _INKS if name == prefix or name.startswith(prefix + ".")), "")


def language_name(info: str) -> str:
    """The language named by the info string of a fence: `python title="x"`, `{.python}`."""
    match = re.match(r"[\s{.]*([\w+#-]+)", info)
    return match[1].lower() if match else ""


def code_lines(lines: Sequence[str], language: str, width: int) -> list[Line]:
    """One piece of code as rows; what is too long goes on below."""
    if width > UNWRAPPED // 2:
        language = ""
    return [row for runs in highlight(lines, language) for row in chop(runs, width)]
