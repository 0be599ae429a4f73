"""Markdown as lines: the blocks. Inline text is in `inline.py`, tables are in `tables.py`, streaming is in `stream.py`.

markdown-it finds the blocks; they are rendered here one *unit* at a time. A unit is a block at the top level or one
item of a list there. How a unit looks depends on nothing that follows it, so that a reply that is still being written
can keep its finished units.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_intern.tui.widgets.code import code_lines, language_name, pieces
from ml_intern.tui.widgets.inline import render_inline
from ml_intern.tui.widgets.lines import BLANK, UNWRAPPED, Line, Run, indent, line, wrap
from ml_intern.tui.widgets.tables import table_lines
from ml_intern.tui.widgets.text import clean, readable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

NARROWEST = 12
"""Nested blocks are no longer indented when fewer cells than this would be left."""

WIDEST_RULE = 1_000

_BULLETS = ("•", "◦", "·")
CODE_BAR = Run("▎ ", "bar")
_QUOTE_BAR = Run("▎ ", "bar")
_HEADINGS = {"h1": "heading1", "h2": "heading2"}

Environment = dict[str, Any]


class Place(NamedTuple):
    """Where a list item stands: what it needs to know of the items before it.

    Attributes:
        marker: The character that marks the items of its list.
        ordinal: Its number; 0 in a list without numbers.
    """

    marker: str
    ordinal: int


class Unit(NamedTuple):
    """The smallest part that can be finished for itself.

    Attributes:
        tokens: Its block tokens.
        start: Its first source line.
        end: The line after its last one.
        item: Its place in a list, or None.
    """

    tokens: Sequence[Token]
    start: int
    end: int
    item: Place | None


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """The parser: blocks only, no HTML. Inline text is parsed when it is rendered."""
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False})
    made.enable(["table", "strikethrough"])
    made.core.ruler.enableOnly(["normalize", "block"])
    return made


def units(source: str, env: Environment, before: Place | None = None) -> list[Unit]:
    """Finds the units of a text.

    Args:
        source: Clean markdown.
        env: Receives the link definitions.
        before: The list item that the text directly follows, if it does.
    """
    found: list[Unit] = []
    for block in _siblings(parser().parse(source, env)):
        opening = block[0]
        if opening.type in ("bullet_list_open", "ordered_list_open"):
            continues = before is not None and not found and before.marker == opening.markup
            found += _items(block, before.ordinal + 1 if continues and before is not None else None)
        else:
            start, end = opening.map or (0, 0)
            found.append(Unit(block, start, end, None))
    return found


def _items(block: Sequence[Token], number: int | None) -> list[Unit]:
    """The items of a list at the top level."""
    ordered = block[0].type == "ordered_list_open"
    ordinal = number if number is not None else int(block[0].attrs.get("start", 1))
    found: list[Unit] = []
    for offset, item in enumerate(_siblings(block[1:-1])):
        start, end = item[0].map or (0, 0)
        found.append(Unit(item, start, end, Place(block[0].markup, ordinal + offset if ordered else 0)))
    return found


def _siblings(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """Parts a flat list of tokens into the blocks at its outermost level."""
    found: list[Sequence[Token]] = []
    depth = start = 0
    for index, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            found.append(tokens[start : index + 1])
            start = index + 1
    return found


class Context(NamedTuple):
    """What came before a text.

    Attributes:
        unit: The unit before it; None at the beginning.
        line: The source line before it.
    """

    unit: Unit | None = None
    line: str = ""


def render_units(
    found: Sequence[Unit],
    sources: Sequence[str],
    width: int,
    env: Environment,
    before: Context | None = None,
    ink: str = "",
) -> list[Line]:
    """Lines of units, with the space between them.

    Args:
        found: The units to render.
        sources: Lines of the text in which they were found.
        width: Cells a line may take.
        env: Link definitions.
        before: What came before.
        ink: Ink of unstyled text.
    """
    earlier, line_before = before or Context()
    lines: list[Line] = []
    for unit in found:
        above = sources[unit.start - 1] if unit.start else line_before
        if earlier is not None and not _close(earlier, unit, above):
            lines.append(BLANK)
        lines += _unit_lines(unit, width, env, ink)
        earlier = unit
    return lines


def _close(first: Unit, second: Unit, above: str) -> bool:
    """Whether nothing stands between two units: items of one list without an empty line between them."""
    if first.item is None or second.item is None or first.item.marker != second.item.marker:
        return False
    return bool(above.strip())


def _unit_lines(unit: Unit, width: int, env: Environment, ink: str) -> list[Line]:
    if unit.item is not None:
        return _item_lines(unit.tokens, unit.item.ordinal, 0, width, env, ink)
    return _block_lines(unit.tokens, width, env, ink, 0)


def render(source: str, width: int, ink: str = "") -> list[Line]:
    """A whole markdown text as lines, unstyled text in the given ink. The text need not be clean."""
    source = clean(source)
    env: Environment = {}
    return render_units(units(source, env), source.split("\n"), width, env, ink=ink)


@lru_cache(maxsize=16_384)
def words(source: str) -> str:
    """What a markdown text says to a reader: each line as if there were room for all of it, without decoration."""
    rows = render(source, UNWRAPPED)
    return "".join([row.plain[row.lead :] + row.join for row in rows if not row.runs or row.runs[0].ink != "rule"])


def code_blocks(source: str) -> list[str]:
    """The fenced blocks of code of a text in order, wherever they are nested; an open one ends with what it is in."""
    fences = [token for token in parser().parse(clean(source)) if token.type == "fence"]
    return [fence.content.removesuffix("\n") for fence in fences]


# ------------------------------------------------------------------------------------------------------- blocks


def _blocks_lines(
    tokens: Sequence[Token], width: int, env: Environment, ink: str, level: int, *, compact: bool
) -> list[Line]:
    """Lines of the blocks inside another one. In compact ones only a code block or a table stands apart."""
    lines: list[Line] = []
    for number, block in enumerate(_siblings(tokens)):
        if number and not (compact and block[0].type in ("bullet_list_open", "ordered_list_open", "fence")):
            lines.append(BLANK)
        lines += _block_lines(block, width, env, ink, level)
    return lines


def _block_lines(block: Sequence[Token], width: int, env: Environment, ink: str, level: int) -> list[Line]:
    opening = block[0]
    kind = opening.type
    if kind == "paragraph_open":
        return _wrapped(block[1].content, width, env, ink)
    if kind == "heading_open":
        return _wrapped(block[1].content, width, env, _HEADINGS.get(opening.tag, "heading3"))
    if kind in ("fence", "code_block"):
        return fence_lines(opening.content.removesuffix("\n").split("\n"), language_name(opening.info), width)
    if kind == "blockquote_open":
        inner = _blocks_lines(block[1:-1], _inside(width, 2), env, f"{ink} quote".strip(), level, compact=False)
        return indent(inner or [BLANK], _QUOTE_BAR)
    if kind in ("bullet_list_open", "ordered_list_open"):
        return _list_lines(block, width, env, ink, level)
    if kind == "table_open":
        return table_lines(*_cells(block, env, ink), width)
    if kind == "hr":
        return [line("─" * min(width, WIDEST_RULE), "rule")]
    return _wrapped(opening.content, width, env, ink)


def _wrapped(content: str, width: int, env: Environment, ink: str) -> list[Line]:
    return [row for runs in render_inline(parser(), content, env, ink) for row in wrap(runs, width)] or [BLANK]


def fence_lines(lines: Sequence[str], language: str, width: int) -> list[Line]:
    """A block of code with a bar at its left."""
    shown = [readable(text) for text in lines]
    inner = [row for piece in pieces(shown) for row in code_lines(piece, language, width - len(CODE_BAR.text))]
    return indent(inner, CODE_BAR)


def _inside(width: int, prefix: int) -> int:
    return max(NARROWEST, width - prefix)


def _list_lines(block: Sequence[Token], width: int, env: Environment, ink: str, level: int) -> list[Line]:
    ordered = block[0].type == "ordered_list_open"
    number = int(block[0].attrs.get("start", 1)) if ordered else 0
    lines: list[Line] = []
    for item in _siblings(block[1:-1]):
        lines += _item_lines(item, number, level, width, env, ink)
        number += ordered
    return lines


def _item_lines(item: Sequence[Token], number: int, level: int, width: int, env: Environment, ink: str) -> list[Line]:
    mark = f"{number}. " if item[0].markup in (".", ")") else _BULLETS[min(level, 2)] + " "
    inner_tokens = list(item[1:-1])
    mark_ink, done = "bullet", _task_state(inner_tokens)
    if done is not None:
        mark, mark_ink = ("✓ ", "success") if done else ("○ ", "muted")
        inner_tokens[1] = inner_tokens[1].copy(content=inner_tokens[1].content[3:].lstrip())
    inner = _blocks_lines(inner_tokens, _inside(width, len(mark)), env, ink, level + 1, compact=True)
    return _hang(inner or [BLANK], Run(mark, mark_ink))


def _task_state(tokens: Sequence[Token]) -> bool | None:
    """Whether the task of an item is done; None when the item is no task."""
    if len(tokens) < 2 or tokens[0].type != "paragraph_open":
        return None
    return {"[ ]": False, "[x]": True, "[X]": True}.get(tokens[1].content[:3])


def _hang(lines: Sequence[Line], mark: Run) -> list[Line]:
    """Puts a mark before the first line and as much space before the others.

    The space counts as decoration before lines that go on and before decorated ones; nested items keep it when copied.
    """
    space = Run(" " * len(mark.text))
    done = [Line((mark, *lines[0].runs), 0, lines[0].join, lines[0].fill)]
    for before, (runs, lead, join, fill) in pairwise(lines):
        decoration = len(space.text) + lead if lead or before.join != "\n" else 0
        done.append(Line((space, *runs) if runs else (), decoration if runs else 0, join, fill))
    return done


def _cells(block: Sequence[Token], env: Environment, ink: str) -> tuple[list[list[Sequence[Run]]], list[str]]:
    """The cells of a table as runs, row by row, and how each column is aligned."""
    rows: list[list[Sequence[Run]]] = []
    aligned: list[str] = []
    for token, content in pairwise(block):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            if len(rows) == 1:
                aligned.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
            parts = render_inline(parser(), content.content, env, f"{ink} strong".strip() if len(rows) == 1 else ink)
            rows[-1].append([run for part in parts for run in part])
    return rows, aligned
